"""What a runtime logs of its requests, how its level changes, and that `docs/logging.md` says so."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from manifests.chart_values import CHECKOUT
from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.contract import LIVE_FILE, LiveSettings
from mizzen_api.monitoring import LogLevel
from mizzen_runtime.span_export import MAX_WAITING
from tests.integration.runtime.mounts import mount
from tests.integration.runtime.process import Json, RuntimeProcess, Start, config_of, until

PAGE = (CHECKOUT / "docs" / "logging.md").read_text()
ENDINGS = "mizzen.requests"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def fields_in_tables() -> set[str]:
    rows = re.findall(r"^\| (`[^|]+`) \|", PAGE, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def endings(runtime: RuntimeProcess) -> list[Json]:
    return [line for line in runtime.log() if line["logger"] == ENDINGS]


def test_the_pages_call_leaves_the_pages_line(start: Start) -> None:
    (shown,) = map(json.loads, blocks("json"))
    call = shlex.split(blocks("bash")[0].partition("\nkubectl")[0].replace("\\\n", " "))
    headers = dict(re.split(r": ", call[place + 1], maxsplit=1) for place, word in enumerate(call) if word == "-H")
    runtime = start(config_of())

    answer = runtime.post(
        call[-1].encode(), **{name: value for name, value in headers.items() if name != "content-type"}
    )

    assert answer.headers["x-request-id"] == shown["request_id"]
    (line,) = endings(runtime)
    varying = {"time", "revision", "seconds", "input_tokens", "output_tokens"}
    assert {name: value for name, value in line.items() if name not in varying} == {
        name: value for name, value in shown.items() if name not in varying
    }
    assert line.keys() == shown.keys()
    assert shown.keys() <= fields_in_tables()
    assert f'grep \'"request_id":"{shown["request_id"]}"\'' in PAGE
    assert f'"request_id":"{shown["request_id"]}"' in runtime.log_text()


def test_the_pages_resources_are_right_and_its_levels_are_all() -> None:
    for block in blocks("yaml"):
        spec = {"agent": {"model": "test"}, **yaml.safe_load(block)["spec"]}
        AgentDeployment.model_validate({"metadata": {"name": "triage"}, "spec": spec})
    (levels,) = re.findall(r"^((?:`\w+`(?: \([^)]*\))?(?:, | or )?)+)\. \*\*Nothing rolls", PAGE, re.MULTILINE)
    assert tuple(re.findall(r"`(\w+)`", levels)) == LogLevel.__args__  # type: ignore[attr-defined]
    assert f"{MAX_WAITING:,}" in PAGE.replace("\n", " ")


@pytest.mark.parametrize("body", [b"{", b'{"input": ""}', b'{"input": "Hello", "odd": 1}'], ids=["cut", "empty", "odd"])
def test_a_body_that_is_refused_leaves_one_line(start: Start, body: bytes) -> None:
    runtime = start(config_of())

    answer = runtime.post(body)

    assert answer.status in {400, 422}
    (line,) = endings(runtime)
    assert (line["outcome"], line["level"]) == ("invalid_input", "info")
    assert line["request_id"] == answer.headers["x-request-id"]


def test_what_is_no_request_to_run_the_agent_leaves_no_line(shared_runtime: RuntimeProcess) -> None:
    before = len(endings(shared_runtime))

    assert shared_runtime.request("GET", "/v1/agent").status == 200
    assert shared_runtime.request("GET", "/nowhere").status == 404
    assert shared_runtime.run("Hello").status == 200

    assert len(endings(shared_runtime)) == before + 1


def test_a_level_changes_while_it_runs(start: Start, tmp_path: Path) -> None:
    live = tmp_path / "live"
    runtime = start(config_of(), "--live-settings", str(live))
    runtime.wait_logged("serving")  # what the folder held until then is no change
    levels: tuple[LogLevel, ...] = ("info", "warning", "debug")

    for place, level in enumerate(levels):
        mount(live, **{LIVE_FILE: LiveSettings(log_level=level).model_dump_json()})
        wait_for_changes(runtime, place + 1)
        assert runtime.post(b'{"input": "Hello"}', x_request_id=level).status == 200

    assert [(line["request_id"], "attempts" in line) for line in endings(runtime)] == [("info", False), ("debug", True)]


def wait_for_changes(runtime: RuntimeProcess, count: int) -> None:
    until(lambda: runtime.metric('mizzen_reloads_total{outcome="ok"}') == count, f"{count} changes are in force")
