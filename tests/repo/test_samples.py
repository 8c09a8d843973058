"""The samples are what the models take, and what they say about each other is true."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests.chart_values import CHECKOUT
from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.names import KIND

SAMPLES = sorted((CHECKOUT / "manifests" / "samples").glob("*.yaml"))


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


AGENTS = [path for path in SAMPLES if any(document["kind"] == KIND for document in documents(path))]


@pytest.mark.parametrize("path", AGENTS, ids=lambda path: path.stem)
def test_a_samples_agent_is_valid(path: Path) -> None:
    for document in documents(path):
        AgentDeployment.model_validate(document)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_begins_with_how_it_is_applied(path: Path) -> None:
    head = path.read_text().partition("apiVersion")[0]
    assert head.startswith("# ")
    assert f"manifests/samples/{path.name}" in head


@pytest.mark.parametrize("name", ["hello", "fallback"])
def test_the_sample_that_answers_asks_the_sample_model_server(name: str) -> None:
    (agent,) = documents(CHECKOUT / "manifests" / "samples" / f"{name}.yaml")
    service, deployment = documents(CHECKOUT / "manifests" / "samples" / "model-server.yaml")
    model = agent["spec"]["models"][-1]
    port = service["spec"]["ports"][0]["port"]
    assert model["baseUrl"] == f"http://{service['metadata']['name']}:{port}/v1"
    server = (CHECKOUT / "images" / "model-server" / "server.py").read_text()
    assert f'MODEL_NAME = "{model["model"].partition(":")[2]}"' in server
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def test_the_first_model_of_the_fallback_is_one_that_nobody_serves() -> None:
    (fallback,) = documents(CHECKOUT / "manifests" / "samples" / "fallback.yaml")
    host = fallback["spec"]["models"][0]["baseUrl"].removeprefix("http://").partition(":")[0]
    served = {document["metadata"]["name"] for path in SAMPLES for document in documents(path)}
    assert host not in served
