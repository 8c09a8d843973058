"""The health report: how the agent is, and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mizzen_runtime.service_health import ServiceState

HealthStatus = Literal["healthy", "degraded", "unhealthy"]


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
class HealthReport:
    """How the agent is."""

    status: HealthStatus
    """healthy; degraded: something is missing, without which some requests or all of them fail; unhealthy: the pod is
    to get no requests."""
    services: tuple[ServiceStatus, ...]


def health_report(services: Iterable[ServiceState], *, ready: bool) -> HealthReport:
    """Tell what is known from the last pings.

    Args:
        services: The agent's services.
        ready: Whether the pod may get requests as far as they go; `/readyz` asks the same.
    """
    known = tuple(services)
    return HealthReport(
        status=("healthy" if all(each.healthy for each in known) else "degraded") if ready else "unhealthy",
        services=tuple(
            ServiceStatus(name=each.name, status=_status(each), required=each.required, reason=each.reason)
            for each in known
        ),
    )


def _status(service: ServiceState) -> Literal["healthy", "unhealthy", "unknown"]:
    if service.healthy is None:
        return "unknown"
    return "healthy" if service.healthy else "unhealthy"
