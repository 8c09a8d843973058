"""`mizzen run` serves every sample and every example, as it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from manifests.chart_values import CHECKOUT
from mizzen_api.names import KIND
from tests.integration.cli.command import MizzenRun, validate
from tests.integration.runtime.mcp_server import McpServer
from tests.integration.runtime.model_server import Behaviour, ModelServer, fills_in, says
from tests.integration.runtime.process import Json

FILES = [
    *sorted((CHECKOUT / "manifests" / "samples").glob("*.yaml")),
    *sorted((CHECKOUT / "examples").glob("*/agentdeployment.yaml")),
]
ANSWERS: dict[str, Behaviour] = {
    "structured": fills_in({"team": "billing", "urgency": "high", "summary": "It is down"}),
    "triage": fills_in({"team": "billing", "urgency": 3, "customer_id": None, "summary": "It is down"}),
}


def name_of(path: Path) -> str:
    return path.parent.name if path.stem == "agentdeployment" else path.stem


def has_agent(path: Path) -> bool:
    return any(document and document["kind"] == KIND for document in yaml.safe_load_all(path.read_text()))


def secrets_for(content: object) -> Iterator[Json]:
    """Give a Secret for each key that is referred to."""
    if isinstance(content, dict):
        for name, value in content.items():
            if name == "secretKeyRef":
                data = {"stringData": {value["key"]: "t0k3n"}}
                yield {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": value["name"]}, **data}
            yield from secrets_for(value)
    elif isinstance(content, list):
        for item in content:
            yield from secrets_for(item)


def with_servers_at(documents: list[Json], models: str, tools: str) -> list[Json]:
    """Have each agent ask a model server of the test, and a server of tools if it asks one."""
    for document in documents:
        for capability in document["spec"].get("agent", {}).get("capabilities", []) if document["kind"] == KIND else []:
            if isinstance(capability, dict) and "MCP" in capability:
                capability["MCP"]["url"] = tools
        for model in document["spec"].get("models", []) if document["kind"] == KIND else []:
            model.update(model="vllm:any", baseUrl=models)
    return documents


@pytest.mark.parametrize("path", [path for path in FILES if has_agent(path)], ids=name_of)
def test_a_sample_is_served_and_answers_as_soon_as_its_model_is_there(
    path: Path, tmp_path: Path, model_server: ModelServer, mcp_server: McpServer
) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(path.read_text())
    documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
    (tmp_path / "secrets.yaml").write_text(yaml.safe_dump_all(secrets_for(documents)))
    code = path.parent if path.parent.parent.name == "examples" else tmp_path
    files = ["-f", str(file), "-f", str(tmp_path / "secrets.yaml")]
    running = MizzenRun(tmp_path, *files, "--test-services", cwd=code)
    try:
        running.wait_told("Ctrl-C ends it")
        if all("baseUrl" in model for document in documents for model in document.get("spec", {}).get("models", [])):
            answer = running.ask()  # nothing on this machine has the address of a model in a cluster
            assert answer.status in {502, 503, 504}
            assert answer.headers["content-type"] == "application/problem+json"

        file.write_text(yaml.safe_dump_all(with_servers_at(documents, model_server.base_url, mcp_server.url)))
        running.wait_told("serves again")
        model_server.will(ANSWERS.get(name_of(path), says("Paris")))
        answer = running.ask()
        assert answer.status == 200, answer.body
        running.interrupt()
        assert running.exit_code() == 0
    finally:
        running.close()


def test_the_example_that_answers_by_itself_is_served(tmp_path: Path) -> None:
    folder = CHECKOUT / "examples" / "triage"
    running = MizzenRun(tmp_path, "-f", str(folder / "routing.yaml"), cwd=folder)
    try:
        running.wait_told("Ctrl-C ends it")
        asked = {"input": {"email": "nobody@example.com", "text": "Hello"}}
        answer = running.request("POST", "/v1/run", asked)
        assert answer.json["output"] == {"queue": "general", "orders": []}
        batch = running.request("POST", "/v1/batch", {"requests": [asked, {"input": "Hello"}]})
        assert [result["status"] for result in batch.json["results"]] == ["ok", "error"]
        running.interrupt()
        assert running.exit_code() == 0
    finally:
        running.close()


@pytest.mark.parametrize("path", [path for path in FILES if has_agent(path)], ids=name_of)
def test_a_sample_has_no_errors(path: Path) -> None:
    done = validate(path.parent, "-f", path.name)
    assert done.returncode == 0, done.stdout
    assert ": in order" in done.stdout


@pytest.mark.parametrize("path", [path for path in FILES if not has_agent(path)], ids=name_of)
def test_a_sample_without_an_agent_is_told_to_be_none(path: Path, tmp_path: Path) -> None:
    running = MizzenRun(tmp_path, "-f", str(path))
    assert running.exit_code() == 1
    assert "-f: there is no AgentDeployment in the files; name a file that has one" in running.output()
