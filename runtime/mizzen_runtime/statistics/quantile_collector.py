"""Percentiles of this pod for Prometheus, worked out at a scrape."""

import math
from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mizzen_runtime.statistics.sliding_window import WindowFigures


class QuantileCollector(Collector):
    """What `AgentMetrics` has as percentiles, in seconds. They cannot be added up over pods: the histogram can."""

    def __init__(self, window: Callable[[], WindowFigures]) -> None:
        """Collect from a window.

        Args:
            window: Gives its figures.
        """
        self._window = window

    def collect(self) -> Iterable[Metric]:
        """Read them now."""
        figures = self._window()
        family = GaugeMetricFamily(
            "mizzen_request_duration_quantile_seconds",
            "Time that an answer took in this pod over the last 5 minutes, or the request's time if that was over; "
            "NaN if there was no request",
            labels=["quantile"],
        )
        for quantile, seconds in (
            ("0.5", figures.p50_seconds),
            ("0.95", figures.p95_seconds),
            ("0.99", figures.p99_seconds),
        ):
            family.add_metric([quantile], seconds if figures.timed else math.nan)
        yield family
