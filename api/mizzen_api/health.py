"""`spec.health`: when the agent counts as not well, and the words in which a pod says why it is not."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mizzen_api.base import ApiModel
from mizzen_api.duration import DURATION_PATTERN, MAX_DURATION_SECONDS, Duration, seconds

MAX_ERROR_RATE_PERCENT: Final = 10
"""`spec.health.maxErrorRatePercent` without it."""
MIN_REQUESTS: Final = 10
"""`spec.health.minRequests` without it."""
WINDOW: Final = "2m"
"""`spec.health.window` without it."""
MIN_WINDOW_SECONDS: Final = 10.0
MAX_WINDOW_SECONDS: Final = 600.0

_WINDOW_BOUNDS = "must be at least 10s and at most 10m"


def _check_window(window: str) -> str:
    if not MIN_WINDOW_SECONDS <= seconds(window) <= MAX_WINDOW_SECONDS:
        raise PydanticCustomError("window", _WINDOW_BOUNDS)
    return window


class HealthSpec(ApiModel):
    """When the agent counts as not well. None of it takes a pod out of its Service: every other pod would leave too."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                {
                    "rule": f"!self.window.matches(r'{DURATION_PATTERN}')"  # the pattern's own message is enough
                    " || (duration(self.window) >= duration('10s') && duration(self.window) <= duration('10m'))",
                    "message": f"window {_WINDOW_BOUNDS}",
                }
            ]
        }
    }

    max_error_rate_percent: Annotated[int, Field(ge=1, le=99)] = MAX_ERROR_RATE_PERCENT
    """Share of the requests that may fail, in percent: with more the agent is `degraded`, and if they are more than 90
    percent too, `unhealthy`. What a caller does wrong, or gives up, is no failure; nor is what a full queue or a
    leaving pod turns away."""
    min_requests: Annotated[int, Field(ge=1, le=10000)] = MIN_REQUESTS
    """How many requests there must have been in the window before anything is said of them. A single one that fails or
    is slow says nothing in any case."""
    window: Annotated[Duration, AfterValidator(_check_window)] = WINDOW
    """Which requests count: those that ended within this time, 10s to 10m. The shorter, the sooner a fault is told and
    its end too."""
    max_latency: Duration | None = None
    """What 99 of 100 requests may take at most. Without it nothing is said of the time that they take."""


class RuntimeHealth(ApiModel):
    """The same as the runtime reads it."""

    max_error_rate_percent: Annotated[int, Field(ge=1, le=99)] = MAX_ERROR_RATE_PERCENT
    """Share of the requests that may fail."""
    min_requests: Annotated[int, Field(ge=1)] = MIN_REQUESTS
    """How many requests there must have been."""
    window_seconds: Annotated[float, Field(ge=MIN_WINDOW_SECONDS, le=MAX_WINDOW_SECONDS)] = seconds(WINDOW)
    """Which requests count: those that ended within this time."""
    max_latency_seconds: Annotated[float, Field(gt=0, le=MAX_DURATION_SECONDS)] | None = None
    """What 99 of 100 requests may take at most; any time without it."""


def runtime_health(health: HealthSpec | None) -> RuntimeHealth | None:
    """Give the settings as the runtime reads them; None where they are its defaults."""
    if health is None or health == HealthSpec():
        return None
    return RuntimeHealth(
        max_error_rate_percent=health.max_error_rate_percent,
        min_requests=health.min_requests,
        window_seconds=seconds(health.window),
        max_latency_seconds=seconds(health.max_latency) if health.max_latency is not None else None,
    )


HealthStatus = Literal["healthy", "degraded", "unhealthy"]
"""degraded: something is missing, without which some requests fail or are slow, or all of them for as long as a service
is away. unhealthy: hardly a request is answered, or the pod is to get none."""


class HealthCode(StrEnum):
    """Why a pod is not well: a closed set, causes before what they cause."""

    NOT_READY = "NotReady"
    SERVICE_UNHEALTHY = "ServiceUnhealthy"
    BREAKER_OPEN = "BreakerOpen"
    QUEUE_FULL = "QueueFull"
    ERROR_RATE = "ErrorRate"
    LATENCY = "Latency"


REMEDIES: dict[HealthCode, str] = {
    HealthCode.NOT_READY: "Wait if the pod starts or leaves; else have the service looked at that it waits for.",
    HealthCode.SERVICE_UNHEALTHY: ("Have the service looked at, or correct its settings; the pods go on asking it."),
    HealthCode.BREAKER_OPEN: (
        "Have the model or the service looked at; the pods try it again by themselves, and ask the chain's next model."
    ),
    HealthCode.QUEUE_FULL: "Raise spec.replicas, or spec.limits if the pods have processor and memory left.",
    HealthCode.ERROR_RATE: "See mizzen_requests_total by outcome, and the pods' log, for what fails.",
    HealthCode.LATENCY: "Have the model looked at, or raise spec.health.maxLatency if it takes what it takes.",
}
"""What helps."""


class HealthReason(ApiModel):
    """One reason why a pod is not well."""

    code: str
    """One of `HealthCode`; a later release may know more."""
    subject: str = ""
    """Which service or breaker, where it is about one."""
    status: HealthStatus
    """What it makes of the pod."""
    title: str
    """What is the case, in a few words; the same in every pod."""
    detail: str
    """Why. As long as that is the case, it does not change."""
    figures: str = ""
    """How it is at this moment, in a sentence; empty where there is nothing to count."""
    remedy: str
    """What helps."""
    lasts: bool = True
    """False: it has ended, and is told a little longer, so that nothing flaps."""


class HealthState(ApiModel):
    """How a pod is."""

    status: HealthStatus
    """The worst that its reasons make of it."""
    reasons: tuple[HealthReason, ...] = ()
    """Why it is not healthy."""
