"""What `breaker` may say, and what the runtime gets of it."""

from typing import Any

import pytest

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.breakers import DEFAULT_BREAKER, RuntimeBreaker
from mizzen_api.contract import RuntimeConfig
from mizzen_api.rendering import runtime_config
from tests.unit.api.test_agentdeployment import refusal, resource
from tests.unit.api.test_services import with_service

EVERYTHING = {
    "failureRatePercent": 30,
    "slowCallRatePercent": 80,
    "slowCallDuration": "1m30s",
    "windowType": "Time",
    "windowSize": 10,
    "minimumCalls": 50,
    "waitInOpen": "500ms",
    "permittedCallsInHalfOpen": 7,
}


def config_of(body: dict[str, Any]) -> RuntimeConfig:
    return runtime_config(AgentDeployment.model_validate(body), "r")


def of_model(**breaker: Any) -> RuntimeBreaker | None:
    return config_of(resource(models=[{"model": "test", "breaker": breaker}])).models[0].breaker


def test_every_setting_reaches_the_runtime_in_seconds() -> None:
    assert of_model(**EVERYTHING) == RuntimeBreaker(
        failure_rate_percent=30,
        slow_call_rate_percent=80,
        slow_call_seconds=90,
        window_type="Time",
        window_size=10,
        minimum_calls=50,
        wait_in_open_seconds=0.5,
        permitted_calls_in_half_open=7,
    )
    services = config_of(with_service(breaker=EVERYTHING)).services
    assert services is not None
    assert services[0].breaker == of_model(**EVERYTHING)


def test_what_is_left_out_of_it_has_its_default() -> None:
    assert of_model() == DEFAULT_BREAKER
    assert of_model(waitInOpen="5s") == DEFAULT_BREAKER.model_copy(update={"wait_in_open_seconds": 5.0})


def test_without_it_nothing_is_written_for_the_runtime() -> None:
    model = config_of(resource()).models[0]
    services = config_of(with_service()).services
    assert services is not None

    assert "breaker" not in model.model_dump(exclude_none=True)
    assert "breaker" not in services[0].model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("failureRatePercent", 0),
        ("failureRatePercent", 101),
        ("slowCallRatePercent", 0),
        ("slowCallDuration", "0s"),
        ("slowCallDuration", "25h"),
        ("windowType", "Calls"),
        ("windowSize", 1001),
        ("minimumCalls", 0),
        ("waitInOpen", "soon"),
        ("permittedCallsInHalfOpen", 101),
    ],
)
def test_what_is_out_of_bounds_is_told_with_its_field(field: str, value: object) -> None:
    model = {"model": "test", "breaker": {field: value}}
    assert refusal(resource(models=[model])).startswith(f"spec.models[0].breaker.{field}: ")


def test_a_window_of_calls_that_never_holds_the_minimum_is_refused() -> None:
    model = {"model": "test", "breaker": {"windowSize": 10, "minimumCalls": 11}}

    assert refusal(resource(models=[model])) == (
        "spec.models[0].breaker: minimumCalls must be at most windowSize where windowType is Count: a window of so few "
        "calls never holds them; correct the value"
    )
    assert of_model(windowType="Time", windowSize=10, minimumCalls=11) is not None


@pytest.mark.parametrize("scope", ["request", "transient"])
def test_it_is_refused_for_a_service_that_runs_make_anew(scope: str) -> None:
    assert refusal(with_service(scope=scope, breaker={})) == (
        "spec.services[0]: breaker is for a service with scope singleton, of which there is one to be known; leave it "
        "out of one that runs make anew; correct the value"
    )
