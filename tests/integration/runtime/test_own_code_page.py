"""The code of `docs/own-code.md`, as the page has it: its tests pass, and the runtime serves it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from manifests.chart_values import CHECKOUT
from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.timing import OWN_CODE_SECONDS
from tests.integration.runtime.model_server import ModelServer, calls, fills_in
from tests.integration.runtime.process import RuntimeProcess, Start, scripted
from tests.support.pages import blocks, write_files

PAGE = (CHECKOUT / "docs" / "own-code.md").read_text()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Write each file of the page where its first line says."""
    write_files(blocks(PAGE, "python"), tmp_path)
    return tmp_path


def serve(start: Start, package: Path, entrypoint: str, server: ModelServer) -> RuntimeProcess:
    path = os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    names = {"namespace": "support", "name": "refunds", "revision": "r1"}
    config = {"contractVersion": 1, **names, "entrypoint": entrypoint, "models": [scripted(server)]}
    return start(config, PYTHONPATH=path)


def test_the_pages_resource_is_valid_and_served(start: Start, package: Path, model_server: ModelServer) -> None:
    (text,) = blocks(PAGE, "yaml")
    entrypoint = AgentDeployment.model_validate(yaml.safe_load(text)).spec.entrypoint
    assert entrypoint is not None
    decision = {"verdict": "refund", "amount": 9.5}
    model_server.will(calls("price_of", {"order": "o-1"}), fills_in(decision))

    assert serve(start, package, entrypoint, model_server).run("o-1 is broken").json["output"] == decision
    assert model_server.requests[1]["messages"][-1]["content"] == "9.5"


def test_the_pages_factory_is_served(start: Start, package: Path, model_server: ModelServer) -> None:
    (entrypoint,) = re.findall(r"# or (\S+)$", PAGE, re.MULTILINE)
    decision = {"verdict": "ask a person", "amount": 0.0}
    model_server.will(calls("note", {"text": "please look"}), fills_in(decision))

    assert serve(start, package, entrypoint, model_server).run("o-3 is broken").json["output"] == decision


def test_the_pages_tests_pass(package: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", str(package)]
    done = subprocess.run(
        [*command, "tests"],
        cwd=package,
        env=os.environ | {"PYTHONPATH": str(package)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_page_tells_the_time_that_own_code_has() -> None:
    assert f"may take {OWN_CODE_SECONDS:g} s together" in PAGE
