"""Which trace a request belongs to, as the W3C's Trace Context has it: from its caller, and on to what it calls."""

import secrets
from collections.abc import Iterable

from opentelemetry.context import Context
from opentelemetry.trace import format_trace_id, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_TRACEPARENT = b"traceparent"
_TRACESTATE = b"tracestate"

_propagator = TraceContextTextMapPropagator()


def callers_context(headers: Iterable[tuple[bytes, bytes]]) -> Context | None:
    """Give what a caller's headers say of the trace; None if they say nothing, or not exactly one well-formed thing.

    Args:
        headers: Names in lower case, and values.
    """
    found = [(name, value) for name, value in headers if name in {_TRACEPARENT, _TRACESTATE}]
    parents = [value.decode("latin-1") for name, value in found if name == _TRACEPARENT]
    if len(parents) != 1:
        return None
    states = [value.decode("latin-1") for name, value in found if name == _TRACESTATE]
    carrier: dict[str, str | list[str]] = {"traceparent": parents, "tracestate": states}
    context = _propagator.extract(carrier, Context())
    return context if get_current_span(context).get_span_context().is_valid else None


def trace_id_of(context: Context) -> str:
    """Give the trace's id, as 32 hexadecimal digits."""
    return format_trace_id(get_current_span(context).get_span_context().trace_id)


def new_trace_id() -> str:
    """Make the id of a trace that nobody has begun."""
    return secrets.token_hex(16)


def onward_headers() -> dict[str, str]:
    """Give the headers for what is called while a request is answered; none where nobody traces it."""
    headers: dict[str, str] = {}
    _propagator.inject(headers)
    return headers
