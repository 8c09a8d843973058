"""Tools of own code: which parameters are services, and what is told where there is none."""

import sys
import threading
from pathlib import Path

import pytest

from mizzen_runtime.agent.python_tools import load_tools
from mizzen_runtime.own_code.imports import OwnCodeLoader
from mizzen_runtime.own_code.start_watch import StartWatch
from mizzen_runtime.redaction import Redactor
from mizzen_runtime.services import DatabaseService
from tests.unit.runtime.test_service_wiring import never

CODE = """
from typing import Annotated, Protocol
from mizzen_runtime.container import Named
from mizzen_runtime.services import DatabaseService

class Pricing(Protocol):
    async def price(self, sku: str) -> float: ...

async def save(text: str, database: DatabaseService) -> str: ...
async def archive(text: str, database: Annotated[DatabaseService, Named("archive")]) -> str: ...
async def price(sku: str, pricing: Pricing) -> float: ...
async def plain(sku: str, count: int = 1) -> str: ...
"""


@pytest.fixture
def loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnCodeLoader:
    (tmp_path / "tools_of_test.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tools_of_test", raising=False)
    watch = StartWatch(threading.TIMEOUT_MAX, never)
    return OwnCodeLoader(watch, Redactor([]), restore_log=lambda _package: None)


def told(loader: OwnCodeLoader, tool: str, *names: str) -> list[str]:
    services = [(DatabaseService, name) for name in names]
    tools, problems = load_tools([{"PythonTools": {"tools": [f"tools_of_test:{tool}"]}}], loader, services)
    assert len(tools) + len(problems) == 1
    return [str(problem) for problem in problems]


def test_a_tool_whose_services_are_there_is_fine(loader: OwnCodeLoader) -> None:
    assert told(loader, "save", "database") == []
    assert told(loader, "archive", "database", "archive") == []
    assert told(loader, "plain") == []


FIELD = "spec.agent.capabilities[0].PythonTools.tools[0]"
REMEDY = "add it to spec.services, or correct the tool"


@pytest.mark.parametrize(
    ("tool", "names", "fault"),
    [
        ("save", (), "a DatabaseService as 'database', and the agent has no such service"),
        ("price", ("database",), "a Pricing as 'pricing', and the agent has no such service"),
        (
            "archive",
            ("database",),
            "a DatabaseService as 'database' that is called 'archive', and there is only 'database'",
        ),
        (
            "save",
            ("one", "two"),
            "a DatabaseService as 'database', and several are one: say which by Named(…), of 'one', 'two'",
        ),
    ],
    ids=["none", "none of one's own", "another name", "several"],
)
def test_a_tool_whose_services_are_not_there_is_told(
    loader: OwnCodeLoader, tool: str, names: tuple[str, ...], fault: str
) -> None:
    assert told(loader, tool, *names) == [f"{FIELD}: tools_of_test:{tool} wants {fault}; {REMEDY}"]
