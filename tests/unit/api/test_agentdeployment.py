"""What a resource may say, and what is answered when it says something else."""

from typing import Any

import pytest
from pydantic import ValidationError

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.price import ModelPrice
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
    assert (agent.spec.replicas, agent.spec.pod.image, agent.metadata.namespace) == (None, None, "support")


def test_a_full_model_endpoint_is_read() -> None:
    agent = AgentDeployment.model_validate(
        resource(
            models=[
                {
                    "model": "openai:gpt-5",
                    "baseUrl": "https://proxy.example:8443/v1",
                    "apiKey": {"secretKeyRef": {"name": "llm", "key": "token"}},
                    "requestTimeout": "1m30s",
                    "price": {"inputPerMillionTokens": "0.15", "outputPerMillionTokens": "2"},
                },
                {"model": "test"},
            ]
        )
    )
    assert agent.spec.models is not None
    assert agent.spec.models[0].api_key is not None
    assert agent.spec.models[0].api_key.secret_key_ref.name == "llm"
    assert agent.spec.models[0].price == ModelPrice(input_per_million_tokens="0.15", output_per_million_tokens="2")


@pytest.mark.parametrize(
    "entrypoint", ["acme:triage", "acme_triage.agents:triage", "a.b.c:Agents.make_triage", "_a:_b"]
)
@pytest.mark.parametrize("models", [None, [{"model": "vllm:qwen3"}]])
def test_own_code_is_named_by_module_and_object_with_and_without_models(entrypoint: str, models: object) -> None:
    agent = AgentDeployment.model_validate(resource(agent=None, entrypoint=entrypoint, models=models))
    assert (agent.spec.entrypoint, agent.spec.agent) == (entrypoint, None)


@pytest.mark.parametrize(
    ("spec", "model"),
    [
        ({"models": [{"model": "vllm:qwen3"}, {"model": "test"}]}, "vllm:qwen3"),
        ({"agent": {"model": "openai:gpt-5"}, "models": None}, "openai:gpt-5"),
        ({"agent": None, "entrypoint": "acme:triage"}, "vllm:qwen3"),
        ({"agent": None, "entrypoint": "acme:triage", "models": None}, None),
    ],
)
def test_the_first_model_is_known_unless_own_code_names_it(spec: dict[str, Any], model: str | None) -> None:
    assert AgentDeployment.model_validate(resource(**spec)).spec.first_model == model


