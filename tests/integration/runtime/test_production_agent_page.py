"""The code of `docs/production-agent.md`, as the page has it; and its figures."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from manifests.chart_values import CHECKOUT
from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.names import LIVENESS_PATH
from mizzen_api.rendering import runtime_config
from mizzen_operator.desired.probes import build_probes
from mizzen_runtime.agent.own_base import DECIDED_BY
from mizzen_runtime.batch import HELD_PER_RUNNING
from mizzen_runtime.loop_watch import BLOCKED_SECONDS, QUIET_SECONDS, WINDOW_SECONDS
from mizzen_runtime.options import MAX_BODY_BYTES
from mizzen_runtime.production_agent import AgentConfig
from mizzen_runtime.thread_pool import THREADS
from tests.integration.runtime.process import Start
from tests.support.pages import blocks, write_files

PAGE = (CHECKOUT / "docs" / "production-agent.md").read_text()
WORDS = " ".join(PAGE.split())


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Write each file of the page where its first line says."""
    write_files(blocks(PAGE, "python"), tmp_path)
    return tmp_path


def path_with(package: Path) -> str:
    return os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


def test_the_pages_script_runs_without_a_server(package: Path) -> None:
    done = subprocess.run(
        [sys.executable, "quote.py"],
        cwd=package,
        env=os.environ | {"PYTHONPATH": path_with(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "price=2.0",
        "0 ok price=0.0",
        "1 ok price=0.1",
        "2 ok price=0.2",
        "error the agent failed; its log has the request id and the place",
        "healthy 5 80.0",
    ]


def test_the_pages_resource_is_valid_and_served(package: Path, start: Start) -> None:
    (text,) = blocks(PAGE, "yaml")
    config = runtime_config(AgentDeployment.model_validate({**yaml.safe_load(text)}), "r1")
    runtime = start(config.model_dump_json(by_alias=True).encode(), PYTHONPATH=path_with(package))

    assert runtime.run({"article": "hammer", "amount": 2}).json["output"] == {"price": 24.0}
    assert runtime.run({"article": "hammer"}).json["errors"][0]["field"] == "input.amount"
    assert runtime.request("GET", "/v1/agent").json["description"] == "Says what an order costs."


def test_the_page_tells_every_limit_and_what_decides_it() -> None:
    table = dict(re.findall(r"^\| `(\w+)`[^|]*\| (\d+) \|", PAGE, re.MULTILINE))
    assert table == {name: f"{field.default:g}" for name, field in AgentConfig.model_fields.items()}
    for name, decided_by in DECIDED_BY.items():
        assert re.search(rf"^\| `{name}`.*{decided_by.split()[-1].removeprefix('spec.')}", PAGE, re.MULTILINE)


def test_the_page_tells_the_figures_that_hold() -> None:
    assert f"in at most {THREADS} threads together" in WORDS
    assert HELD_PER_RUNNING == 2
    assert "holds two items for each" in WORDS
    assert MAX_BODY_BYTES == 1024 * 1024
    assert f"the longest time of the last {WINDOW_SECONDS:g} s. From {BLOCKED_SECONDS:g} s on the log" in WORDS
    assert f"once in {QUIET_SECONDS:g} s at most" in WORDS


def test_the_page_tells_when_kubelet_restarts_a_pod_whose_loop_stands_still() -> None:
    probe = build_probes()["livenessProbe"]
    assert probe["httpGet"]["path"] == LIVENESS_PATH
    period, failures, timeout = probe["periodSeconds"], probe["failureThreshold"], probe["timeoutSeconds"]
    told = f"after {failures} probes without one, {period} s apart and with {timeout} s each, kubelet restarts"
    assert told in WORDS
    assert f"within {period * failures + timeout} s it asks the process to end" in WORDS
    assert f"ends it by force {probe['terminationGracePeriodSeconds']} s later" in WORDS
