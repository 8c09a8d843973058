"""Each cell of the table in `docs/failures.md`, executed: every fault of a model, in every kind of call.

The real model server cannot be told to fail; `tests/e2e/test_calls_of_every_kind.py` makes every kind of call with it.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.runtime.fault_matrix import (
    AGENTS,
    CELLS,
    FAULTS,
    FIRST,
    KINDS,
    SECOND,
    Cell,
    Fault,
    Kind,
    Told,
    declared,
    declared_statuses,
)
from tests.integration.runtime.mcp_server import McpServer
from tests.integration.runtime.model_server import ModelServer, leaves, says
from tests.integration.runtime.process import STAYS_CLOSED, Answer, Json, RuntimeProcess, config_of, until

SCHEMA: Json = {
    "type": "object",
    "properties": {"urgency": {"type": "integer"}},
    "required": ["urgency"],
    "additionalProperties": False,
}
SECRET = "SECRET-TE"
"""What the body of a fault holds."""
OUTCOMES = "mizzen_requests_total{"
DURATIONS = "mizzen_request_duration_seconds_count"


@dataclass(frozen=True)
class Seen:
    """What was seen of one cell."""

    told: Told
    answer: Answer
    counted: Mapping[str, float]
    """By how much each outcome's count grew."""
    durations: float
    """By how much the count of durations grew."""
    asked: tuple[int, int]
    """How many requests came to the first and to the second model."""
    log: str
    """What was logged."""


class Served:
    """One agent: its runtime, and the models that it asks."""

    def __init__(self, folder: Path, agent: str, mcp: McpServer) -> None:
        self._models = (ModelServer(), ModelServer())
        first, second = (
            {"model": name, "baseUrl": server.base_url, "breaker": STAYS_CLOSED}
            for name, server in zip((FIRST, SECOND), self._models, strict=True)
        )
        models = [
            {**first, "requestTimeoutSeconds": AGENTS[agent].model_seconds},
            *([second] if agent == "chain" else []),
        ]
        spec: Json = {
            "structured": {"output_schema": SCHEMA},
            "tools": {"capabilities": [{"MCP": {"url": mcp.url}}]},
        }.get(agent, {})
        folder.mkdir()
        self._runtime = RuntimeProcess(folder, config_of(*models, **spec))
        self._models[1].otherwise = says("Second best")

    def execute(self, fault: Fault, kind: Kind) -> Seen:
        """Make the call while the first model has the fault."""
        first, _ = self._models
        self._wait_until_it_asks_again()
        logged, asked, counts = len(self._runtime.log_text()), self._asked(), self._runtime.metrics()
        with first.forgetting():
            self._prepare(first, fault, kind)
            answer = kind.call(self._runtime, fault)
        after = self._runtime.metrics()
        until(lambda: not first.exchanges, "the model goes on for nobody")
        grown = {series: value - counts.get(series, 0) for series, value in after.items()}
        return Seen(
            told=kind.read(answer),
            answer=answer,
            counted={
                series.split('"')[1]: grown[series] for series in grown if series.startswith(OUTCOMES) and grown[series]
            },
            durations=grown[DURATIONS],
            asked=(self._asked()[0] - asked[0], self._asked()[1] - asked[1]),
            log=self._runtime.log_text()[logged:],
        )

    def _prepare(self, first: ModelServer, fault: Fault, kind: Kind) -> None:
        if fault.is_there:
            first.will(*kind.before, fault.behaviour(kind.right))
        elif kind.before:
            first.will(*kind.before[:-1], leaves(first, kind.before[-1]))
        else:
            first.leave()

    def _wait_until_it_asks_again(self) -> None:
        """Wait for as long as the cell before made the first model say that it wants not to be asked."""
        closed = f'mizzen_breaker_state{{breaker="model:{FIRST}",state="closed"}}'
        until(lambda: self._runtime.metric(closed) == 1, "the first model is asked again")

    def _asked(self) -> tuple[int, int]:
        first, second = self._models
        return len(first.requests), len(second.requests)

    def close(self) -> None:
        self._runtime.close()
        for server in self._models:
            server.close()


@contextmanager
def executing(served: Served) -> Iterator[ThreadPoolExecutor]:
    """Execute one after the other; what has not begun by the end is left out."""
    executor = ThreadPoolExecutor(1)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)
        served.close()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[Cell, Future[Seen]]]:
    """Every cell, being executed."""
    folder = tmp_path_factory.mktemp("agents")
    with McpServer() as mcp, ExitStack() as running:
        agents = {agent: Served(folder / agent, agent, mcp) for agent in AGENTS}
        executors = {agent: running.enter_context(executing(served)) for agent, served in agents.items()}
        yield {
            (fault, kind): executors[KINDS[kind].agent].submit(
                agents[KINDS[kind].agent].execute, FAULTS[fault], KINDS[kind]
            )
            for fault, kind in CELLS
        }


def test_the_page_has_every_cell_and_no_other() -> None:
    assert list(declared()) == list(CELLS)


@pytest.mark.parametrize("cell", CELLS, ids=", ".join)
def test_a_call_comes_to_what_the_page_says(seen: Mapping[Cell, Future[Seen]], cell: Cell) -> None:
    fault, kind = FAULTS[cell[0]], KINDS[cell[1]]
    it = seen[cell].result()
    told = it.told
    assert told.in_the_pages_words() == declared()[cell]
    if told.problem is not None:
        assert (told.problem["status"], told.retry_after is not None) == declared_statuses()[told.outcome]
    assert (it.counted, it.durations) == ({told.outcome: 1}, 1), "exactly one observation"
    last = [(SECOND if told.second_was_asked else FIRST, told.outcome)]
    before = [*[(FIRST, "ok")] * len(kind.before), *told.attempts[len(kind.before) : -1]]
    assert told.attempts == before + last
    first, second = ([name for name, _ in told.attempts].count(model) for model in (FIRST, SECOND))
    assert it.asked == (first - (not fault.is_there), second), "nobody is asked twice"
    assert SECRET not in it.answer.body.decode() + str(it.answer.headers) + it.log
