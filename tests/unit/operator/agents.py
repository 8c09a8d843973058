"""The resources whose rendered objects are kept as golden files."""

from typing import Any

from mizzen_api.agentdeployment import AgentDeployment
from tests.unit.operator.builders import agent

EVERY_POD_FIELD: dict[str, Any] = {
    "image": "registry.example.com/acme/triage:7",
    "imagePullPolicy": "Always",
    "imagePullSecrets": [{"name": "registry"}],
    "resources": {
        "requests": {"cpu": "0.5", "memory": "0.25Gi", "ephemeral-storage": 1000000},
        "limits": {"cpu": 1, "memory": "1024Mi"},
    },
    "env": [
        {"name": "EMPTY", "value": ""},
        {"name": "LEVEL", "value": "debug"},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "token"}}},
    ],
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [
        {"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
        {"operator": "Exists"},
    ],
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 1,
                    "podAffinityTerm": {
                        "topologyKey": "kubernetes.io/hostname",
                        "labelSelector": {"matchLabels": {"app.kubernetes.io/instance": "triage"}},
                    },
                }
            ]
        }
    },
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/instance": "triage"}},
        }
    ],
    "priorityClassName": "system-node-critical",
    "serviceAccountName": "triage-account",
    "labels": {"team": "support", "app.kubernetes.io/part-of": "helpdesk"},
    "annotations": {"example.com/note": "kept as it is"},
}
"""`spec.pod` with every field, some of them in a form that the API server writes differently."""

FULL_SPEC: dict[str, Any] = {
    "agent": {
        "name": "triage",
        "description": "Sorts tickets.",
        "instructions": ["Triage the ticket.", "Answer in English."],
        "output_schema": {"type": "object", "properties": {"queue": {"type": ["string", "null"], "default": None}}},
        "model_settings": {"temperature": 0},
        "retries": {"output": 2},
        "tool_timeout": 5,
        "metadata": {"owner": "support"},
        "capabilities": [
            "Thinking",
            {"ToolSearch": {}},
            {"MCP": {"url": "http://crm/", "authorization_token": {"secret": "crm"}}},
        ],
    },
    "vars": {"team": "support"},
    "secrets": [{"name": "crm", "secretKeyRef": {"name": "crm-access", "key": "token"}}],
    "services": [
        {
            "name": "database",
            "interface": "DatabaseService",
            "implementation": "postgres",
            "settings": {"pool_size": 5},
            "configMapRef": {"name": "triage-db"},
            "secretRef": {"name": "triage-db", "keys": [{"key": "password"}, {"key": "login", "field": "user"}]},
            "required": "Always",
            "scope": "singleton",
        },
        {
            "name": "pricing",
            "interface": "acme.pricing:Pricing",
            "implementation": "acme.pricing:Table",
            "required": "Never",
            "scope": "singleton",
        },
    ],
    "models": [
        {
            "model": "vllm:qwen3-32b",
            "baseUrl": "https://vllm.models:8443/v1",
            "apiKey": {"secretKeyRef": {"name": "llm", "key": "token"}},
            "caBundle": {"configMapKeyRef": {"name": "trust", "key": "bundle.pem"}},
            "requestTimeout": "1m30s",
            "price": {"inputPerMillionTokens": "0.15", "outputPerMillionTokens": "2"},
        },
        {"model": "test"},
        {"model": "openai:gpt-5", "apiKey": {"secretKeyRef": {"name": "openai", "key": "api.key"}}},
    ],
    "health": {"maxErrorRatePercent": 5, "minRequests": 50, "window": "5m", "maxLatency": "2500ms"},
    "limits": {
        "maxConcurrentRequests": 20,
        "maxQueuedRequests": 0,
        "requestTimeout": "1m30.5s",
        "batchTimeout": "2h",
    },
    "logging": {"level": "debug"},
    "monitoring": {"tracing": {"endpoint": "http://otel-collector.observability:4318", "samplingRatio": 0.1}},
    "replicas": 3,
    "pod": EVERY_POD_FIELD,
}


def golden_agents() -> dict[str, AgentDeployment]:
    """Give the resources by the name of their golden file."""
    return {
        "minimal": agent(),
        "agent-names-its-model": agent(agent={"model": "openai:gpt-5", "instructions": "Be brief."}, models=None),
        "own-code": agent(
            agent=None,
            entrypoint="acme_triage.agents:triage",
            models=None,
            pod={"image": EVERY_POD_FIELD["image"], "env": EVERY_POD_FIELD["env"]},
        ),
        "full": agent("triage", **FULL_SPEC),
    }
