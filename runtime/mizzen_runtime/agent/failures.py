"""What an exception of a run means, for its caller and for the chain. The only place that knows pydantic-ai's.

Its table is in `docs/models.md`, where a test reads it.
"""

from collections.abc import Iterator, Mapping

from pydantic_ai.exceptions import (
    ContentFilterError,
    FallbackExceptionGroup,
    ModelAPIError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelRequestTimeout,
    ModelServerError,
    ModelTimeoutError,
    ModelUnavailableError,
    OutputTokenLimitExceeded,
    RunTimedOut,
    UnexpectedModelBehavior,
    UsageLimitExceeded,
)

from mizzen_runtime.breakers import BreakerOpenError
from mizzen_runtime.container import ContainerClosedError, ServiceStartError
from mizzen_runtime.errors import Outcome, RunError
from mizzen_runtime.services import ServiceUnavailableError

AGENT_FAILED = "the agent failed; its log has the request id and the place"

_MEANINGS: tuple[tuple[type[Exception], Outcome, str], ...] = (
    (RunTimedOut, Outcome.DEADLINE_EXCEEDED, "the answer was not complete within the time that a request may take"),
    (ModelContextWindowExceededError, Outcome.INVALID_INPUT, "the input is longer than the model can read"),
    (
        ModelRequestRejectedError,
        Outcome.MODEL_REJECTED,
        "the model's provider turned the request down: key, model name or settings are wrong",
    ),
    (ModelRateLimitError, Outcome.MODEL_UNAVAILABLE, "the model's provider limits the rate of requests"),
    (ModelQuotaExceededError, Outcome.MODEL_UNAVAILABLE, "the account at the model's provider has no quota left"),
    (ModelRequestTimeout, Outcome.MODEL_UNAVAILABLE, "the model did not answer in time"),
    (ModelTimeoutError, Outcome.MODEL_UNAVAILABLE, "the model did not answer in time"),
    (ModelConnectionError, Outcome.MODEL_UNAVAILABLE, "the model's provider cannot be reached, or broke off"),
    (ModelUnavailableError, Outcome.MODEL_UNAVAILABLE, "the model's provider is overloaded or down"),
    (ModelServerError, Outcome.MODEL_UNAVAILABLE, "the model's provider failed"),
    (
        BreakerOpenError,
        Outcome.MODEL_UNAVAILABLE,
        "the model is not asked for now: it failed or was slow too often, or its provider said when to ask again",
    ),
    (ModelAPIError, Outcome.MODEL_MISBEHAVED, "the model's provider answered what cannot be read, or only a part"),
    (ContentFilterError, Outcome.MODEL_REFUSED, "the model, or its provider's filter, declined to answer this input"),
    (
        OutputTokenLimitExceeded,
        Outcome.MODEL_MISBEHAVED,
        "the model's answer was cut at its token limit; `model_settings.max_tokens` raises it",
    ),
    (
        UsageLimitExceeded,
        Outcome.MODEL_MISBEHAVED,
        "the model did not come to an answer within the requests that a run may make",
    ),
    (
        UnexpectedModelBehavior,
        Outcome.MODEL_MISBEHAVED,
        "the model's answer could not be used, also not after asking it again",
    ),
    (ServiceUnavailableError, Outcome.SERVICE_UNAVAILABLE, "a service of the agent cannot be reached, or not in time"),
    (ServiceStartError, Outcome.SERVICE_UNAVAILABLE, "a service of the agent could not be made ready"),
    (ContainerClosedError, Outcome.SERVICE_UNAVAILABLE, "the agent's services are closed: its process ends"),
    (Exception, Outcome.AGENT_FAILED, AGENT_FAILED),
)
"""The first one that fits counts: an exception comes before its base classes."""

_SAY_WHEN = (ModelAPIError, ServiceUnavailableError, BreakerOpenError)
"""Those that may say after which time it is worth asking again."""

FALLS_OVER = frozenset(
    {Outcome.MODEL_UNAVAILABLE, Outcome.MODEL_REJECTED, Outcome.MODEL_MISBEHAVED, Outcome.INVALID_INPUT}
)
"""Outcomes of an attempt after which the next model of the chain is asked.

Another model may be up, may know the key, may speak properly, may read a longer input. A refusal is an answer: who
asks one model after another until one complies goes round the policy of the first. A fault of own code would be the
same with every model.
"""


def falls_over(error: Exception) -> bool:
    """Tell whether the next model of the chain is asked after an attempt that failed with `error`."""
    return failure_of(error).outcome in FALLS_OVER


def failure_of(error: Exception) -> RunError:
    """Translate what a run raised; what is not the model's doing is the agent's own failure."""
    if isinstance(error, FallbackExceptionGroup):
        return _exhausted(list(_leaves(error)))
    outcome, detail = next((outcome, detail) for kind, outcome, detail in _MEANINGS if isinstance(error, kind))
    after = error.retry_after if isinstance(error, _SAY_WHEN) else None
    return RunError(outcome, detail, retry_after=after)


def _exhausted(errors: list[Exception]) -> RunError:
    """Tell of a chain in which every model failed: what passes by waiting comes before what does not."""
    failures = [failure_of(error) for error in errors]
    waits = [failure for failure in failures if failure.outcome is Outcome.MODEL_UNAVAILABLE]
    if not waits:
        return failures[-1]
    seconds = [failure.retry_after for failure in waits if failure.retry_after is not None]
    was_asked = any(not isinstance(error, BreakerOpenError) for error in errors)
    detail = "every model of the chain failed" if was_asked else "no model of the chain is asked for now: all failed"
    return RunError(Outcome.MODEL_UNAVAILABLE, detail, retry_after=min(seconds, default=None))


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def facts_of(error: BaseException) -> Mapping[str, object]:
    """Give what may be logged of a model's failure: type, status and code, never its text, which may hold content."""
    if isinstance(error, BreakerOpenError):
        return {"kind": type(error).__name__, "breaker": error.breaker}
    if not isinstance(error, ModelAPIError):
        return {}
    status = getattr(error, "status_code", None)
    return {"kind": type(error).__name__, "status": status, "code": error.provider_error_code}
