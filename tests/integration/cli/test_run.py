"""`mizzen run`: an agent without a cluster, that follows its files."""

import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from tests.integration.cli.acme import AGENT, CODE, SECRET, WORDS
from tests.integration.cli.command import MizzenRun, free_address
from tests.integration.cli.conftest import Run
from tests.integration.runtime.model_server import ModelServer, calls, says
from tests.integration.runtime.process import until

SERVES = "Ctrl-C ends it"


@pytest.fixture
def files(tmp_path: Path, model_server: ModelServer) -> Path:
    """Give a folder with an agent, its objects and its own code."""
    folder = tmp_path / "deploy"
    folder.mkdir()
    (tmp_path / "acme.py").write_text(CODE)
    (folder / "agent.yaml").write_text(AGENT.replace("http://127.0.0.1:9/v1", model_server.base_url))
    (folder / "words.yaml").write_text(WORDS)
    (folder / "secret.yaml").write_text(SECRET)
    return folder


def replace(path: Path, old: str, new: str) -> None:
    """Change a file as an editor does: another one takes its place."""
    assert old in path.read_text()
    fresh = path.with_suffix(".new")
    fresh.write_text(path.read_text().replace(old, new))
    fresh.replace(path)


def greeting(running: MizzenRun, server: ModelServer) -> str:
    """Have the agent call its tool, and give what that said."""
    asked = len(server.requests)
    server.will(calls("greet", {}), says("Done"))
    answer = running.ask()
    assert answer.status == 200, answer.body
    return str(server.requests[asked + 1]["messages"][-1]["content"])


def test_an_agent_is_served_with_its_services_and_says_where(run: Run, files: Path, model_server: ModelServer) -> None:
    running = run("-f", "deploy")
    running.wait_told(SERVES)
    assert greeting(running, model_server) == "hello from here"
    assert model_server.headers[0]["authorization"] == "Bearer first"
    running.wait_told("service greeter (acme:Greeter by acme:WordGreeter) is healthy")
    url = f"http://{running.address}:8080"
    assert running.output().splitlines()[:7] == [
        f"default/greeter serves at {url}",
        f"""  curl {url}/v1/run -H 'Content-Type: application/json' -d '{{"input": "Hello"}}'""",
        f"  http://{running.address}:8081/readyz?verbose, /metrics and /state tell how it is",
        f"  model vllm:scripted at {model_server.base_url}",
        "  service greeter: acme:Greeter by acme:WordGreeter",
        "watching deploy",
        "Ctrl-C ends it",
    ]
    running.interrupt()
    assert running.exit_code() == 0
    assert "Traceback" not in running.errors()


def test_changed_contents_are_taken_up_by_the_running_agent(run: Run, files: Path, model_server: ModelServer) -> None:
    running = run("-f", "deploy")
    running.wait_told(SERVES)
    (process,) = running.children()
    assert greeting(running, model_server) == "hello from here"

    replace(files / "words.yaml", "hello", "good day")
    running.wait_told("ConfigMap words has changed: the running agent takes it up within 2 s")
    until(lambda: greeting(running, model_server) == "good day from here", "it is taken up", 30)

    replace(files / "words.yaml", "word: good day", 'word: good day\n  loud: "1"')
    running.wait_told(
        "deploy/words.yaml:6: ConfigMap 'words', key 'loud': the setting 'loud' of service 'greeter' does not exist; "
        "known are shout, word"
    )
    running.wait_told("the changed contents are not taken up: the agent goes on with those before")
    assert greeting(running, model_server) == "good day from here"
    assert running.children() == [process]


def test_the_level_of_the_log_changes_in_the_running_agent(run: Run, files: Path, model_server: ModelServer) -> None:
    running = run("-f", "deploy")
    running.wait_told(SERVES)
    processes = running.children()

    replace(files / "agent.yaml", "spec:\n", "spec:\n  logging: {level: debug}\n")
    running.wait_told("spec.logging has changed: the running agent takes it up within 2 s")
    until(lambda: '"subject":"the level of the log"' in running.errors(), "it is in force", 30)
    assert greeting(running, model_server) == "hello from here"
    until(lambda: '"attempts":[' in running.errors(), "an answer tells its attempts")

    assert running.children() == processes


