"""Each cell of the table in `docs/failures.md`, executed: every fault of a model, in every kind of call.

The real model server cannot be told to fail: `tests/e2e/test_kinds_of_call.py` makes what calls need no fault.
"""

import json
import time
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
    counted,
    declared,
    declared_statuses,
    outcomes_in,
)
from tests.integration.runtime.mcp_server import McpServer
from tests.integration.runtime.model_server import ModelServer, leaves, says
from tests.integration.runtime.process import STAYS_CLOSED, Answer, Json, RuntimeProcess, config_of, scripted, until

SECRET = "SECRET-TE"
"""What the body of a fault holds."""
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
    log: list[Json]
    """What was logged."""


class Served:
    """One agent: its runtime, and the models that it asks."""

    def __init__(self, folder: Path, name: str, mcp: McpServer) -> None:
        agent = AGENTS[name]
        self._models = first, second = ModelServer(), ModelServer()
        second.otherwise = says("Second best")
        models = [
            scripted(first, model=FIRST, breaker=STAYS_CLOSED, requestTimeoutSeconds=agent.model_seconds),
            *([scripted(second, model=SECOND)] if agent.has_second_model else []),
        ]
        tools = {"capabilities": [{"MCP": {"url": mcp.url}}]} if name == "tools" else {}
        self._runtime = RuntimeProcess(folder, config_of(*models, **agent.spec, **tools))
        self._asks_again_at = 0.0

    def wait_until_it_serves(self) -> None:
        """Return when calls are answered."""
        self._runtime.wait_logged("serving")

    def execute(self, fault: Fault, kind: Kind) -> Seen:
        """Make the call while the first model has the fault."""
        first, _ = self._models
        self._wait_until_it_asks_again()
        logged, asked, before = len(self._runtime.log()), self._asked(), self._runtime.metrics()
        with first.forgetting():
            self._prepare(first, fault, kind)
            answer = kind.call(self._runtime, in_a_hurry=fault.in_a_hurry)
        after = self._runtime.metrics()
        self._asks_again_at = time.monotonic() + fault.retry_after
        until(lambda: not first.exchanges, "the model goes on for nobody")
        return Seen(
            told=kind.read(answer),
            answer=answer,
            counted=counted(before, after),
            durations=after[DURATIONS] - before[DURATIONS],
            asked=(self._asked()[0] - asked[0], self._asked()[1] - asked[1]),
            log=self._runtime.log()[logged:],
        )

    def _prepare(self, first: ModelServer, fault: Fault, kind: Kind) -> None:
        if fault.is_there:
            first.will(*kind.before, fault.behaviour(kind.right))
        elif kind.before:
            first.will(*kind.before[:-1], leaves(first, kind.before[-1]))
        else:
            first.leave()

    def _wait_until_it_asks_again(self) -> None:
        """Wait for as long as the first model wanted not to be asked in the cell before."""
        time.sleep(max(0.0, self._asks_again_at - time.monotonic()))
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
    cells: dict[Cell, Future[Seen]] = {}
    with McpServer() as mcp, ExitStack() as running:
        for name in AGENTS:
            served = Served(tmp_path_factory.mktemp(name), name, mcp)
            executor = running.enter_context(executing(served))
            served.wait_until_it_serves()  # or five would start at once, and each take five times as long
            of_it = [(fault, kind) for fault, kind in CELLS if KINDS[kind].agent == name]
            cells |= {
                (fault, kind): executor.submit(served.execute, FAULTS[fault], KINDS[kind]) for fault, kind in of_it
            }
        yield cells


def test_the_page_has_every_cell_and_outcome_and_no_other() -> None:
    assert list(declared()) == list(CELLS)
    assert declared_statuses().keys() == {outcomes_in(cell)[0] for cell in declared().values()} - {"ok"}


@pytest.mark.parametrize("cell", CELLS, ids=", ".join)
def test_a_call_comes_to_what_the_page_says(seen: Mapping[Cell, Future[Seen]], cell: Cell) -> None:
    fault, kind = FAULTS[cell[0]], KINDS[cell[1]]
    it = seen[cell].result()
    told = it.told
    assert told.in_the_pages_words() == declared()[cell]
    if told.problem is not None:
        assert told.problem["request_id"].removesuffix("/0") == it.answer.headers["x-request-id"]
        assert (told.problem["status"], told.retry_after is not None) == declared_statuses()[told.outcome]
    assert (it.counted, it.durations) == ({told.outcome: 1}, 1), "exactly one observation"
    outcome, *of_first = outcomes_in(declared()[cell])
    attempts = [(FIRST, of_first[0]), (SECOND, outcome)] if of_first else [(FIRST, outcome)]
    assert told.attempts == [(FIRST, "ok")] * len(kind.before) + attempts
    assert it.asked == (len(kind.before) + fault.is_there, len(of_first)), "nobody is asked twice"
    assert [line["outcome"] for line in it.log if "outcome" in line] == [told.outcome], "one line"
    assert SECRET not in it.answer.body.decode() + str(it.answer.headers) + json.dumps(it.log)
