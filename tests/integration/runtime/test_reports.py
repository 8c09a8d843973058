"""What a real runtime says of itself, as the operator reads it."""

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

from mizzen_api.health import HealthCode
from mizzen_operator.keys import Key
from mizzen_operator.state_client import StateClient
from mizzen_operator.status.pod_report import PodReport, parse_report
from tests.integration.runtime.process import START_SECONDS, Json, RuntimeProcess, Start, config_of, until
from tests.unit.operator.builders import pod


def config(**settings: Any) -> Json:
    """Give an agent with a database whose settings stand in the resource."""
    service = {
        "name": "database",
        "interface": "DatabaseService",
        "implementation": "sqlite",
        "settings": settings,
        "required": "Never",
    }
    return {**config_of(), "services": [service]}


def read(runtime: RuntimeProcess) -> PodReport:
    """Read the report as the operator does."""
    record = dataclasses.replace(pod("a1b2c3d4e5", {}), key=Key("support", "triage"))

    async def main() -> bytes:
        async with StateClient(1, port=runtime.management_port, seconds=20.0) as client:
            return await client.read("127.0.0.1")

    return parse_report(asyncio.run(main()), record)


def wait_wired(runtime: RuntimeProcess) -> None:
    until(lambda: runtime.manage("/startupz").status == 200, "it is wired", START_SECONDS)


def test_a_runtime_that_is_well_says_so(start: Start, tmp_path: Path) -> None:
    runtime = start(config(path=str(tmp_path / "database")))
    wait_wired(runtime)
    until(lambda: read(runtime).is_settled, "its service was asked")
    assert read(runtime) == PodReport()


def test_a_runtime_whose_database_cannot_be_opened_names_it_and_the_reason(start: Start, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    runtime = start(config(path=str(tmp_path / "folder")))
    wait_wired(runtime)
    until(lambda: read(runtime).reasons, "its service was asked")
    report = read(runtime)
    assert report.is_settled
    (reason,) = report.reasons
    assert (reason.code, reason.title) == (HealthCode.SERVICE_UNHEALTHY, "Service 'database' is not healthy")
    assert reason.detail


def test_a_runtime_under_the_test_profile_says_so(start: Start, tmp_path: Path) -> None:
    runtime = start(config(path=str(tmp_path / "database")), MIZZEN_PROFILE="test")
    wait_wired(runtime)
    assert read(runtime).test_services