def test_a_changed_resource_is_checked_and_then_takes_the_place_of_the_running_one(
    run: Run, files: Path, model_server: ModelServer
) -> None:
    running = run("-f", "deploy")
    running.wait_told(SERVES)
    (process,) = running.children()

    replace(files / "agent.yaml", "value: here", "valeu: here")
    running.wait_told("deploy/agent.yaml:20: spec.pod.env[0].valeu: unknown field; remove it, or correct its spelling")
    running.wait_told("the change is not taken up: what runs goes on as it was")
    replace(files / "agent.yaml", "valeu: here", "value: there")
    replace(files / "agent.yaml", "acme:greet", "acme:gret")
    running.wait_told("acme has no 'gret'; did you mean 'greet'?")
    assert greeting(running, model_server) == "hello from here"
    assert running.children() == [process]

    replace(files / "agent.yaml", "acme:gret", "acme:greet")
    running.wait_told("a variable of spec.pod.env has changed: the running agent answers what it has begun")
    running.wait_told(f"default/greeter serves again at http://{running.address}:8080")
    assert greeting(running, model_server) == "hello from there"
    assert running.children() != [process]


def test_changed_own_code_is_taken_up(run: Run, files: Path, tmp_path: Path, model_server: ModelServer) -> None:
    running = run("-f", "deploy")
    running.wait_told(SERVES)
    replace(tmp_path / "acme.py", " from {", " out of {")
    running.wait_told("own code has changed: the running agent")
    running.wait_told("serves again")
    assert greeting(running, model_server) == "hello out of here"
    (tmp_path / "acme.py").write_text("def")
    running.wait_told("SyntaxError")
    running.wait_told("the change is not taken up")
    assert greeting(running, model_server) == "hello out of here"


def test_changed_code_beside_what_the_resource_names_is_taken_up(
    run: Run, files: Path, tmp_path: Path, model_server: ModelServer
) -> None:
    (tmp_path / "place.py").write_text("WORD = 'out of'\n")
    replace(tmp_path / "acme.py", "import asyncio", "import asyncio\nimport place")
    replace(tmp_path / "acme.py", " from {", " {place.WORD} {")
    running = run("-f", "deploy")
    running.wait_told(SERVES)
    replace(tmp_path / "place.py", "out of", "into")
    running.wait_told("serves again")
    assert greeting(running, model_server) == "hello into here"


def test_a_fault_is_told_with_the_line_that_it_has_now(run: Run, files: Path, tmp_path: Path) -> None:
    running = run("-f", "deploy")
    running.wait_told(SERVES)
    replace(files / "agent.yaml", "apiVersion", "# a line more\napiVersion")
    running.wait_told("the files have changed, and nothing that concerns the running agent")
    (files / "secret.yaml").unlink()
    running.wait_told("deploy/agent.yaml:13: spec.models[0].apiKey.secretKeyRef: Secret 'llm' is not in the files")


def test_no_reload_leaves_changes_alone(run: Run, files: Path, model_server: ModelServer) -> None:
    running = run("-f", "deploy", "--no-reload")
    running.wait_told(SERVES)
    assert "watching" not in running.output()
    replace(files / "words.yaml", "hello", "good day")
    running.wait_told("is healthy")  # told by the same loop that would look at files
    assert greeting(running, model_server) == "hello from here"
    assert "has changed" not in running.output()


def test_ctrl_c_lets_a_running_request_end_and_a_second_one_does_not(
    run: Run, files: Path, model_server: ModelServer
) -> None:
    replace(files / "agent.yaml", "acme:greet", "acme:dawdle")
    for seconds, code in (("3", 0), ("3000", 130)):
        running = run("-f", "deploy", SECONDS=seconds)
        running.wait_told(SERVES)
        (process,) = running.children()
        model_server.will(calls("dawdle", {}), says("Done"))
        answers: list[int] = []
        asking = threading.Thread(target=_ask, args=(running, answers))
        asking.start()
        until(lambda running=running: running.state()["inFlight"] == 1, "the request runs")  # type: ignore[misc]
        running.interrupt()
        running.wait_told("ending: running requests are answered first; Ctrl-C once more ends at once")
        if code:
            running.interrupt()
        assert running.exit_code() == code
        asking.join()
        assert answers == ([200] if code == 0 else [])
        assert not Path(f"/proc/{process}").exists()


def _ask(running: MizzenRun, answers: list[int]) -> None:
    try:
        answers.append(running.ask().status)
    except OSError:
        return


