"""`breaker` of a model and of a service: when it is no longer asked, and when it is tried again."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mizzen_api.base import ApiModel
from mizzen_api.duration import Duration, seconds

WindowType = Literal["Count", "Time"]
Percent = Annotated[int, Field(ge=1, le=100)]
WindowSize = Annotated[int, Field(ge=1, le=1000)]
MinimumCalls = Annotated[int, Field(ge=1, le=1000)]
PermittedCalls = Annotated[int, Field(ge=1, le=100)]

WINDOW_HOLDS_THE_MINIMUM = (
    "minimumCalls must be at most windowSize where windowType is Count: a window of so few calls never holds them"
)


class RuntimeBreaker(ApiModel):
    """The settings of one breaker, as the runtime reads them."""

    failure_rate_percent: Percent
    """It opens when at least so many of the calls in its window failed."""
    slow_call_rate_percent: Percent
    """It opens when at least so many of them were slow."""
    slow_call_seconds: Annotated[float, Field(gt=0)]
    """A call that takes longer is slow."""
    window_type: WindowType
    """Whether its window holds calls, or the calls of some seconds."""
    window_size: WindowSize
    """How many calls, or seconds."""
    minimum_calls: MinimumCalls
    """How many calls the window must hold before a rate says anything."""
    wait_in_open_seconds: Annotated[float, Field(gt=0)]
    """How long it stays open."""
    permitted_calls_in_half_open: PermittedCalls
    """How many calls then decide whether it closes."""


class BreakerSpec(ApiModel):
    """When a model or a service is no longer asked because its calls fail or are slow, and when it is tried again."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                {
                    "rule": "self.windowType != 'Count' || self.minimumCalls <= self.windowSize",
                    "message": WINDOW_HOLDS_THE_MINIMUM,
                }
            ]
        }
    }

    failure_rate_percent: Percent = 50
    """It opens when at least so many of the calls in its window failed."""
    slow_call_rate_percent: Percent = 100
    """It opens when at least so many of the calls in its window were slow."""
    slow_call_duration: Duration = "60s"
    """A call that takes longer is slow, such as `20s`; of a streamed answer, the time to its first piece counts."""
    window_type: WindowType = "Count"
    """Count: the window holds the last calls. Time: the calls of the last seconds."""
    window_size: WindowSize = 20
    """How many calls the window holds, or of how many seconds."""
    minimum_calls: MinimumCalls = 5
    """How many calls the window must hold before it can open."""
    wait_in_open: Duration = "30s"
    """How long nothing is asked after it has opened."""
    permitted_calls_in_half_open: PermittedCalls = 3
    """How many calls are let through then, and no more, to decide whether it closes or opens again."""

    @model_validator(mode="after")
    def _window_holds_the_minimum(self) -> Self:
        if self.window_type == "Count" and self.minimum_calls > self.window_size:
            raise ValueError(WINDOW_HOLDS_THE_MINIMUM)
        return self

    def rendered(self) -> RuntimeBreaker:
        """Give the settings as the runtime reads them."""
        return RuntimeBreaker(
            failure_rate_percent=self.failure_rate_percent,
            slow_call_rate_percent=self.slow_call_rate_percent,
            slow_call_seconds=seconds(self.slow_call_duration),
            window_type=self.window_type,
            window_size=self.window_size,
            minimum_calls=self.minimum_calls,
            wait_in_open_seconds=seconds(self.wait_in_open),
            permitted_calls_in_half_open=self.permitted_calls_in_half_open,
        )


DEFAULT_BREAKER = BreakerSpec().rendered()
"""What each model of a chain has for which the resource says nothing."""
