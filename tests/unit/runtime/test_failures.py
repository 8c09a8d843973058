import pytest
from pydantic_ai.exceptions import (
    ContentFilterError,
    FallbackExceptionGroup,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelNotFoundError,
    ModelOverloadedError,
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
    UserError,
)

from mizzen_runtime.agent.failures import facts_of, failure_of
from mizzen_runtime.container import ContainerClosedError, ServiceStartError
from mizzen_runtime.errors import Outcome
from mizzen_runtime.services import ServiceError, ServiceUnavailableError


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RunTimedOut("secret"), Outcome.DEADLINE_EXCEEDED),
        (ModelContextWindowExceededError("m", "secret"), Outcome.INVALID_INPUT),
        (ModelAuthenticationError("m", "secret"), Outcome.MODEL_REJECTED),
        (ModelNotFoundError("m", "secret"), Outcome.MODEL_REJECTED),
        (ModelRequestRejectedError("m", "secret"), Outcome.MODEL_REJECTED),
        (ModelRateLimitError("m", "secret"), Outcome.MODEL_UNAVAILABLE),
        (ModelQuotaExceededError("m", "secret"), Outcome.MODEL_UNAVAILABLE),
        (ModelUnavailableError("m", "secret"), Outcome.MODEL_UNAVAILABLE),
        (ModelOverloadedError("m", "secret"), Outcome.MODEL_UNAVAILABLE),
        (ModelServerError("m", "secret"), Outcome.MODEL_UNAVAILABLE),
        (ModelConnectionError("m", "secret"), Outcome.MODEL_UNAVAILABLE),
        (ModelTimeoutError("m", "secret"), Outcome.MODEL_UNAVAILABLE),
        (ModelRequestTimeout("m", 1.0), Outcome.MODEL_UNAVAILABLE),
        (ModelAPIError("m", "secret"), Outcome.MODEL_MISBEHAVED),
        (ContentFilterError("secret"), Outcome.MODEL_REFUSED),
        (OutputTokenLimitExceeded("secret"), Outcome.MODEL_MISBEHAVED),
        (UsageLimitExceeded("secret"), Outcome.MODEL_MISBEHAVED),
        (UnexpectedModelBehavior("secret"), Outcome.MODEL_MISBEHAVED),
        (ServiceUnavailableError("secret"), Outcome.SERVICE_UNAVAILABLE),
        (ServiceStartError(("secret",), "secret"), Outcome.SERVICE_UNAVAILABLE),
        (ContainerClosedError("secret"), Outcome.SERVICE_UNAVAILABLE),
        (ServiceError("secret"), Outcome.AGENT_FAILED),
        (UserError("secret"), Outcome.AGENT_FAILED),
        (KeyError("secret"), Outcome.AGENT_FAILED),
        (TimeoutError("secret"), Outcome.AGENT_FAILED),
        (ExceptionGroup("secret", [ValueError("secret")]), Outcome.AGENT_FAILED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_exception_has_one_meaning_and_keeps_its_text_to_itself(error: Exception, outcome: Outcome) -> None:
    failure = failure_of(error)

    assert failure.outcome is outcome
    assert "secret" not in failure.detail


def test_the_providers_wait_is_passed_on() -> None:
    assert failure_of(ModelRateLimitError("m", "secret", retry_after=3.5)).retry_after == 3.5


def test_a_services_wait_is_passed_on() -> None:
    assert failure_of(ServiceUnavailableError("away", retry_after=7)).retry_after == 7


def test_a_chain_that_failed_is_worth_another_try_when_one_of_its_models_is() -> None:
    group = FallbackExceptionGroup(
        "secret",
        [
            ModelRateLimitError("a", "secret", retry_after=9),
            FallbackExceptionGroup("secret", [ModelServerError("b", "secret", retry_after=2)]),
            ModelAuthenticationError("c", "secret"),
        ],
    )
    failure = failure_of(group)

    assert (failure.outcome, failure.retry_after) == (Outcome.MODEL_UNAVAILABLE, 2)


def test_a_chain_that_was_turned_down_throughout_is_not_worth_another_try() -> None:
    errors = [ModelAuthenticationError("a", "secret"), ModelContextWindowExceededError("b", "secret")]

    assert failure_of(FallbackExceptionGroup("secret", errors)).outcome is Outcome.INVALID_INPUT


def test_the_log_gets_codes_and_no_text() -> None:
    facts = facts_of(ModelServerError("m", "secret", body={"secret": 1}, provider_error_code="overloaded"))

    assert facts == {"kind": "ModelServerError", "status": None, "code": "overloaded"}
    assert facts_of(ValueError("secret")) == {}
