"""What Prometheus sees of health: one series for each status and each reason, read at a scrape."""

from collections.abc import Callable, Iterable
from typing import get_args

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mizzen_api.health import HealthCode, HealthState, HealthStatus


class HealthCollector(Collector):
    """The status, and whether each reason is told."""

    def __init__(self, state: Callable[[], HealthState]) -> None:
        """Say where it is read.

        Args:
            state: Gives how the pod is.
        """
        self._state = state

    def collect(self) -> Iterable[Metric]:
        """Read it now."""
        state = self._state()
        status = GaugeMetricFamily("mizzen_health_status", "1 for the status that the pod has", labels=["status"])
        for each in get_args(HealthStatus):
            status.add_metric([each], each == state.status)
        reason = GaugeMetricFamily("mizzen_health_reason", "1 for a reason why it is not healthy", labels=["reason"])
        told = {each.code for each in state.reasons}
        for code in HealthCode:
            reason.add_metric([code.value], code.value in told)
        yield status
        yield reason
