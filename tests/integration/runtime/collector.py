"""A collector of traces on the loopback: takes OTLP over HTTP, as any takes it, and misbehaves on demand."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

WAIT_SECONDS = 30


class Received(NamedTuple):
    """A span, and whose it is."""

    span: Span
    resource: dict[str, str]

    @property
    def attributes(self) -> dict[str, object]:
        return _plain(self.span.attributes)


def _plain(attributes: object) -> dict[str, object]:
    assert isinstance(attributes, object)
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in attributes}  # type: ignore[attr-defined]
