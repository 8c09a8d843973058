"""A collector of traces on the loopback, to which anything may be sent by OTLP over HTTP; it misbehaves on demand."""

import threading
from collections.abc import Iterable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from tests.integration.runtime.process import until


class Span(NamedTuple):
    """What was told of one span."""

    name: str
    trace: str
    id: str
    parent: str
    is_failed: bool
    attributes: dict[str, object]
    resource: dict[str, object]


def _spans_in(body: bytes) -> Iterable[Span]:
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _plain(group.resource.attributes)
        for span in (span for scope in group.scope_spans for span in scope.spans):
            is_failed = span.status.code == span.status.STATUS_CODE_ERROR
            ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
            yield Span(span.name, *ids, is_failed, _plain(span.attributes), resource)


def _plain(attributes: Iterable[KeyValue]) -> dict[str, object]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in attributes}


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def __init__(self, outer: "Collector", *arguments: Any) -> None:
        self._outer = outer
        super().__init__(*arguments)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self._outer.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self._outer.goes_on.wait(60)
        if self._outer.status == 200:
            self._outer.bodies.append(body)
        self.send_response(self._outer.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Keep quiet."""


class Collector:
    """Takes spans."""

    def __init__(self) -> None:
        self.status = 200
        """What it answers."""
        self.goes_on = threading.Event()
        """Whether it answers at all."""
        self.goes_on.set()
        self.asked: list[tuple[str, dict[str, str]]] = []
        """Path and headers of each request."""
        self.bodies: list[bytes] = []
        """What it has taken."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def spans(self) -> list[Span]:
        return [span for body in list(self.bodies) for span in _spans_in(body)]

    def wait_for(self, trace: str, count: int) -> dict[str, Span]:
        """Wait until so many spans of a trace are there, and give them by name."""
        until(lambda: len([span for span in self.spans if span.trace == trace]) >= count, f"{count} spans of {trace}")
        return {span.name: span for span in self.spans if span.trace == trace}

    def close(self) -> None:
        self.goes_on.set()
        self._server.shutdown()
        self._server.server_close()
