"""What Prometheus sees of the gate; how many run is among the metrics of requests, how many were refused too."""

from prometheus_client import CollectorRegistry, Gauge, Histogram

from mizzen_runtime.admission import AdmissionGate

WAIT_BUCKETS = (0.01, 0.04, 0.16, 0.64, 2.56, 10.24, 40.96)
"""Seconds: every other one of a request's duration."""


def observed_gate(registry: CollectorRegistry, *, max_running: int, max_queued: int) -> AdmissionGate:
    """Open a gate that tells of its queue.

    Args:
        registry: Where its metrics are registered.
        max_running: How many requests may run at once.
        max_queued: How many more may wait for their turn.
    """
    waits = Histogram(
        "mizzen_queue_duration_seconds",
        "Time that requests waited for their turn, however that ended; those that need not wait are not counted",
        buckets=WAIT_BUCKETS,
        registry=registry,
    )
    gate = AdmissionGate(max_running=max_running, max_queued=max_queued, observe_wait=waits.observe)
    queued = Gauge("mizzen_requests_queued", "Requests that wait for their turn", registry=registry)
    queued.set_function(lambda: gate.queued)
    limit = Gauge("mizzen_requests_running_limit", "Requests that are answered at once at most", registry=registry)
    limit.set(max_running)
    return gate
