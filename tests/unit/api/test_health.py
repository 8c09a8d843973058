"""What `spec.health` may say, what is answered when it says something else, and what the runtime is given of it."""

from typing import Any

import pytest

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.health import RuntimeHealth
from mizzen_api.rendering import runtime_config
from tests.unit.api.test_agentdeployment import refusal, resource


def rendered(**spec: Any) -> RuntimeHealth | None:
    return runtime_config(AgentDeployment.model_validate(resource(**spec)), "r").health


def test_a_resource_that_says_nothing_renders_as_it_did_before_there_was_anything_to_say() -> None:
    config = runtime_config(AgentDeployment.model_validate(resource()), "r")
    assert "health" not in config.model_dump_json(exclude_none=True)


def test_the_runtime_takes_what_is_left_out_to_be_what_the_resource_takes_it_to_be() -> None:
    assert rendered(health={}) is None
    assert rendered(health={"maxLatency": "9s"}) == RuntimeHealth(max_latency_seconds=9)


def test_every_field_reaches_the_runtime() -> None:
    given = {"maxErrorRatePercent": 5, "minRequests": 50, "window": "1m30s", "maxLatency": "2500ms"}
    assert rendered(health=given) == RuntimeHealth(
        max_error_rate_percent=5, min_requests=50, window_seconds=90, max_latency_seconds=2.5
    )


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no error may be": ({"maxErrorRatePercent": 0}, "maxErrorRatePercent: input should be greater than or equal to 1"),
    "all may be errors": (
        {"maxErrorRatePercent": 100},
        "maxErrorRatePercent: input should be less than or equal to 99",
    ),
    "no request": ({"minRequests": 0}, "minRequests: input should be greater than or equal to 1 (it is 0)"),
    "short window": ({"window": "9s"}, "window: must be at least 10s and at most 10m (it is '9s')"),
    "long window": ({"window": "601s"}, "window: must be at least 10s and at most 10m (it is '601s')"),
    "no duration": ({"window": "60"}, "window: write it as 500ms, 30s or 1m30s (it is '60')"),
    "no latency": ({"maxLatency": "0s"}, "maxLatency: must be more than 0 and at most 24h (it is '0s')"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_out_of_bounds_is_told_with_its_path(name: str) -> None:
    given, told = WRONG[name]
    assert f"spec.health.{told}" in refusal(resource(health=given))
