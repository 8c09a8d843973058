"""The command line itself."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from manifests.chart_values import CHECKOUT
from manifests.crd_files import GENERATED
from mizzen_runtime.cli.arguments import RunOptions, ValidateOptions, parse_arguments
from mizzen_runtime.cli.main import main


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert parse_arguments(["run", "-f", folder]) == RunOptions(
        command="run",
        files=[folder],
        name=None,
        host="127.0.0.1",
        port=8080,
        management_port=8081,
        test_services=False,
        reload=True,
    )
    assert parse_arguments(["validate", "-f", folder, "-f", "-"]) == ValidateOptions(
        command="validate", files=[folder, "-"], output="text", strict=False, test_services=False
    )


WRONG = {
    "no command": ([], "the following arguments are required: COMMAND"),
    "no file": (["run"], "the following arguments are required: -f/--filename"),
    "no such file": (["validate", "-f", "none.yaml"], "there is no file or folder 'none.yaml'; - is standard input"),
    "no name": (["run", "-f", ""], "there is no file or folder ''; - is standard input"),
    "a port that is a word": (["run", "-f", "-", "--port", "http"], "http is not a port (1 to 65535)"),
    "no port": (["run", "-f", "-", "--port", "0"], "0 is not a port (1 to 65535)"),
    "one port": (["run", "-f", "-", "--port", "8081"], "--port and --management-port are both 8081"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_command_line_ends_with_2(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, told = WRONG[case]
    with pytest.raises(SystemExit) as ended:
        parse_arguments(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "validate", "crd"])
def test_help_teaches_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments([command, "--help"])
    assert ended.value.code == 0
    assert f"\nexamples:\n  mizzen {command}" in capsys.readouterr().out


PAGES = [CHECKOUT / "README.md", CHECKOUT / "docs" / "cli.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_commands_of_a_page_are_right(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = re.findall(r"^ *(?:[^\n`|]*\| )?mizzen ([^#|\n]*)", page.read_text(), re.MULTILINE)
    assert {command.split()[0] for command in commands} >= {"run", "validate"}
    (tmp_path / "agent.yaml").touch()
    monkeypatch.chdir(CHECKOUT if page.name == "README.md" else tmp_path)
    for command in commands:
        parse_arguments(shlex.split(command))


def test_the_crd_is_the_one_of_the_chart(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crd"]) == 0
    assert GENERATED + capsys.readouterr().out == (CHECKOUT / "manifests" / "crd.yaml").read_text()


def test_the_command_line_loads_nothing_of_kubernetes_and_nothing_heavy() -> None:
    program = """
import sys
import mizzen_runtime.cli.main
names = {name.partition(".")[0] for name in sys.modules}
assert not names & {"kopf", "kubernetes", "mizzen_operator", "pydantic_ai", "starlette", "uvicorn"}, names
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_runtime_does_not_load_the_command_line() -> None:
    program = "import sys, mizzen_runtime.wiring, mizzen_runtime.server; assert 'mizzen_runtime.cli' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_output_that_nobody_reads_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", "import sys; from mizzen_runtime.cli.main import main; sys.exit(main(['crd']))"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
