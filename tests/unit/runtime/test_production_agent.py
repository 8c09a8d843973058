"""The base of every agent, outside a server."""

import asyncio
import logging
import threading
import time
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

import pytest
from pydantic import BaseModel

from mizzen_runtime import log
from mizzen_runtime.admission import Priority
from mizzen_runtime.errors import Outcome, RunError
from mizzen_runtime.production_agent import AgentConfig, ProductionAgentBase, status_outside_a_pod
from mizzen_runtime.run_frame import Arrival, Frames
from mizzen_runtime.statistics.agent_metrics import AgentMetrics

pytestmark = pytest.mark.anyio


class Number(BaseModel):
    value: int


class Asynchronous(ProductionAgentBase[Number, Number]):
    async def _process_core_request(self, request: Number) -> Number:
        if request.value < 0:
            raise KeyError(request.value)
        await asyncio.sleep(0)
        return Number(value=2 * request.value)


class Synchronous(ProductionAgentBase[Number, Number]):
    """Notes how many threads it runs in at once."""

    def __init__(self, name: str, config: AgentConfig) -> None:
        super().__init__(name, config)
        self.threads: set[int] = set()

    def _process_core_request(self, request: Number) -> Number:
        self.threads.add(threading.get_ident())
        time.sleep(0.002)
        return Number(value=2 * request.value)


class Scripted(ProductionAgentBase[Number, Number]):
    """Does what the test says."""

    def __init__(self, config: AgentConfig, act: Callable[[], Awaitable[Number]]) -> None:
        super().__init__("scripted", config)
        self._act = act

    async def _process_core_request(self, request: Number) -> Number:
        del request
        return await self._act()


async def test_a_request_is_answered_and_counted() -> None:
    agent = Asynchronous("doubling")

    assert await agent.process_request(Number(value=4)) == Number(value=8)

    health = await agent.health_check()
    assert (agent.metrics.total_requests, agent.metrics.successful_requests) == (1, 1)
    assert (health["status"], health["total_requests"], health["success_rate"]) == ("healthy", 1, 100)
    assert health["uptime_seconds"] > 0
    assert health["memory_mb"] > 1
    assert health["avg_response_time_ms"] > 0


async def test_a_failure_is_a_run_error_with_its_cause_and_without_its_text() -> None:
    agent = Asynchronous("doubling")

    with pytest.raises(RunError) as raised:
        await agent.process_request(Number(value=-1))

    assert raised.value.outcome is Outcome.AGENT_FAILED
    assert isinstance(raised.value.__cause__, KeyError)
    assert "-1" not in str(raised.value)
    assert agent.metrics.failed_requests == 1


async def test_one_failure_makes_no_agent_degraded_and_a_rate_does() -> None:
    agent = Asynchronous("doubling")
    await agent.process_batch([Number(value=-1)])
    assert (await agent.health_check())["status"] == "healthy"

    await agent.process_batch([Number(value=0)] * 7 + [Number(value=-1)] * 2)
    assert (await agent.health_check())["status"] == "degraded"


def metrics_with(requests: int, error_rate: float) -> AgentMetrics:
    return Asynchronous("doubling").metrics.model_copy(
        update={"window_requests": requests, "error_rate_percent": error_rate}
    )


@pytest.mark.parametrize(
    ("requests", "error_rate", "status"),
    [(0, 0, "healthy"), (9, 100, "healthy"), (10, 9.9, "healthy"), (10, 10, "degraded"), (10, 90, "unhealthy")],
)
def test_the_status_is_made_of_the_failures_of_the_window(requests: int, error_rate: float, status: str) -> None:
    assert status_outside_a_pod(metrics_with(requests, error_rate)) == status


async def test_every_item_of_a_batch_is_answered_in_its_place() -> None:
    agent = Asynchronous("doubling", AgentConfig(max_concurrent_requests=3))

    results = await agent.process_batch(Number(value=-1 if place == 5 else place) for place in range(10))

    assert [each.index for each in results] == list(range(10))
    assert [each.status for each in results] == ["ok"] * 5 + ["error"] + ["ok"] * 4
    assert [each.output for each in results if each.status == "ok"] == [
        Number(value=2 * place) for place in range(10) if place != 5
    ]
    assert results[5].error is not None
    assert results[5].error.outcome is Outcome.AGENT_FAILED
    assert (agent.metrics.total_requests, agent.metrics.failed_requests) == (10, 1)


async def test_a_batch_waits_where_single_requests_are_refused() -> None:
    agent = Asynchronous("doubling", AgentConfig(max_concurrent_requests=1, max_queued_requests=0))

    single, *batches = await asyncio.gather(
        agent.process_request(Number(value=1)),
        agent.process_batch([Number(value=2)] * 3),
        agent.process_batch([Number(value=3)] * 3),
    )

    assert single == Number(value=2)
    assert [each.status for batch in batches for each in batch] == ["ok"] * 6


