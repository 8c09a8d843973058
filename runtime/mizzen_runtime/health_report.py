"""The health report: how the agent is, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from mizzen_api.health import HealthCode, HealthReason, HealthStatus
from mizzen_api.limits import RuntimeLimits
from mizzen_runtime.admission import AdmissionGate
from mizzen_runtime.breakers import Breakers, BreakerState, State
from mizzen_runtime.health.policy import BreakerSignal
from mizzen_runtime.health.watch import HealthWatch
from mizzen_runtime.lifecycle import Lifecycle
from mizzen_runtime.running_services import RunningServices
from mizzen_runtime.service_health import ServiceState


@dataclass(frozen=True)
class ServiceStatus:
    """How one service is."""

    name: str
    status: Literal["healthy", "unhealthy", "unknown"]
    """unknown until it was asked for the first time."""
    required: str
    """What depends on it; see `spec.services[].required`."""
    reason: str
    """Why it is not healthy; empty if it is."""


@dataclass(frozen=True)
class BreakerStatus:
    """How one circuit breaker is."""

    name: str
    state: State
    reason: str
    """What of the calls in its window made it open; empty if it is closed, or nothing is known."""


@dataclass(frozen=True)
class QueueStatus:
    """How much of what the agent may do at once it does."""

    running: int
    max_running: int
    queued: int
    max_queued: int


@dataclass(frozen=True)
class HealthReport:
    """How the agent is."""

    status: HealthStatus
    ready: bool
    """Whether the pod is to get requests; `/readyz` says the same."""
    reasons: tuple[HealthReason, ...]
    """Why it is not healthy. They are told a little longer than they last, and say so; `services` is of this moment."""
    services: tuple[ServiceStatus, ...]
    breakers: tuple[BreakerStatus, ...]
    queue: QueueStatus


class Room:
    """The place that requests have."""

    def __init__(self, gate: AdmissionGate, limits: RuntimeLimits) -> None:
        """Say where it is seen.

        Args:
            gate: Knows how many run and wait.
            limits: How many may.
        """
        self._gate = gate
        self._limits = limits

    def now(self) -> QueueStatus:
        """Give how much of it is taken."""
        return QueueStatus(
            running=self._gate.running,
            max_running=self._limits.max_concurrent_requests,
            queued=self._gate.queued,
            max_queued=self._limits.max_queued_requests,
        )


def health_report(watch: HealthWatch, services: RunningServices, breakers: Breakers, room: Room) -> HealthReport:
    """Tell how the agent is now.

    Args:
        watch: Knows how the pod is.
        services: The agent's services.
        breakers: Those of its models and services.
        room: What place its requests have.
    """
    state = watch.state()
    return HealthReport(
        status=state.status,
        ready=all(reason.code != HealthCode.NOT_READY for reason in state.reasons),
        reasons=state.reasons,
        services=tuple(
            ServiceStatus(name=each.name, status=_status(each), required=each.required, reason=each.reason)
            for each in services.states.values()
        ),
        breakers=tuple(
            BreakerStatus(name=each.name, state=each.state, reason=_why_open(each))
            for each in breakers.states().values()
        ),
        queue=room.now(),
    )


def not_closed(breakers: Breakers) -> Mapping[str, BreakerSignal]:
    """Give the signals of the circuit breakers that are not closed, by name."""
    return {
        name: BreakerSignal(is_open=each.state is State.OPEN, figures=_why_open(each))
        for name, each in breakers.states().items()
        if each.state is not State.CLOSED
    }


def why_unready(services: Iterable[ServiceState], lifecycle: Lifecycle) -> str:
    """Give why the pod is to get no requests; empty if it is to. It must say what `/readyz` does."""
    if not lifecycle.wired:
        return "it starts"
    if lifecycle.leaving:
        return "it was asked to leave"
    away = [each.name for each in services if not each.lets_requests_come]
    return f"it waits for {' and '.join(map(repr, away))}" if away else ""


def _why_open(breaker: BreakerState) -> str:
    if breaker.state is State.CLOSED or breaker.failure_rate is None or breaker.slow_call_rate is None:
        return ""
    return f"{breaker.failure_rate:.0%} of its last calls failed, {breaker.slow_call_rate:.0%} were slow."


def _status(service: ServiceState) -> Literal["healthy", "unhealthy", "unknown"]:
    if service.healthy is None:
        return "unknown"
    return "healthy" if service.healthy else "unhealthy"