def test_two_wrong_sources_are_told_together() -> None:
    told = refusal(resource(entrypoint="acme:triage", models=None))
    assert "spec.agent or as own code in spec.entrypoint" in told
    assert "spec.agent.model or in spec.models" in told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entrypoint": "acme:triage"}, "spec: give the agent either in spec.agent or as own code in spec.entrypoint"),
        ({"agent": None}, "spec: give the agent either in spec.agent or as own code in spec.entrypoint, exactly one"),
        *(
            (
                {"agent": None, "entrypoint": wrong},
                "spec.entrypoint: write it as package.module:name, such as acme_triage.agents:triage",
            )
            for wrong in ("acme", "acme:", ":triage", "acme/agents:triage", "acme:tri-age", "acme:a:b", "1a:b", "a: b")
        ),
        ({"replica": 2}, "spec.replica: unknown field; remove it, or correct its spelling"),
        ({"agent": {"instuctions": "x"}}, "spec.agent.instuctions: unknown field; remove it, or correct its spelling"),
        (
            {"agent": {"model": "test"}},
            "spec: give the model either in spec.agent.model or in spec.models, exactly one of the two",
        ),
        ({"models": None}, "spec: give the model either in spec.agent.model or in spec.models, exactly one"),
        ({"models": []}, "spec.models: list should have at least 1 item"),
        ({"replicas": -1}, "spec.replicas: input should be greater than or equal to 0 (it is -1)"),
        (
            {"models": [{"model": "gpt-5"}]},
            "spec.models[0].model: write it as provider:name, such as openai:gpt-5.2 or vllm:qwen3-32b (it is 'gpt-5')",
        ),
        ({"agent": {"model": "gpt-5"}, "models": None}, "spec.agent.model: write it as provider:name, such as"),
        (
            {"models": [{"model": "test", "requestTimeout": "30"}]},
            "spec.models[0].requestTimeout: write it as 500ms, 30s or 1m30s (it is '30')",
        ),
        (
            {"models": [{"model": "test", "requestTimeout": "0s"}]},
            "spec.models[0].requestTimeout: must be more than 0 and at most 24h (it is '0s')",
        ),
        (
            {"limits": {"maxConcurrentRequests": 0}},
            "spec.limits.maxConcurrentRequests: input should be greater than or equal to 1",
        ),
        (
            {"limits": {"maxQueuedRequests": -1}},
            "spec.limits.maxQueuedRequests: input should be greater than or equal to 0",
        ),
        (
            {"limits": {"requestTimeout": "0s"}},
            "spec.limits.requestTimeout: must be more than 0 and at most 24h (it is '0s')",
        ),
        ({"models": [{"model": "test", "requestTimeout": "25h"}]}, "spec.models[0].requestTimeout: must be more than"),
        (
            {"models": [{"model": "test", "baseUrl": "ftp://x"}]},
            "spec.models[0].baseUrl: write it as http://host:port/path, without user",
        ),
        *(
            (
                {
                    "models": [
                        {"model": "test", "price": {"inputPerMillionTokens": dollars, "outputPerMillionTokens": "2"}}
                    ]
                },
                "spec.models[0].price.inputPerMillionTokens: " + message,
            )
            for dollars, message in (
                ("-1", "write it as a decimal number in quotes, such as \"0.15\" (it is '-1')"),
                ("0.1234567", "write it as a decimal number in quotes"),
                (0.15, 'write it as a decimal number in quotes, such as "0.15" (it is 0.15)'),
            )
        ),
        (
            {"models": [{"model": "test", "price": {"inputPerMillionTokens": "1"}}]},
            "spec.models[0].price.outputPerMillionTokens: ",
        ),
        ({"agent": {"instructions": {"text": "x"}}}, "spec.agent.instructions: write a text, or a list of texts; "),
        ({"agent": {"instructions": ["x", 5]}}, "spec.agent.instructions[1]: input should be a valid string"),
        ({"agent": {"retries": {"tool": 1}}}, "spec.agent.retries.tool: unknown field; remove it"),
        ({"agent": {"retries": {"tools": -1}}}, "spec.agent.retries.tools: input should be greater than or equal"),
        ({"agent": {"retries": "2"}}, "spec.agent.retries: write a number, or an object of tools and output (it is"),
        ({"agent": {"retries": 101}}, "spec.agent.retries: input should be less than or equal to 100 (it is 101)"),
        ({"agent": {"capabilities": "Thinking"}}, "spec.agent.capabilities: input should be a valid list"),
        ({"agent": {"capabilities": [5]}}, "spec.agent.capabilities[0]: write a name, or one pair of name and"),
        (
            {"pod": {"resources": {"limits": {"cpu": "banana"}}}},
            "spec.pod.resources.limits.cpu: write a quantity such as 500m, 2 or 256Mi (it is 'banana')",
        ),
        ({"pod": {"resources": {"limits": {"cpu": -1}}}}, "spec.pod.resources.limits.cpu: write a quantity such as"),
        (
            {"pod": {"resources": {"limits": {"cpu": 0.5}}}},
            "spec.pod.resources.limits.cpu: write a fraction in quotes, or in thousandths such as 500m (it is 0.5)",
        ),
        (
            {"pod": {"env": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}},
            "spec.pod.env[0]: give exactly one of value and valueFrom",
        ),
        ({"pod": {"env": [{"name": "A", "valueFrom": {}}]}}, "give exactly one of secretKeyRef and fieldRef"),
    ],
)
def test_a_wrong_spec_is_told_with_its_path(change: dict[str, Any], message: str) -> None:
    told = refusal(resource(**change))

    assert message in told
    assert told.count("; ") == 1, "one fault is one problem"


def test_a_password_in_an_address_is_not_repeated() -> None:
    told = refusal(resource(models=[{"model": "test", "baseUrl": "https://user:SECRET@host/v1"}]))

    assert "spec.models[0].baseUrl: write it as http://host:port/path, without user, password or query" in told
    assert "SECRET" not in told


def test_a_long_value_and_a_long_name_are_cut() -> None:
    told = refusal(resource(models=[{"model": "x" * 900_000}], **{"y" * 900_000: 1}))

    assert f"(it is '{'x' * 99}…')" in told
    assert f"spec.{'y' * 99}…: unknown field" in told
    assert len(told) < 500


def test_a_number_that_is_too_long_to_be_written_is_refused() -> None:
    assert "spec.replicas: input should be less than or equal to 1000; correct" in refusal(resource(replicas=10**5000))


@pytest.mark.parametrize("quantity", ["500m", "0.5", ".5", "5.", "+1", "256Mi", "1e3", "2E-1", "1.5Gi", 0, 2])
def test_quantities_of_kubernetes_are_taken(quantity: str | int) -> None:
    agent = AgentDeployment.model_validate(resource(pod={"resources": {"requests": {"cpu": quantity}}}))

    assert agent.spec.pod.resources is not None
    assert agent.spec.pod.resources.requests == {"cpu": quantity}


@pytest.mark.parametrize("name", ["a.b", "Triage", "1st", "a-", "x" * 53, "x" * 60])
def test_a_name_that_cannot_name_a_service_is_told_with_the_reason(name: str) -> None:
    body = resource()
    body["metadata"]["name"] = name
    assert "the name must be at most 52 characters" in refusal(body)


def test_all_problems_come_at_once() -> None:
    told = refusal(resource(replicas=-1, typo=1, models=[{"model": "x"}, {"modl": "test"}]))
    for path in ("spec.replicas", "spec.typo", "spec.models[0].model", "spec.models[1].model", "spec.models[1].modl"):
        assert f"{path}:" in told