@pytest.mark.parametrize("count", [300, 3000])
async def test_a_batch_holds_a_few_items_however_many_there_are(count: int, caplog: pytest.LogCaptureFixture) -> None:
    agent = Asynchronous("doubling")
    caplog.set_level(logging.WARNING, logger="mizzen.requests")  # pytest would hold a line of each

    async def requests() -> AsyncIterator[Number]:
        for value in range(count):
            yield Number(value=value)

    await agent.process_batch(requests())  # whatever is kept for good is kept now
    tracemalloc.start()
    async for result in agent.process_batch(requests()):
        assert result.output == Number(value=2 * result.index)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2_000_000


async def test_synchronous_code_runs_in_no_more_threads_than_it_may_and_leaves_the_loop_free() -> None:
    agent = Synchronous("doubling", AgentConfig(max_concurrent_requests=1000, max_threads=4))
    before = threading.active_count()
    answering = asyncio.gather(*(agent.process_request(Number(value=value)) for value in range(1000)))
    turns = 0
    while not answering.done():
        await asyncio.sleep(0.001)
        turns += 1
        assert threading.active_count() <= before + 4

    assert [each.value for each in await answering] == [2 * value for value in range(1000)]
    assert len(agent.threads) == 4
    assert turns > 50


async def test_synchronous_code_that_lets_a_stop_iteration_out_fails_at_once() -> None:
    class Exhausted(ProductionAgentBase[Number, Number]):
        def _process_core_request(self, request: Number) -> Number:
            del request
            return next(iter(()))

    with pytest.raises(RunError) as raised:
        await Exhausted("exhausted").process_request(Number(value=0))
    assert raised.value.outcome is Outcome.AGENT_FAILED
    assert isinstance(raised.value.__cause__, RuntimeError)
    assert isinstance(raised.value.__cause__.__cause__, StopIteration)


async def test_a_base_may_be_used_from_one_event_loop_after_another() -> None:
    agent = Synchronous("doubling", AgentConfig(max_concurrent_requests=1))

    async def ask_much() -> list[str]:
        return [each.status for each in await agent.process_batch([Number(value=1)] * 4)]

    def in_a_loop_of_its_own() -> list[str]:
        return asyncio.run(ask_much())

    assert await asyncio.to_thread(in_a_loop_of_its_own) == ["ok"] * 4
    assert await asyncio.to_thread(in_a_loop_of_its_own) == ["ok"] * 4


async def test_what_belongs_to_a_request_is_there_while_it_is_answered_and_not_after() -> None:
    seen: list[float] = []

    async def look() -> Number:
        agent.usage.input_tokens += 7
        seen.append(agent.time_left)
        return Number(value=0)

    agent = Scripted(AgentConfig(request_timeout=30), look)
    await agent.process_request(Number(value=0))

    assert 0 < seen[0] <= 30
    for read in (lambda: agent.usage, lambda: agent.time_left, lambda: agent.services):
        with pytest.raises(LookupError, match="answers no request here"):
            read()


async def test_without_services_an_agent_is_told_where_they_come_from() -> None:
    async def ask() -> Number:
        return Number(value=len(dir(agent.services)))

    agent = Scripted(AgentConfig(), ask)
    with pytest.raises(RunError) as raised:
        await agent.process_request(Number(value=0))
    assert "in a pod they are those of spec.services" in str(raised.value.__cause__)


@pytest.mark.parametrize("ends", [SystemExit, KeyboardInterrupt])
async def test_own_code_that_ends_python_ends_its_request_alone(ends: type[BaseException]) -> None:
    async def leave() -> Number:
        raise ends

    with pytest.raises(RunError) as raised:
        await Scripted(AgentConfig(), leave).process_request(Number(value=0))
    assert raised.value.outcome is Outcome.AGENT_FAILED


async def test_an_agent_that_asks_another_is_itself_again_afterwards() -> None:
    inner = Asynchronous("inner")
    fields = []

    async def ask() -> Number:
        fields.append(log.request_fields())
        answer = await inner.process_request(Number(value=1))
        fields.append(log.request_fields())
        outer.usage.requests += 1
        return answer

    outer = Scripted(AgentConfig(), ask)
    before = log.request_fields()
    assert await outer.process_request(Number(value=0)) == Number(value=2)
    assert fields[0] == fields[1] != before
    assert log.request_fields() == before
    assert (inner.metrics.total_requests, outer.metrics.total_requests) == (1, 1)


