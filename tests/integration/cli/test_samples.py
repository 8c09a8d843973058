"""`mizzen run` serves every sample and every example, as it is."""

import re
from pathlib import Path

import pytest
import yaml

from manifests.chart_values import CHECKOUT
from mizzen_api.names import KIND
from tests.integration.cli.command import MizzenRun, validate
from tests.integration.runtime.model_server import Behaviour, ModelServer, fills_in, says

FILES = [
    *sorted((CHECKOUT / "manifests" / "samples").glob("*.yaml")),
    *sorted((CHECKOUT / "examples").glob("*/agentdeployment.yaml")),
]
ANSWERS: dict[str, Behaviour] = {
    "structured": fills_in({"urgency": "high", "summary": "It is down"}),
    "triage": fills_in({"urgency": "high", "team": "billing", "reply": "We look into it."}),
}
SECRET_OF_EXAMPLE = "apiVersion: v1\nkind: Secret\nmetadata: {name: llm}\nstringData: {token: t0k3n}\n"


def name_of(path: Path) -> str:
    return path.parent.name if path.stem == "agentdeployment" else path.stem


def has_agent(path: Path) -> bool:
    return any(document and document["kind"] == KIND for document in yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("path", [path for path in FILES if has_agent(path)], ids=name_of)
def test_a_sample_is_served_and_answers_as_soon_as_its_model_is_there(
    path: Path, tmp_path: Path, model_server: ModelServer
) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(path.read_text())
    (tmp_path / "secret.yaml").write_text(SECRET_OF_EXAMPLE)
    has_services = "\n  services:" in path.read_text()
    more = ["--test-services"] if has_services else []
    code = path.parent if path.parent.parent.name == "examples" else tmp_path
    files = ["-f", str(file), "-f", str(tmp_path / "secret.yaml")]
    running = MizzenRun(tmp_path, *files, *more, cwd=code)
    try:
        running.wait_told("Ctrl-C ends it")
        answer = running.ask()  # nothing on this machine has the address of a model in a cluster
        assert answer.status in {502, 503, 504}
        assert answer.headers["content-type"] == "application/problem+json"

        file.write_text(re.sub(r"baseUrl: \S+", f"baseUrl: {model_server.base_url}", path.read_text()))
        running.wait_told("serves again")
        model_server.will(ANSWERS.get(name_of(path), says("Paris")))
        answer = running.ask()
        assert answer.status == 200, answer.body
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
