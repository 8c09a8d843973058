"""Sends spans to a collector, by OTLP over HTTP: in a thread of its own, a batch at a time.

It fails open. A collector that is slow or away never delays a request; spans that find no room are dropped and counted.
OpenTelemetry's own variables in `spec.pod.env` say the rest, such as OTEL_EXPORTER_OTLP_HEADERS for a token.
"""

import logging
import socket
import threading
import time
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import set_tracer_provider
from prometheus_client import CollectorRegistry, Counter
from pydantic_ai import Agent
from pydantic_ai.models.instrumented import InstrumentationSettings

from mizzen_api.contract import RuntimeConfig, RuntimeTracing

MAX_WAITING = 2048
"""Spans that may wait for being sent, or are being sent."""
TELL_SECONDS = 60.0
"""How often it is logged at most that spans are dropped."""
_LIBRARY = "opentelemetry"
"""Its loggers speak of each failed attempt, with the collector's answer, and of headers with the tokens in them."""

log = logging.getLogger("mizzen.tracing")


def start_export(config: RuntimeConfig, tracing: RuntimeTracing, registry: CollectorRegistry) -> TracerProvider:
    """Have all agents of this process traced, those too that own code calls by itself, and give what makes spans.

    Args:
        config: Whose spans they are.
        tracing: Where they go, and which of them.
        registry: Where spans are counted.

    Raises:
        ValueError: OpenTelemetry's own variables cannot be used.
    """
    logging.getLogger(_LIBRARY).setLevel(logging.CRITICAL)
    resource = Resource.create(
        {
            "service.name": config.name,
            "service.namespace": config.namespace,
            "service.version": config.revision,
            "service.instance.id": socket.gethostname(),
        }
    )
    provider = TracerProvider(
        resource=resource, sampler=ParentBased(TraceIdRatioBased(tracing.sampling_ratio)), shutdown_on_exit=False
    )
    counts = SpanCounts(registry)
    exporter = OTLPSpanExporter(endpoint=f"{tracing.endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BoundedProcessor(CountingExporter(exporter, counts), counts))
    set_tracer_provider(provider)  # for spans of own code
    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider, include_content=tracing.include_content))
    return provider


class SpanCounts:
    """How many spans wait, were sent, and were dropped; used by several threads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        spans = Counter(
            "mizzen_trace_spans", "Spans that were sent to the collector, or dropped", ["outcome"], registry=registry
        )
        self._sent, self._dropped = spans.labels("sent"), spans.labels("dropped")
        self._lock = threading.Lock()
        self._waiting = 0
        self._told = float("-inf")

    def admit(self) -> bool:
        """Tell whether one more may wait, and count it; one that may not is dropped."""
        with self._lock:
            has_room = self._waiting < MAX_WAITING
            self._waiting += has_room
        if not has_room:
            self._drop(1, "too many wait for the collector")
        return has_room

    def settle(self, count: int, *, sent: bool) -> None:
        """Note what became of some that waited."""
        with self._lock:
            self._waiting -= count
        if sent:
            self._sent.inc(count)
        else:
            self._drop(count, "the collector did not take them")

    def _drop(self, count: int, reason: str) -> None:
        self._dropped.inc(count)
        now = time.monotonic()
        with self._lock:
            is_due = now - self._told >= TELL_SECONDS
            self._told = now if is_due else self._told
        if is_due:
            log.warning("spans are dropped", extra={"reason": reason, "told_again_after_seconds": TELL_SECONDS})


class CountingExporter(SpanExporter):
    """Sends, and says what came of it."""

    def __init__(self, exporter: SpanExporter, counts: SpanCounts) -> None:
        self._exporter = exporter
        self._counts = counts

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send some."""
        sent = False
        try:
            result = self._exporter.export(spans)
            sent = result is SpanExportResult.SUCCESS
        finally:
            self._counts.settle(len(spans), sent=sent)
        return result

    def shutdown(self) -> None:
        """Send no more."""
        self._exporter.shutdown()


class BoundedProcessor(BatchSpanProcessor):
    """Lets spans wait for being sent as long as there is room: the library would drop the oldest, and count nothing."""

    def __init__(self, exporter: SpanExporter, counts: SpanCounts) -> None:
        super().__init__(exporter, max_queue_size=MAX_WAITING)
        self._counts = counts

    def on_end(self, span: ReadableSpan) -> None:
        """Let a span that is over wait, if it is to be sent."""
        if span.context is not None and span.context.trace_flags.sampled and self._counts.admit():
            super().on_end(span)
