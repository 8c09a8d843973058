"""The samples are what the models take, and what they say about each other is true."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests.chart_values import CHECKOUT
from manifests.settings_page import settings_model
from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.names import KIND
from mizzen_runtime.testing.agent_under_test import agent_under_test

SAMPLES = sorted((CHECKOUT / "manifests" / "samples").glob("*.yaml"))


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


AGENTS = [path for path in SAMPLES if any(document["kind"] == KIND for document in documents(path))]


@pytest.mark.parametrize("path", AGENTS, ids=lambda path: path.stem)
def test_a_samples_agent_is_valid(path: Path) -> None:
    for document in documents(path):
        if document["kind"] == KIND:
            AgentDeployment.model_validate(document)


@pytest.mark.parametrize("path", AGENTS, ids=lambda path: path.stem)
def test_a_samples_agent_can_be_built(path: Path) -> None:
    async def build() -> None:
        async with agent_under_test(path):
            pass

    asyncio.run(build())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_begins_with_how_it_is_applied(path: Path) -> None:
    head = path.read_text().partition("apiVersion")[0]
    assert head.startswith("# ")
    assert f"manifests/samples/{path.name}" in head


@pytest.mark.parametrize("name", ["hello", "fallback", "services"])
def test_the_sample_that_answers_asks_the_sample_model_server(name: str) -> None:
    path = CHECKOUT / "manifests" / "samples" / f"{name}.yaml"
    (agent,) = (document for document in documents(path) if document["kind"] == KIND)
    service, deployment = documents(CHECKOUT / "manifests" / "samples" / "model-server.yaml")
    model = agent["spec"]["models"][-1]
    port = service["spec"]["ports"][0]["port"]
    assert model["baseUrl"] == f"http://{service['metadata']['name']}:{port}/v1"
    server = (CHECKOUT / "images" / "model-server" / "server.py").read_text()
    assert f'MODEL_NAME = "{model["model"].partition(":")[2]}"' in server
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def test_the_settings_of_a_samples_services_are_those_of_their_models() -> None:
    path = CHECKOUT / "manifests" / "samples" / "services.yaml"
    config_map, secret, manifest = documents(path)
    assert config_map["data"]["base_url"] in manifest["spec"]["models"][0]["baseUrl"], "it is there when the model is"
    for service in AgentDeployment.model_validate(manifest).spec.services or ():
        given = dict(service.settings or {})
        if service.config_map_ref is not None and service.secret_ref is not None:
            assert service.config_map_ref.name == config_map["metadata"]["name"]
            assert service.secret_ref.name == secret["metadata"]["name"]
            given |= config_map["data"] | secret["stringData"]
        settings_model(service.implementation).model_validate(given)


def test_the_first_model_of_the_fallback_is_one_that_nobody_serves() -> None:
    (fallback,) = documents(CHECKOUT / "manifests" / "samples" / "fallback.yaml")
    host = fallback["spec"]["models"][0]["baseUrl"].removeprefix("http://").partition(":")[0]
    served = {document["metadata"]["name"] for path in SAMPLES for document in documents(path)}
    assert host not in served