@dataclass
class Ending:
    """One request that ends in a way of its own."""

    agent: Scripted
    frames: Frames
    running: asyncio.Event

    async def ask(self, priority: Priority = Priority.SINGLE, seconds: float = 30) -> None:
        async with self.frames.around(self.arrival(priority, seconds)) as run:
            await self.agent.answer_in(run, Number(value=0))
            run.answered()

    def arrival(self, priority: Priority, seconds: float) -> Arrival:
        now = time.perf_counter()
        return Arrival("r1", now, now + seconds, priority)


async def ok(ending: Ending) -> None:
    await ending.ask()


async def fails(ending: Ending) -> None:
    with pytest.raises(RunError):
        await ending.ask()


async def takes_too_long(ending: Ending) -> None:
    with pytest.raises(RunError):
        await ending.ask(seconds=0.05)


async def comes_too_late(ending: Ending) -> None:
    with pytest.raises(RunError):
        await ending.ask(seconds=-1)


async def is_given_up(ending: Ending) -> None:
    asking = asyncio.create_task(ending.ask())
    await ending.running.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def is_given_up_in_the_queue(ending: Ending) -> None:
    async with ending.frames.gate.admitted(priority=Priority.SINGLE, deadline=float("inf")):
        asking = asyncio.create_task(ending.ask())
        await _queued(ending.frames)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def is_refused(ending: Ending) -> None:
    async with ending.frames.gate.admitted(priority=Priority.SINGLE, deadline=float("inf")):
        waiting = asyncio.create_task(_wait_in(ending.frames))
        await _queued(ending.frames)
        with pytest.raises(RunError):
            await ending.ask()
    await waiting


async def _queued(frames: Frames) -> None:
    while not frames.gate.queued:  # noqa: ASYNC110 - it sets no event
        await asyncio.sleep(0)


async def _wait_in(frames: Frames) -> None:
    async with frames.gate.admitted(priority=Priority.SINGLE, deadline=float("inf")):
        pass


async def comes_while_the_pod_leaves(ending: Ending) -> None:
    ending.frames.gate.drain()
    with pytest.raises(RunError):
        await ending.ask(Priority.BATCH)


async def is_cut_as_a_stream(ending: Ending) -> None:
    async def stream() -> AsyncGenerator[str, None]:
        async with ending.frames.around(ending.arrival(Priority.SINGLE, 30)):
            yield "a piece"
            raise AssertionError("nobody asks for more")

    async with aclosing(stream()) as pieces:
        assert await anext(pieces) == "a piece"


async def is_not_read(ending: Ending) -> None:
    def read() -> None:
        with ending.frames.receiving(time.perf_counter()) as reception:
            reception.outcome = Outcome.INVALID_INPUT
            raise ValueError("no JSON")

    with pytest.raises(ValueError, match="no JSON"):
        read()


async def answers() -> Number:
    return Number(value=1)


async def raises() -> Number:
    raise OSError("the disk is full")


async def hangs() -> Number:
    await asyncio.Event().wait()
    return Number(value=1)


@pytest.mark.parametrize(
    ("end", "act", "outcome"),
    [
        (ok, answers, Outcome.OK),
        (fails, raises, Outcome.AGENT_FAILED),
        (takes_too_long, hangs, Outcome.DEADLINE_EXCEEDED),
        (comes_too_late, answers, Outcome.DEADLINE_EXCEEDED),
        (is_given_up, hangs, Outcome.CANCELLED),
        (is_given_up_in_the_queue, answers, Outcome.CANCELLED),
        (is_refused, answers, Outcome.OVERLOADED),
        (comes_while_the_pod_leaves, answers, Outcome.DRAINING),
        (is_cut_as_a_stream, answers, Outcome.CANCELLED),
        (is_not_read, answers, Outcome.INVALID_INPUT),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
async def test_a_request_is_observed_exactly_once_however_it_ends(
    end: Callable[[Ending], Awaitable[None]], act: Callable[[], Awaitable[Number]], outcome: Outcome
) -> None:
    running = asyncio.Event()

    async def noted() -> Number:
        running.set()
        return await act()

    agent = Scripted(AgentConfig(max_concurrent_requests=1, max_queued_requests=1), noted)
    observed: list[Outcome] = []
    frames = agent._platform.frames  # what a server would have given it
    count = frames.metrics.observe

    def observe(outcome: Outcome, seconds: float) -> None:
        observed.append(outcome)
        count(outcome, seconds)

    frames.metrics.observe = observe  # type: ignore[method-assign]
    await end(Ending(agent, frames, running))

    assert observed == [outcome]
    assert agent.metrics.total_requests == 1
    assert (frames.in_flight.count, frames.gate.running, frames.gate.queued) == (0, 0, 0)
