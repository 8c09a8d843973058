"""What `spec.services` may say, and what is answered when it says something else."""

from typing import Any, Literal

import pytest

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.rendering import runtime_config
from tests.unit.api.test_agentdeployment import refusal, resource


def with_service(**fields: Any) -> dict[str, Any]:
    service = {"name": "database", "interface": "DatabaseService", "implementation": "postgres", **fields}
    return resource(services=[service])


def test_two_keys_of_a_secret_do_not_fill_one_field() -> None:
    keys = [{"key": "a", "field": "password"}, {"key": "password"}, {"key": "b"}, {"key": "c", "field": "b"}]
    assert refusal(with_service(secretRef={"name": "db", "keys": keys})) == (
        "spec.services[0].secretRef: several keys fill the field 'b', 'password': leave one of them; correct the value"
    )


@pytest.mark.parametrize("scope", ["request", "transient"])
@pytest.mark.parametrize("required", ["AtStart", "Always", "Never"])
def test_required_is_refused_where_nothing_is_pinged(scope: str, required: str) -> None:
    assert refusal(with_service(scope=scope, required=required)) == (
        "spec.services[0]: required is for a service with scope singleton, which is pinged; leave it out of one that "
        "runs make anew; correct the value"
    )


@pytest.mark.parametrize(
    ("given", "rendered"), [({}, "AtStart"), ({"required": "Never"}, "Never"), ({"scope": "request"}, "AtStart")]
)
def test_a_service_is_required_at_start_unless_it_says_otherwise(
    given: dict[str, str], rendered: Literal["AtStart", "Never"]
) -> None:
    config = runtime_config(AgentDeployment.model_validate(with_service(**given)), "r")
    assert config.services is not None
    assert config.services[0].required == rendered
