"""`mizzen validate`: every problem with file and line, in words that tell what to do."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.integration.cli.acme import AGENT, CODE, SECRET, WORDS
from tests.integration.cli.command import MIZZEN, clean_environment, validate
from tests.integration.runtime.process import until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder in which all is right."""
    (tmp_path / "acme.py").write_text(CODE)
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "agent.yaml").write_text(AGENT)
    (tmp_path / "deploy" / "words.yml").write_text(WORDS)
    (tmp_path / "deploy" / "secret.yaml").write_text(SECRET)
    return tmp_path


def told(folder: Path, *arguments: str) -> list[str]:
    done = validate(folder, "-f", "deploy", *arguments)
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


def change(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / "deploy" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_what_is_right_is_said_to_be(folder: Path) -> None:
    done = validate(folder, "-f", "deploy", "--strict")
    assert (done.returncode, done.stdout) == (0, "AgentDeployment default/greeter: in order\n")


WITHOUT_TOOLS = ('capabilities:\n      - PythonTools: {tools: ["acme:greet"]}', "name: greeter")
GOLDEN = Path(__file__).parent / "golden"
WRONG = {
    "several-problems-of-several-files-at-once": [
        ("agent.yaml", "instructions", "instuctions"),
        ("words.yml", "word: hello", "word: 1"),
        ("secret.yaml", "stringData:", "stringData: ["),
    ],
    "settings": [
        ("words.yml", "word: hello", "wrod: hello"),
    ],
    "import-paths": [
        ("agent.yaml", "acme:greet", "acme:gret"),
        ("agent.yaml", "acme:Word", "acmee:Word"),
    ],
    "the-graph": [
        ("agent.yaml", *WITHOUT_TOOLS),
        ("agent.yaml", "interface: acme:Greeter", "interface: CacheService"),
    ],
    "a-secret-that-is-empty": [
        ("secret.yaml", "token: first", 'token: ""'),
    ],
    "a-key-that-is-not-there": [
        ("secret.yaml", "token: first", "tokn: first"),
    ],
    "what-is-not-in-the-files": [
        ("secret.yaml", "name: llm", "name: other"),
        ("words.yml", "name: words", "name: other"),
    ],
}
"""What is changed in which file; what is told then is in `golden`."""


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_where_it_stands(folder: Path, case: str) -> None:
    for file, old, new in WRONG[case]:
        change(folder, file, old, new)
    assert told(folder) == (GOLDEN / f"{case}.txt").read_text().splitlines()


def test_strict_makes_warnings_errors_and_scripts_get_json(folder: Path) -> None:
    (folder / "deploy" / "words.yml").unlink()
    assert validate(folder, "-f", "deploy").returncode == 0
    done = validate(folder, "-f", "deploy", "--strict", "--output", "json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "valid": False,
        "findings": [
            {
                "level": "error",
                "file": "deploy/agent.yaml",
                "line": 17,
                "field": "spec.services[0].configMapRef",
                "message": "ConfigMap 'words' is not in the files",
                "remedy": "add it to them: {apiVersion: v1, kind: ConfigMap, metadata: {name: words}, data: "
                "{<field>: <value>}}",
            }
        ],
    }


def test_own_code_that_fails_or_ends_the_process_is_told(folder: Path) -> None:
    (folder / "acme.py").write_text("\nraise RuntimeError('no')\n")
    done = validate(folder, "-f", "deploy")
    assert done.returncode == 1
    assert "importing acme failed at " in done.stdout
    assert "acme.py:2 in <module>: RuntimeError: no; the whole traceback is in the lines before" in done.stdout
    assert "RuntimeError: no" in done.stderr

    (folder / "acme.py").write_text("import os\nos._exit(3)\n")
    done = validate(folder, "-f", "deploy")
    assert done.returncode == 1
    assert "deploy/agent.yaml:4: spec: the check ended with exit code 3 before it was done; " in done.stdout


def test_what_own_code_prints_does_not_disturb_scripts(folder: Path) -> None:
    (folder / "acme.py").write_text(f"{CODE}\nprint('hello')\n")
    done = validate(folder, "-f", "deploy", "--output", "json")
    assert json.loads(done.stdout) == {"valid": True, "findings": []}


def test_standard_input_is_read(folder: Path) -> None:
    done = validate(folder, "-f", "-", given=f"{AGENT}---\n{WORDS}---\n{SECRET.replace('Secret', 'Service')}")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].startswith("-:12: warning: spec.models[0].apiKey.secretKeyRef: Secret 'llm' is")
    assert "-:29: note: kind: Service 'llm' is not looked at" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind_by_one_that_is_ended(folder: Path, number: int) -> None:
    (folder / "acme.py").write_text("import os, time\nopen('started', 'w').write(str(os.getpid()))\ntime.sleep(1000)\n")
    (folder / "tmp").mkdir()
    environment = clean_environment() | {"TMPDIR": str(folder / "tmp")}
    command = [str(MIZZEN), "validate", "-f", "deploy"]
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        started = folder / "started"
        until(lambda: started.exists() and started.read_text() != "", "own code is imported", 60)
        process.send_signal(number)
        assert process.stderr.read() == ""  # ends with the last of the two processes
        assert process.wait() == (-number if number == signal.SIGKILL else 130)
    assert list((folder / "tmp").iterdir()) == []


def test_doubles_need_no_settings(folder: Path) -> None:
    change(folder, "agent.yaml", "interface: acme:Greeter", "interface: DatabaseService")
    change(folder, "agent.yaml", "implementation: acme:WordGreeter", "implementation: postgres")
    change(folder, "agent.yaml", *WITHOUT_TOOLS)
    assert validate(folder, "-f", "deploy").returncode == 1
    assert told(folder, "--test-services") == ["AgentDeployment default/greeter: in order"]
