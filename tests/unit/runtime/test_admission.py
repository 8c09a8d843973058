"""The gate, on a clock of its own: waiting takes no time, and nothing depends on how busy the machine is."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from mizzen_runtime.admission import AdmissionGate, Priority
from mizzen_runtime.admission_metrics import observed_gate
from mizzen_runtime.errors import Outcome, RunError
from tests.support.virtual_time import now, run

SINGLE, BATCH = Priority.SINGLE, Priority.BATCH
FAR = 10_000.0


def gate_of(max_running: int, max_queued: int, waits: list[float] | None = None) -> AdmissionGate:
    seen = waits if waits is not None else []
    return AdmissionGate(max_running=max_running, max_queued=max_queued, observe_wait=seen.append, clock=now)


class Door:
    """Requests that stay in the gate until they are let go."""

    def __init__(self, gate: AdmissionGate) -> None:
        self.gate = gate
        self.begun: list[str] = []
        self._let_go: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, priority: Priority = SINGLE, deadline: float = FAR) -> asyncio.Task[None]:
        """Let a request come, and get as far as it can."""
        self._let_go[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._stay(name, priority, deadline))
        await settle()
        return self._tasks[name]

    async def _stay(self, name: str, priority: Priority, deadline: float) -> None:
        async with self.gate.admitted(priority=priority, deadline=deadline):
            self.begun.append(name)
            await self._let_go[name].wait()

    async def end(self, name: str) -> None:
        self._let_go[name].set()
        await settle()

    async def end_all(self) -> None:
        for name in list(self._tasks):
            await self.end(name)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        assert (self.gate.running, self.gate.queued) == (0, 0)


@asynccontextmanager
async def door_of(gate: AdmissionGate) -> AsyncIterator[Door]:
    door = Door(gate)
    yield door
    await door.end_all()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def refused(task: asyncio.Task[None]) -> RunError:
    assert task.done()
    error = task.exception()
    assert isinstance(error, RunError)
    return error


def test_as_many_run_and_wait_as_the_limits_say_and_the_next_is_refused_at_once() -> None:
    async def main() -> None:
        async with door_of(gate_of(2, 3)) as door:
            for name in "abcde":
                await door.ask(name)
            assert (door.gate.running, door.gate.queued, door.begun) == (2, 3, ["a", "b"])
            error = refused(await door.ask("f"))
            assert (error.outcome, error.retry_after) == (Outcome.OVERLOADED, 1)
            assert error.detail == "2 requests run and 3 wait already: ask again later"
            assert now() == 0

    run(main())


def test_without_a_queue_only_those_that_can_run_come_in() -> None:
    async def main() -> None:
        async with door_of(gate_of(1, 0)) as door:
            await door.ask("a")
            assert refused(await door.ask("b")).outcome is Outcome.OVERLOADED
            await door.end("a")
            await door.ask("c")
            assert door.begun == ["a", "c"]

    run(main())


def test_single_requests_come_before_batch_items_and_each_in_the_order_of_arrival() -> None:
    async def main() -> None:
        async with door_of(gate_of(1, 9)) as door:
            await door.ask("first")
            for name, priority in (("b1", BATCH), ("s1", SINGLE), ("b2", BATCH), ("s2", SINGLE)):
                await door.ask(name, priority)
            for name in ("first", "s1", "s2", "b1"):
                await door.end(name)
            assert door.begun == ["first", "s1", "s2", "b1", "b2"]

    run(main())


def test_a_single_request_takes_the_place_of_the_batch_item_that_came_last() -> None:
    async def main() -> None:
        async with door_of(gate_of(1, 2)) as door:
            await door.ask("first")
            await door.ask("b1", BATCH)
            last = await door.ask("b2", BATCH)
            assert refused(await door.ask("b3", BATCH)).outcome is Outcome.OVERLOADED
            await door.ask("s1")
            assert refused(last).outcome is Outcome.OVERLOADED
            assert door.gate.queued == 2

    run(main())


def test_one_whose_time_is_over_leaves_the_queue_then() -> None:
    waits: list[float] = []

    async def main() -> None:
        async with door_of(gate_of(1, 1, waits)) as door:
            await door.ask("a")
            late = await door.ask("b", deadline=3)
            await asyncio.sleep(2.9)
            assert not late.done()
            await asyncio.sleep(0.1)
            await settle()
            assert refused(late).outcome is Outcome.DEADLINE_EXCEEDED
            assert door.gate.queued == 0

    run(main())
    assert waits == [3]


def test_one_whose_time_was_over_before_it_came_does_not_run_even_if_it_could() -> None:
    async def main() -> None:
        async with door_of(gate_of(1, 1)) as door:
            assert refused(await door.ask("a", deadline=0)).outcome is Outcome.DEADLINE_EXCEEDED

    run(main())


def test_a_permit_is_not_given_to_one_whose_time_is_over() -> None:
    async def main() -> None:
        clock = [0.0]  # runs on while the loop is busy, before the loop's timers see it
        gate = AdmissionGate(max_running=1, max_queued=2, clock=lambda: clock[0])
        async with door_of(gate) as door:
            await door.ask("a")
            late = await door.ask("late", deadline=5)
            await door.ask("b")
            clock[0] = 6
            await door.end("a")
            assert refused(late).outcome is Outcome.DEADLINE_EXCEEDED
            assert door.begun == ["a", "b"]

    run(main())


def test_when_the_pod_is_to_leave_batch_items_that_have_not_begun_are_refused_and_single_requests_run() -> None:
    async def main() -> None:
        async with door_of(gate_of(2, 9)) as door:
            await door.ask("s1")
            await door.ask("b1", BATCH)
            waiting = await door.ask("b2", BATCH)
            await door.ask("s2")
            door.gate.drain()
            await settle()
            assert refused(waiting).outcome is Outcome.DRAINING
            assert refused(await door.ask("b3", BATCH)).outcome is Outcome.DRAINING
            await door.ask("s3")
            await door.end("b1")
            await door.end("s1")
            assert door.begun == ["s1", "b1", "s2", "s3"]

    run(main())


def test_one_that_leaves_the_queue_makes_room_at_once() -> None:
    async def main() -> None:
        async with door_of(gate_of(1, 1)) as door:
            await door.ask("a")
            leaving = await door.ask("b")
            leaving.cancel()
            await settle()
            await door.ask("c")
            await door.end("a")
            assert door.begun == ["a", "c"]

    run(main())


def test_a_permit_that_was_given_to_one_who_is_cancelled_in_the_same_moment_goes_to_the_next() -> None:
    async def main() -> None:
        async with door_of(gate_of(1, 2)) as door:
            first = await door.ask("a")
            given = await door.ask("b")
            await door.ask("c")
            first.cancel()  # on its way out, it gives its permit to b ...
            await asyncio.sleep(0)
            assert (door.gate.queued, door.begun) == (1, ["a"])
            given.cancel()  # ... who has not woken up to take it
            await settle()
            assert given.cancelled()
            assert door.begun == ["a", "c"]

    run(main())


def test_one_who_is_cancelled_before_a_permit_is_free_is_passed_over_in_the_same_moment() -> None:
    async def main() -> None:
        async with door_of(gate_of(1, 2)) as door:
            first = await door.ask("a")
            gone = await door.ask("b")
            await door.ask("c")
            gone.cancel()
            first.cancel()
            await settle()
            assert door.begun == ["a", "c"]

    run(main())


def test_a_waiter_that_is_thrown_away_with_its_permit_hands_it_on() -> None:
    async def main() -> None:
        gate = gate_of(1, 1)
        async with gate.admitted(priority=SINGLE, deadline=FAR):
            waiting: Coroutine[object, object, None] = gate.admitted(priority=SINGLE, deadline=FAR).__aenter__()
            waiting.send(None)
            assert gate.queued == 1
        waiting.close()
        assert (gate.running, gate.queued) == (0, 0)

    run(main())


def test_a_refused_caller_is_told_when_those_that_wait_will_have_had_their_turn() -> None:
    async def main() -> None:
        async with door_of(gate_of(2, 6)) as door:
            for name in "abcdefgh":
                await door.ask(name)
            await asyncio.sleep(4)
            for name in "ab":
                await door.end(name)
            await door.ask("i")
            await door.ask("j")
            assert refused(await door.ask("k")).retry_after == 6 * 4 / 2

    run(main())


@pytest.mark.parametrize(("seconds", "told"), [(0.1, 1), (900, 60)])
def test_what_a_refused_caller_is_told_is_bounded(seconds: float, told: float) -> None:
    async def main() -> None:
        async with door_of(gate_of(1, 1)) as door:
            await door.ask("a")
            await door.ask("b")
            await asyncio.sleep(seconds)
            await door.end("a")
            await door.ask("c")
            assert refused(await door.ask("d")).retry_after == told

    run(main())


def test_one_that_would_not_be_answered_in_time_is_refused_at_once_unless_it_can_run_at_once() -> None:
    async def main() -> None:
        async with door_of(gate_of(1, 9)) as door:
            await door.ask("a")
            await asyncio.sleep(10)
            await door.end("a")
            await door.ask("b", deadline=now() + 1)  # however unlikely
            error = refused(await door.ask("c", deadline=now() + 24.9))
            assert error.outcome is Outcome.OVERLOADED
            assert (
                error.detail == "0 requests wait already, and this one would not be answered in time: ask again later"
            )
            await door.ask("d", deadline=now() + 25)  # 1.5 waits of 10 s, and 10 s of its own
            assert door.gate.queued == 1

    run(main())


def test_batch_items_do_not_count_against_a_single_request() -> None:
    async def main() -> None:
        async with door_of(gate_of(1, 9)) as door:
            await door.ask("a")
            await asyncio.sleep(10)
            await door.end("a")
            for name in ("b", "c", "d"):
                await door.ask(name, BATCH)
            await door.ask("e", SINGLE, now() + 26)
            assert refused(await door.ask("f", BATCH, now() + 26)).outcome is Outcome.OVERLOADED
            assert door.gate.queued == 3

    run(main())


@pytest.mark.parametrize("mean", [2, 8, 15, 30])
def test_ten_times_the_load_leaves_nine_tenths_of_the_goodput(mean: float) -> None:
    running, timeout, end = 10, 60.0, 100 * mean
    chance = random.Random(5)  # noqa: S311 - no secret

    async def one(gate: AdmissionGate, answered: list[float]) -> None:
        deadline = now() + timeout
        try:
            async with gate.admitted(priority=SINGLE, deadline=deadline), asyncio.timeout(deadline - now()):
                await asyncio.sleep(chance.uniform(0.8, 1.2) * mean)
                answered.append(now())
        except (RunError, TimeoutError):
            pass

    async def main() -> None:
        gate = gate_of(running, 100)
        answered: list[float] = []
        async with asyncio.TaskGroup() as group:
            while now() < end:
                group.create_task(one(gate, answered))
                await asyncio.sleep(chance.expovariate(10 * running / mean))
        assert len([when for when in answered if when <= end]) >= 0.9 * running * end / mean

    run(main())


@dataclass
class Storm:
    """What one storm of requests did."""

    gate: AdmissionGate
    max_running: int
    max_queued: int
    running: int = 0
    came: int = 0
    begun: dict[Priority, list[tuple[float, int]]] = field(default_factory=lambda: {SINGLE: [], BATCH: []})
    """When, and as the how manieth that came."""
    ended: dict[str, int] = field(default_factory=dict)

    async def request(self, priority: Priority, patience: float, seconds: float) -> None:
        place = self.came
        self.came += 1
        try:
            async with self.gate.admitted(priority=priority, deadline=now() + patience):
                self.running += 1
                self.begun[priority].append((now(), place))
                self._check()
                try:
                    await asyncio.sleep(seconds)
                finally:
                    self.running -= 1
            self._count("ok")
        except RunError as error:
            self._count(error.outcome)
        except asyncio.CancelledError:
            self._count("cancelled")
            raise
        finally:
            self._check()

    def _count(self, end: str) -> None:
        self.ended[end] = self.ended.get(end, 0) + 1

    def _check(self) -> None:
        assert self.running <= self.gate.running <= self.max_running
        assert 0 <= self.gate.queued <= self.max_queued


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    max_running=st.integers(1, 5),
    max_queued=st.integers(0, 8),
    drained=st.booleans(),
)
def test_no_storm_of_cancellations_takes_the_gate_beyond_its_limits_or_loses_a_permit(
    seed: int, max_running: int, max_queued: int, *, drained: bool
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret

    async def main() -> None:
        storm = Storm(gate_of(max_running, max_queued), max_running, max_queued)
        tasks: list[asyncio.Task[None]] = []
        for number in range(500):
            given_time = chance.choice([0, 0.5, 3, 50])
            request = storm.request(chance.choice(list(Priority)), given_time, chance.choice([0, 0, 1, 2]))
            tasks.append(asyncio.create_task(request))
            for _ in range(chance.choice([0, 0, 1, 3])):
                await asyncio.sleep(chance.choice([0, 0, 0, 0.5]))
            for task in chance.sample(tasks[-8:], min(len(tasks), chance.choice([0, 0, 1, 4]))):
                task.cancel()
            if drained and number == 400:
                storm.gate.drain()
        await asyncio.wait(tasks)
        assert not [task for task in tasks if not task.cancelled() and task.exception()]
        never_begun = sum(task.cancelled() for task in tasks) - storm.ended.get("cancelled", 0)
        assert sum(storm.ended.values()) + never_begun == len(tasks)
        for begun in storm.begun.values():
            # Within an instant, one who was given a permit wakes up after one who came later and found another one.
            order = [place for _, place in sorted(begun)]
            assert order == sorted(order), "first come, first served"
        await full_width(storm.gate, max_running)

    run(main())


async def full_width(gate: AdmissionGate, max_running: int) -> None:
    """Check that as many can run as ever."""
    assert (gate.running, gate.queued) == (0, 0)
    async with door_of(gate) as door:
        for number in range(max_running):
            await door.ask(str(number))
        assert len(door.begun) == max_running


def test_prometheus_sees_the_queue_and_the_limit() -> None:
    registry = CollectorRegistry()
    value = registry.get_sample_value

    async def main() -> None:
        gate = observed_gate(registry, max_running=1, max_queued=3)
        assert (value("mizzen_requests_running_limit"), value("mizzen_requests_queued")) == (1, 0)
        async with door_of(gate) as door:
            far = time.perf_counter() + FAR
            for name in "abc":
                await door.ask(name, deadline=far)
            assert value("mizzen_requests_queued") == 2
        assert value("mizzen_requests_queued") == 0
        assert value("mizzen_queue_duration_seconds_count") == 2, "the first need not wait"

    asyncio.run(main())
