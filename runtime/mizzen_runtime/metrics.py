"""What Prometheus sees of the agent. The registry is a parameter; label children are made once."""

import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from mizzen_runtime.errors import Outcome
from mizzen_runtime.model_metrics import DURATION_BUCKETS, ModelMetrics, ObservedModel
from mizzen_runtime.process_metrics import ProcessCollector
from mizzen_runtime.statistics.agent_metrics import AgentMetrics
from mizzen_runtime.statistics.quantile_collector import QuantileCollector
from mizzen_runtime.statistics.request_statistics import Clock, RequestStatistics
from mizzen_runtime.statistics.sliding_window import WINDOW_SECONDS, WindowFigures

disable_created_metrics()  # type: ignore[no-untyped-call]  # a time stamp beside each series would double them

PING_BUCKETS = (0.001, 0.004, 0.016, 0.064, 0.256, 1.024, 3.0)
"""Seconds."""


BATCH_OUTCOMES = (Outcome.OK, Outcome.INVALID_INPUT, Outcome.DEADLINE_EXCEEDED, Outcome.CANCELLED)
"""How a call with a batch ends; `ok` where each of its items was answered, whether or not with an error."""


class RequestMetrics:
    """Requests by outcome, in flight, their duration; what models did for them; what the process is and uses."""

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        namespace: str,
        agent: str,
        revision: str,
        in_flight: Callable[[], int],
        models: Sequence[ObservedModel],
        also: Callable[[Outcome, float], None] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Register every metric.

        Args:
            registry: Where they are registered.
            namespace: Namespace of the AgentDeployment.
            agent: Its name.
            revision: The configuration in force.
            in_flight: Gives the number of requests being answered.
            models: The chain of models, in order.
            also: Told of each request that is observed, if anybody is to be.
            clock: Tells how time passes for the window.
        """
        self._registry = registry
        self._also = also
        self._statistics = RequestStatistics(clock)
        self.models = ModelMetrics(registry, models)
        """Where requests to models are counted."""
        requests = Counter(
            "mizzen_requests", "Requests to run the agent, by how they ended", ["outcome"], registry=registry
        )
        self._by_outcome = {outcome: requests.labels(outcome=outcome.value) for outcome in Outcome}
        self._duration = Histogram(
            "mizzen_request_duration_seconds",
            "Time from a request's arrival to the end of its answer",
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        batches = Counter(
            "mizzen_batches", "Calls with a batch of requests, by how they ended", ["outcome"], registry=registry
        )
        self._batches = {outcome: batches.labels(outcome=outcome.value) for outcome in BATCH_OUTCOMES}
        Gauge("mizzen_requests_in_flight", "Requests being answered", registry=registry).set_function(in_flight)
        build = Gauge(
            "mizzen_build_info", "What runs here; always 1", ["version", "python", "pydantic_ai"], registry=registry
        )
        build.labels(version("mizzen"), platform.python_version(), version("pydantic-ai-slim")).set(1)
        identity = Gauge(
            "mizzen_agent_info",
            "Which agent runs here; always 1",
            ["agent_namespace", "agent", "revision"],
            registry=registry,
        )
        identity.labels(namespace, agent, revision).set(1)
        registry.register(QuantileCollector(self._statistics.window))
        registry.register(ProcessCollector())

    def observe(self, outcome: Outcome, seconds: float) -> None:
        """Count one request that ended, exactly once."""
        self._by_outcome[outcome].inc()
        self._duration.observe(seconds)
        self._statistics.add(outcome, seconds)
        if self._also is not None:
            self._also(outcome, seconds)

    def snapshot(self) -> AgentMetrics:
        """Give the metrics as they are now."""
        return self._statistics.snapshot()

    def window(self, seconds: float = WINDOW_SECONDS) -> WindowFigures:
        """Give how requests went over the last `seconds`, and up to 10 s before.

        Raises:
            ValueError: It is more than the window has.
        """
        return self._statistics.window(seconds)

    def count_batch(self, outcome: Outcome) -> None:
        """Count one call with a batch; each of its items is a request and counted as such.

        Args:
            outcome: One of `BATCH_OUTCOMES`.
        """
        self._batches[outcome].inc()

    def expose(self) -> bytes:
        """Give all metrics in Prometheus' text format, as `CONTENT_TYPE` says."""
        return generate_latest(self._registry)


def watch_loop_lag(registry: CollectorRegistry, lag: Callable[[], float]) -> None:
    """Register what tells how late the event loop is.

    Args:
        registry: Where it is registered.
        lag: Gives the seconds that it was late at most lately.
    """
    Gauge(
        "mizzen_event_loop_lag_seconds", "How late the event loop was at most, over the last 30 s", registry=registry
    ).set_function(lag)


class ServiceMetrics:
    """How the agent's services are, and what became of changes of their settings."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every metric."""
        self._up = Gauge("mizzen_service_up", "Whether a service is healthy", ["service"], registry=registry)
        self._pings = Histogram(
            "mizzen_service_ping_seconds",
            "Time that a service took to say how it is",
            ["service"],
            buckets=PING_BUCKETS,
            registry=registry,
        )
        self._reloads = Counter(
            "mizzen_reloads",
            "Changed settings and secrets that were taken up, or could not be",
            ["outcome"],
            registry=registry,
        )
        for outcome in ("ok", "failed"):
            self._reloads.labels(outcome)

    def set_up(self, service: str, *, up: bool) -> None:
        """Note whether a service is healthy."""
        self._up.labels(service).set(up)

    def observe_ping(self, service: str, seconds: float) -> None:
        """Note how long a ping took."""
        self._pings.labels(service).observe(seconds)

    def count_reload(self, *, ok: bool) -> None:
        """Count a change that was taken up, or not."""
        self._reloads.labels("ok" if ok else "failed").inc()


CONTENT_TYPE = CONTENT_TYPE_LATEST
