"""What a resource may say, and what is answered when it says something else."""

from typing import Any

import pytest
from pydantic import ValidationError

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.problems import join_problems, problems_of


def resource(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "mizzen.dev/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": "triage", "namespace": "support", "resourceVersion": "7"},
        "spec": {"agent": {"instructions": "Sort."}, "models": [{"model": "vllm:qwen3"}], **spec},
    }


def refusal(body: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as refused:
        AgentDeployment.model_validate(body)
    return join_problems(problems_of(refused.value))


def test_a_minimal_resource_is_one_pod_of_the_default_image() -> None:
    agent = AgentDeployment.model_validate(resource())
    assert (agent.spec.replicas, agent.spec.pod.image, agent.metadata.namespace) == (1, None, "support")


def test_a_full_model_endpoint_is_read() -> None:
    agent = AgentDeployment.model_validate(
        resource(
            models=[
                {
                    "model": "openai:gpt-5",
                    "baseUrl": "https://proxy.example:8443/v1",
                    "apiKey": {"secretKeyRef": {"name": "llm", "key": "token"}},
                    "requestTimeout": "1m30s",
                },
                {"model": "test"},
            ]
        )
    )
    assert agent.spec.models is not None
    assert agent.spec.models[0].api_key is not None
    assert agent.spec.models[0].api_key.secret_key_ref.name == "llm"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"replica": 2}, "spec.replica: unknown field; remove it, or correct its spelling"),
        ({"agent": {"instuctions": "x"}}, "spec.agent.instuctions: unknown field; remove it, or correct its spelling"),
        (
            {"agent": {"model": "test"}},
            "spec: give the model either in spec.agent.model or in spec.models, exactly one of the two",
        ),
        ({"models": None}, "spec: give the model either in spec.agent.model or in spec.models, exactly one"),
        ({"models": []}, "spec.models: tuple should have at least 1 item"),
        ({"replicas": -1}, "spec.replicas: input should be greater than or equal to 0 (it is -1)"),
        ({"models": [{"model": "gpt-5"}]}, "spec.models[0].model: string should match pattern"),
        ({"models": [{"model": "test", "requestTimeout": "30"}]}, "spec.models[0].requestTimeout: string should match"),
        ({"models": [{"model": "test", "baseUrl": "ftp://x"}]}, "spec.models[0].baseUrl: string should match pattern"),
        (
            {"models": [{"model": "test", "baseUrl": "https://user:pass@host/v1"}]},
            "spec.models[0].baseUrl: string should match pattern",
        ),
        (
            {"pod": {"env": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}},
            "spec.pod.env[0]: give exactly one of value and valueFrom",
        ),
        ({"pod": {"env": [{"name": "A", "valueFrom": {}}]}}, "give exactly one of secretKeyRef and fieldRef"),
    ],
)
def test_a_wrong_spec_is_told_with_its_path(change: dict[str, Any], message: str) -> None:
    assert message in refusal(resource(**change))


@pytest.mark.parametrize("name", ["a.b", "Triage", "1st", "a-", "x" * 53, "x" * 60])
def test_a_name_that_cannot_name_a_service_is_told_with_the_reason(name: str) -> None:
    body = resource()
    body["metadata"]["name"] = name
    assert "the name must be at most 52 characters" in refusal(body)


def test_all_problems_come_at_once() -> None:
    told = refusal(resource(replicas=-1, typo=1, models=[{"model": "x"}, {"modl": "test"}]))
    for path in ("spec.replicas", "spec.typo", "spec.models[0].model", "spec.models[1].model", "spec.models[1].modl"):
        assert f"{path}:" in told
