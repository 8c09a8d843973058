"""The generated CRD on a real API server: accepted, structural, read back as it was written."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from devcluster import DevCluster
from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.crd import custom_resource_definition
from tests.support.namespace import Namespace, agent_deployment
from tests.support.waiting import wait_for

NAME = "agentdeployments.mizzen.dev"

BREAKER = {
    "failureRatePercent": 30,
    "slowCallRatePercent": 80,
    "slowCallDuration": "1m30s",
    "windowType": "Time",
    "windowSize": 10,
    "minimumCalls": 50,
    "waitInOpen": "500ms",
    "permittedCallsInHalfOpen": 7,
}
FULL_SPEC: dict[str, Any] = {
    "agent": {
        "name": "triage",
        "description": "Sorts tickets",
        "instructions": ["Be brief.", "Be kind."],
        "output_schema": {"type": "object", "properties": {"team": {"type": "string"}}, "required": ["team"]},
        "model_settings": {"temperature": 0.2, "extra_body": {"seed": 1}},
        "retries": {"tools": 1, "output": 2},
        "end_strategy": "early",
        "tool_timeout": 2.5,
        "metadata": {"team": {"name": "support"}},
        "capabilities": ["Thinking", {"Caching": {}}, {"MCP": {"authorization_token": {"secret": "crm-token"}}}],
    },
    "services": [
        {
            "name": "database",
            "interface": "DatabaseService",
            "implementation": "postgres",
            "settings": {"pool_size": 4},
            "configMapRef": {"name": "db"},
            "secretRef": {"name": "db", "keys": [{"key": "user", "field": "username"}, {"key": "password"}]},
            "required": "Always",
            "scope": "singleton",
            "breaker": BREAKER,
        }
    ],
    "vars": {"company": "ACME"},
    "secrets": [{"name": "crm-token", "secretKeyRef": {"name": "crm", "key": "token"}}],
    "models": [
        {
            "model": "vllm:qwen3-32b",
            "baseUrl": "http://vllm.models:8000/v1",
            "apiKey": {"secretKeyRef": {"name": "llm", "key": "token"}},
            "requestTimeout": "30s",
            "price": {"inputPerMillionTokens": "0.15", "outputPerMillionTokens": "2"},
            "breaker": BREAKER,
        },
        {"model": "test"},
    ],
    "health": {"maxErrorRatePercent": 5, "minRequests": 50, "window": "5m", "maxLatency": "2500ms"},
    "limits": {
        "maxConcurrentRequests": 20,
        "maxQueuedRequests": 0,
        "requestTimeout": "90s",
        "batchTimeout": "30m",
    },
    "logging": {"level": "debug"},
    "monitoring": {"tracing": {"endpoint": "http://otel-collector:4318", "samplingRatio": 0.5, "includeContent": True}},
    "replicas": 2,
    "pod": {
        "image": "registry.example/team/agent:1",
        "imagePullPolicy": "IfNotPresent",
        "imagePullSecrets": [{"name": "pull"}],
        "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"cpu": 1}},
        "env": [
            {"name": "A", "value": "1"},
            {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
        "priorityClassName": "high",
        "serviceAccountName": "own",
        "labels": {"team": "support"},
        "annotations": {"note": "x"},
    },
}


RUN_SCOPED = {"scope": "request", "required": "Never"}


@pytest.fixture(scope="module")
def crd(cluster: DevCluster) -> Iterator[dict[str, Any]]:
    """The CRD as the API server has it; gone afterwards unless the chart had installed it before."""
    installed = cluster.kubectl("get", "crd", NAME, "--ignore-not-found").stdout
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(generated()))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{NAME}", "--timeout=30s")
    yield json.loads(cluster.kubectl("get", "crd", NAME, "-o", "json").stdout)
    if not installed:
        cluster.kubectl("delete", "crd", NAME)


def generated() -> dict[str, Any]:
    return custom_resource_definition()


def test_the_api_server_gives_back_the_schema_as_it_was_generated(crd: dict[str, Any]) -> None:
    ours = generated()["spec"]["versions"][0]
    theirs = crd["spec"]["versions"][0]
    assert theirs["schema"] == ours["schema"]
    assert theirs["subresources"] == ours["subresources"]
    assert theirs["additionalPrinterColumns"] == ours["additionalPrinterColumns"]


def test_the_schema_is_structural(crd: dict[str, Any]) -> None:
    conditions = {condition["type"]: condition["status"] for condition in crd["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in conditions


def test_every_field_survives_the_api_server(crd: dict[str, Any], namespace: Namespace) -> None:
    namespace.apply(agent_deployment("triage", **FULL_SPEC), "--validate=strict")
    stored = namespace.get("agd", "triage")
    assert stored["spec"] == FULL_SPEC
    read = AgentDeployment.model_validate(stored)
    assert read.model_dump(mode="json", exclude_none=True, by_alias=True)["spec"]["models"] == FULL_SPEC["models"]


@pytest.mark.parametrize("models", [None, [{"model": "test"}]], ids=["without models", "with models"])
def test_own_code_survives_the_api_server_and_gets_no_agent_by_default(
    crd: dict[str, Any], namespace: Namespace, models: list[dict[str, str]] | None
) -> None:
    manifest = agent_deployment("triage", agent=None, entrypoint="acme_triage.agents:Agents.triage", models=models)
    namespace.apply(manifest, "--validate=strict")
    stored = namespace.get("agd", "triage")["spec"]
    assert {key: stored[key] for key in stored.keys() - {"pod", "replicas"}} == manifest["spec"]


def test_every_field_is_in_the_full_example() -> None:
    schema = generated()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]

    def missing(node: dict[str, Any], value: Any, path: str) -> list[str]:
        if "properties" not in node:
            return []
        lacking = [f"{path}.{name}" for name in node["properties"] if name not in value]
        for name, child in node["properties"].items():
            if name in value and isinstance(value[name], dict):
                lacking += missing(child, value[name], f"{path}.{name}")
        return lacking

    # The one excludes spec.agent, the other spec.models.
    assert missing(schema, FULL_SPEC, "spec") == ["spec.entrypoint", "spec.agent.model"]


def test_defaults_are_filled_in_by_the_api_server(crd: dict[str, Any], namespace: Namespace) -> None:
    namespace.apply(agent_deployment("triage"))
    spec = namespace.get("agd", "triage")["spec"]
    assert "replicas" not in spec, "whoever scales owns it, the operator fills it in"
    assert spec["agent"]["end_strategy"] == "graceful"
    assert "breaker" not in spec["models"][0], "a later default is for every model for which nobody said anything"


def test_the_scale_subresource_moves_replicas(crd: dict[str, Any], namespace: Namespace) -> None:
    namespace.apply(agent_deployment("triage"))
    namespace.kubectl("scale", "agd/triage", "--replicas=0")
    assert wait_for(lambda: namespace.get("agd", "triage")["spec"], "the spec")["replicas"] == 0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"models": [{"model": "gpt-5"}]}, "spec.models[0].model"),
        ({"entrypoint": "acme:triage"}, "give the agent either in spec.agent or as own code in spec.entrypoint"),
        ({"agent": None}, "give the agent either in spec.agent or as own code in spec.entrypoint"),
        ({"agent": None, "entrypoint": "acme.triage"}, "spec.entrypoint"),
        ({"agent": None, "entrypoint": "acme:tri-age"}, "spec.entrypoint"),
        ({"models": [{"model": "test", "requestTimeout": "30"}]}, "spec.models[0].requestTimeout"),
        *(
            ({"models": [{"model": "test", "requestTimeout": text}]}, "must be more than 0 and at most 24h")
            for text in ("0s", "0.0ms", "24h1s", "25h")
        ),
        ({"models": [{"model": "test", "baseUrl": "https://user:pass@host"}]}, "spec.models[0].baseUrl"),
        *(
            (
                {"models": [{"model": "test", "price": {"inputPerMillionTokens": dollars}}]},
                "spec.models[0].price.inputPerMillionTokens",
            )
            for dollars in (0.15, "-1", "1e3", "0.1234567")
        ),
        ({"models": []}, "spec.models"),
        ({"health": {"maxErrorRatePercent": 100}}, "spec.health.maxErrorRatePercent"),
        ({"health": {"minRequests": 0}}, "spec.health.minRequests"),
        ({"health": {"window": "9s"}}, "window must be at least 10s and at most 10m"),
        ({"health": {"window": "601s"}}, "window must be at least 10s and at most 10m"),
        ({"health": {"window": "soon"}}, "spec.health.window"),
        ({"health": {"maxLatency": "0s"}}, "must be more than 0 and at most 24h"),
        ({"limits": {"maxConcurrentRequests": 0}}, "spec.limits.maxConcurrentRequests"),
        ({"limits": {"maxQueuedRequests": 10001}}, "spec.limits.maxQueuedRequests"),
        ({"limits": {"requestTimeout": "25h"}}, "must be more than 0 and at most 24h"),
        ({"limits": {"batchTimeout": "soon"}}, "spec.limits.batchTimeout"),
        ({"replicas": -1}, "spec.replicas"),
        ({"pod": {"env": [{"name": "A"}]}}, "give exactly one of value and valueFrom"),
        ({"agent": {"tool_timeout": 0}}, "spec.agent.tool_timeout"),
        ({"agent": {"model": "gpt-5"}, "models": None}, "spec.agent.model"),
        ({"pod": {"resources": {"limits": {"cpu": "banana"}}}}, "spec.pod.resources.limits.cpu"),
        ({"pod": {"resources": {"limits": {"cpu": -1}}}}, "spec.pod.resources.limits.cpu"),
        ({"pod": {"resources": {"limits": {"cpu": 0.5}}}}, "spec.pod.resources.limits.cpu"),
        (
            {
                "services": [
                    {"name": "a", "interface": "A", "implementation": "b", "scope": "request", "required": "Never"}
                ]
            },
            "required is for a service with scope singleton, which is pinged; leave it out of one that runs make anew",
        ),
        (
            {"services": [{"name": "a", "interface": "A", "implementation": "b", "scope": "request", "breaker": {}}]},
            "breaker is for a service with scope singleton, of which there is one to be known",
        ),
        (
            {"models": [{"model": "test", "breaker": {"windowSize": 4}}]},
            "minimumCalls must be at most windowSize where windowType is Count",
        ),
        ({"models": [{"model": "test", "breaker": {"slowCallDuration": "0s"}}]}, "must be more than 0 and at most 24h"),
        ({"models": [{"model": "test", "breaker": {"failureRatePercent": 101}}]}, "spec.models[0].breaker"),
    ],
)
def test_a_wrong_value_is_refused_at_apply_with_its_path(
    crd: dict[str, Any], namespace: Namespace, spec: dict[str, Any], message: str
) -> None:
    assert message in namespace.refusal(agent_deployment("triage", **spec))
