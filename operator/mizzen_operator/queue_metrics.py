"""The work queue in Prometheus, under client-go's names, so that existing dashboards and alerts fit."""

from collections.abc import Iterable, Sized
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mizzen_operator.workqueue import QueueObserver

QUEUE_NAME = "agentdeployment"
_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class QueueMetrics(QueueObserver):
    """Counts what happens in the queue."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._adds = Counter("workqueue_adds_total", "Keys added", ["name"], registry=registry).labels(QUEUE_NAME)
        self._retries = Counter(
            "workqueue_retries_total", "Keys that came back after a failure", ["name"], registry=registry
        ).labels(QUEUE_NAME)
        self._waited = Histogram(
            "workqueue_queue_duration_seconds", "How long keys wait", ["name"], buckets=_SECONDS, registry=registry
        ).labels(QUEUE_NAME)
        self._worked = Histogram(
            "workqueue_work_duration_seconds", "How long work takes", ["name"], buckets=_SECONDS, registry=registry
        ).labels(QUEUE_NAME)

    def added(self) -> None:
        """See `QueueObserver`."""
        self._adds.inc()

    def retried(self) -> None:
        """See `QueueObserver`."""
        self._retries.inc()

    def taken(self, waited: float) -> None:
        """See `QueueObserver`."""
        self._waited.observe(waited)

    def finished(self, worked: float) -> None:
        """See `QueueObserver`."""
        self._worked.observe(worked)


class MeasuredQueue(Sized, Protocol):
    """What the gauges read from a queue."""

    def working_seconds(self) -> list[float]:
        """For how long each key that is being worked on has been so."""


class QueueGauges(Collector):
    """What a queue is like at the moment of a scrape."""

    def __init__(self, queue: MeasuredQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterable[Metric]:
        """Give the gauges."""
        working = self._queue.working_seconds()
        yield _gauge("workqueue_depth", "Keys that wait", len(self._queue))
        yield _gauge("workqueue_unfinished_work_seconds", "Seconds of work in progress, summed", sum(working))
        yield _gauge(
            "workqueue_longest_running_processor_seconds",
            "Seconds of the longest work in progress",
            max(working, default=0),
        )


def _gauge(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["name"])
    family.add_metric([QUEUE_NAME], value)
    return family