def test_nothing_is_left_behind(run: Run, files: Path, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    running = run("-f", "deploy", TMPDIR=str(tmp_path / "tmp"))
    running.wait_told(SERVES)
    assert [path.read_text() for path in (tmp_path / "tmp").rglob("api-key")]
    running.process.send_signal(signal.SIGTERM)
    assert running.exit_code() == 0
    assert list((tmp_path / "tmp").iterdir()) == []


def test_nothing_is_left_behind_by_one_that_is_killed(run: Run, files: Path, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    running = run("-f", "deploy", TMPDIR=str(tmp_path / "tmp"))
    running.wait_told(SERVES)
    (child,) = running.children()
    running.process.kill()
    until(lambda: not _lives(child), "the runtime has ended", 30)
    assert list((tmp_path / "tmp").iterdir()) == []


def _lives(process: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for does not."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


def test_an_agent_that_ends_by_itself_is_told(run: Run, files: Path) -> None:
    running = run("-f", "deploy")
    running.wait_told(SERVES)
    (process,) = running.children()
    os.kill(process, signal.SIGKILL)
    assert running.exit_code() == 1
    assert "the agent has ended by itself, with exit code -9" in running.output()


def test_a_missing_secret_ends_it_with_the_way_to_write_it(run: Run, files: Path) -> None:
    (files / "secret.yaml").unlink()
    running = run("-f", "deploy")
    assert running.exit_code() == 1
    assert running.output() == (
        "deploy/agent.yaml:12: spec.models[0].apiKey.secretKeyRef: Secret 'llm' is not in the files; add it to them: "
        "{apiVersion: v1, kind: Secret, metadata: {name: llm}, stringData: {token: <value>}}\n"
    )


def test_a_port_that_is_taken_is_told(run: Run, files: Path) -> None:
    address = free_address()
    with socket.create_server((address, 8080)):
        running = run("-f", "deploy", address=address)
        assert running.exit_code() == 1
    assert running.output() == (
        f"--port 8080: something listens on {address} there already; stop it, or name another port\n"
        "the agent did not start\n"
    )


def test_a_second_one_on_the_same_ports_does_not_take_the_answers_of_the_first_for_its_own(
    run: Run, files: Path, tmp_path: Path
) -> None:
    first = run("-f", "deploy")
    first.wait_told(SERVES)
    second = run("-f", "deploy", address=first.address)
    assert second.exit_code() == 1
    assert "serves at" not in second.output()
    assert f"--management-port 8081: something listens on {first.address} there already; " in second.output()


def test_of_two_agents_one_is_named(run: Run, files: Path, tmp_path: Path) -> None:
    second = tmp_path / "other.yaml"
    agent = (
        "apiVersion: mizzen.dev/v1alpha1\nkind: AgentDeployment\nmetadata: {name: other}\nspec: {agent: {model: test}}"
    )
    second.write_text(agent)
    running = run("-f", "deploy", "-f", "other.yaml")
    assert running.exit_code() == 2
    assert running.output() == (
        "--name: the files have several agents: default/greeter, default/other; say which one by --name NAME\n"
    )
    running = run("-f", "deploy", "-f", "other.yaml", "--name", "another")
    assert running.exit_code() == 1
    assert "no agent has the name 'another'; the files have default/greeter, default/other" in running.output()
    running = run("-f", "deploy", "-f", "other.yaml", "--name", "other")
    running.wait_told(SERVES)
    assert running.ask().status == 200


def test_doubles_stand_in_for_services(run: Run, tmp_path: Path) -> None:
    service = "{name: database, interface: DatabaseService, implementation: postgres, secretRef: {name: db}}"
    pod = "{image: acme:1, nodeSelector: {a: b}, priorityClassName: c}"
    spec = f"{{agent: {{model: test}}, services: [{service}], pod: {pod}}}"
    agent = f"apiVersion: mizzen.dev/v1alpha1\nkind: AgentDeployment\nmetadata: {{name: x}}\nspec: {spec}\n"
    (tmp_path / "agent.yaml").write_text(agent)
    running = run("-f", "agent.yaml", "--test-services")
    running.wait_told(SERVES)
    assert running.output().splitlines()[0] == (
        "agent.yaml:4: note: spec.pod.image: the image 'acme:1' is not used here; own code is imported from what is "
        "installed, and from the folder that mizzen is started in"
    )
    assert (
        "  one process, not pods: of spec.pod, nodeSelector, priorityClassName wait for a cluster\n" in running.output()
    )
    assert "  test doubles stand in for services that have one\n" in running.output()
    assert running.ask().status == 200
    assert running.state()["testServices"] is True
