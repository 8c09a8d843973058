"""Which trace a request belongs to; and a span for each, with pydantic-ai's own beneath it, where that is asked for."""

import asyncio
from collections.abc import Callable, Iterable

from opentelemetry.context import Context, attach
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, format_trace_id, set_span_in_context
from prometheus_client import CollectorRegistry

from mizzen_api.contract import RuntimeConfig
from mizzen_api.problems import Problem
from mizzen_runtime.extras import remedy_for_missing
from mizzen_runtime.leaving import in_abandonable_thread
from mizzen_runtime.trace_context import callers_context, new_trace_id, trace_id_of

CLOSE_SECONDS = 2.0
"""What the last spans have for their way out, while services are closed."""
_SERVER_FAULTS = 500
_NOT_ROUTED = frozenset({404, 405})


class Tracing:
    """Finds out which trace each request belongs to, and traces it if there is something to trace it with."""

    def __init__(self, tracer: Tracer | None = None, flush: Callable[[], None] = lambda: None) -> None:
        """Bind what it needs.

        Args:
            tracer: Makes the requests' spans; nothing is traced without it.
            flush: Sends what has not been sent yet, and ends the export.
        """
        self._tracer = tracer
        self._flush = flush

    def begin(self, method: str, headers: Iterable[tuple[bytes, bytes]], request_id: str) -> "TracedRequest":
        """Begin a request of a caller, who may be in a trace; for the current task and the tasks that it starts.

        Nothing is put back at the end: each request has a task of its own.
        """
        callers = callers_context(headers)
        if self._tracer is None:
            attach(callers or Context())
            return TracedRequest(trace_id_of(callers) if callers is not None else new_trace_id(), None)
        context = callers or Context()
        span = self._tracer.start_span(
            method,
            context,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "mizzen.request_id": request_id},
        )
        attach(set_span_in_context(span, context))
        told = span.get_span_context()  # of no trace, where OTEL_SDK_DISABLED is set
        return TracedRequest(format_trace_id(told.trace_id) if told.is_valid else new_trace_id(), span)

    async def close(self) -> None:
        """Send what has not been sent yet, within `CLOSE_SECONDS`."""
        await asyncio.wait({in_abandonable_thread(self._flush)}, timeout=CLOSE_SECONDS)


def begin_tracing(config: RuntimeConfig, registry: CollectorRegistry) -> tuple[Tracing, tuple[Problem, ...]]:
    """Give what traces requests, and why it cannot do so as the configuration asks.

    Args:
        config: The configuration.
        registry: Where spans are counted.
    """
    if config.tracing is None:
        return Tracing(), ()
    try:
        from mizzen_runtime.span_export import start_export  # noqa: PLC0415 - an image may lack it, and few need it
    except ImportError:
        return _refused("OpenTelemetry's exporter is not installed in this image", remedy_for_missing("otel"))
    try:
        provider = start_export(config, config.tracing, registry)
    except ValueError:  # its text may hold a value
        message = "OpenTelemetry cannot use one of its own variables, whose names begin with OTEL_"
        return _refused(message, "correct it in spec.pod.env, or leave it out")
    return Tracing(provider.get_tracer("mizzen"), provider.shutdown), ()


def _refused(message: str, remedy: str) -> tuple[Tracing, tuple[Problem, ...]]:
    return Tracing(), (Problem(field="spec.monitoring.tracing", message=message, remedy=remedy),)


class TracedRequest:
    """A request that has begun."""

    def __init__(self, trace_id: str, span: Span | None) -> None:
        self.trace_id = trace_id
        """Of the trace that it belongs to, whether anybody records that or not."""
        self._span = span

    def end(self, method: str, path: str, status: int | None) -> None:
        """Note how it ended.

        Args:
            method: The request's.
            path: Its path, which is told if something is served there: otherwise the caller has made it up.
            status: Of the answer; None if there was none.
        """
        if self._span is None:
            return
        if status is not None:
            self._span.set_attribute("http.response.status_code", status)
        if status not in _NOT_ROUTED:
            self._span.update_name(f"{method} {path}")
            self._span.set_attribute("http.route", path)
        if status is not None and status >= _SERVER_FAULTS:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
