"""What Prometheus sees of the breakers, under names that follow resilience4j's; read at a scrape."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mizzen_runtime.breakers.breaker import State
from mizzen_runtime.breakers.registry import Breakers


class BreakerCollector(Collector):
    """The state of each breaker, its rates, and its calls by how they ended."""

    def __init__(self, breakers: Breakers) -> None:
        """Know the breakers.

        Args:
            breakers: Those of the process.
        """
        self._breakers = breakers

    def collect(self) -> Iterator[Metric]:
        """Give what is so now."""
        state = GaugeMetricFamily(
            "mizzen_breaker_state",
            "1 for the state that a breaker is in, 0 for the others",
            labels=["breaker", "state"],
        )
        failures = GaugeMetricFamily(
            "mizzen_breaker_failure_ratio",
            "Share of the calls in a breaker's window that failed; absent while they are too few",
            labels=["breaker"],
        )
        slow_ratio = GaugeMetricFamily(
            "mizzen_breaker_slow_call_ratio",
            "Share of the calls in a breaker's window that were slow; absent while they are too few",
            labels=["breaker"],
        )
        calls = CounterMetricFamily(
            "mizzen_breaker_calls", "Calls that passed a breaker, by how they ended", labels=["breaker", "outcome"]
        )
        slow = CounterMetricFamily(
            "mizzen_breaker_slow_calls", "Calls that passed a breaker and were slow", labels=["breaker"]
        )
        refused = CounterMetricFamily(
            "mizzen_breaker_not_permitted_calls", "Calls that a breaker did not let pass", labels=["breaker"]
        )
        for breaker in self._breakers:
            name, now, counts = breaker.name, breaker.state_now(), breaker.counts
            for each in State:
                state.add_metric([name, each.value], float(now.state is each))
            if now.failure_rate is not None and now.slow_call_rate is not None:
                failures.add_metric([name], now.failure_rate)
                slow_ratio.add_metric([name], now.slow_call_rate)
            calls.add_metric([name, "successful"], counts.successful)
            calls.add_metric([name, "failed"], counts.failed)
            calls.add_metric([name, "ignored"], counts.ignored)
            slow.add_metric([name], counts.slow)
            refused.add_metric([name], counts.not_permitted)
        yield from (state, failures, slow_ratio, calls, slow, refused)
