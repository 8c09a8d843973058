"""The queue against a model of what a queue of its kind must do, and the sentences that the model is made of."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mizzen_operator.backoff import FIRST_SECONDS, MAX_SECONDS, Backoff
from mizzen_operator.workqueue import Priority, QueueObserver, WorkQueue

KEYS = st.sampled_from("abcde")


def backoff() -> Backoff:
    return Backoff(random.Random(1))  # noqa: S311 - the same jitter in each run


class Clock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Counts(QueueObserver):
    """What the metrics would count."""

    def __init__(self) -> None:
        self.adds = self.retries = self.takes = self.ends = 0

    def added(self) -> None:
        self.adds += 1

    def retried(self) -> None:
        self.retries += 1

    def taken(self, waited: float) -> None:
        assert waited >= 0
        self.takes += 1

    def finished(self, worked: float) -> None:
        assert worked >= 0
        self.ends += 1


def make(clock: Clock | None = None) -> WorkQueue[str]:
    return WorkQueue(clock or Clock(), backoff())


class QueueAgainstModel(RuleBasedStateMachine):
    """The model keeps each key's duties apart: wanted now, wanted again, wanted later, being worked on."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.counts = Counts()
        self.queue = WorkQueue[str](self.clock, backoff(), self.counts)
        self.wanted: dict[str, Priority] = {}
        self.working: set[str] = set()
        self.later: dict[str, float] = {}

    @rule(key=KEYS, priority=st.sampled_from(Priority))
    def add(self, key: str, priority: Priority) -> None:
        self.queue.add(key, priority)
        self.later.pop(key, None)
        self.wanted[key] = min(priority, self.wanted.get(key, priority))

    @rule(key=KEYS, seconds=st.floats(0, 100))
    def add_after(self, key: str, seconds: float) -> None:
        self.queue.add_after(key, seconds)
        due = self.clock.now + seconds
        self.later[key] = min(due, self.later.get(key, due))

    @rule(key=KEYS)
    def retry(self, key: str) -> None:
        due = self.clock.now + self.queue.retry(key)
        self.later[key] = min(due, self.later.get(key, due))

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.queue.forget(key)

    @rule(seconds=st.floats(0, 200))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def take(self) -> None:
        for key in [key for key, due in self.later.items() if due <= self.clock.now]:
            del self.later[key]
            self.wanted[key] = min(Priority.LOW, self.wanted.get(key, Priority.LOW))
        free = {key: priority for key, priority in self.wanted.items() if key not in self.working}
        taken = self.queue.take()
        if not free:
            assert taken is None
            return
        assert taken is not None
        assert free[taken] == min(free.values()), "a key of low priority was taken before one of high priority"
        del self.wanted[taken]
        self.working.add(taken)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.working)))
        self.queue.done(key)
        self.working.remove(key)

    @invariant()
    def each_key_is_worked_on_once(self) -> None:
        assert len(self.queue.working_seconds()) == len(self.working)
        assert self.counts.takes - self.counts.ends == len(self.working)

    @invariant()
    def the_depth_is_what_waits_now(self) -> None:
        waiting = {key for key in self.wanted if key not in self.working}
        overdue = {key for key, due in self.later.items() if due <= self.clock.now}
        assert len(waiting) <= len(self.queue) <= len(waiting | overdue)


TestQueueAgainstModel = QueueAgainstModel.TestCase


def test_a_key_that_waits_is_there_once() -> None:
    queue = make()
    queue.add("a")
    queue.add("a")
    assert queue.take() == "a"
    assert queue.take() is None


def test_a_key_that_is_added_while_worked_on_comes_again_and_not_at_the_same_time() -> None:
    queue = make()
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    assert queue.take() is None
    queue.done("a")
    assert queue.take() == "a"


def test_a_delay_that_is_asked_for_after_a_key_was_added_again_counts() -> None:
    clock = Clock()
    queue = make(clock)
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.add_after("a", 1)
    queue.done("a")
    assert queue.take() == "a"
    queue.done("a")
    assert queue.take() is None
    clock.now += 1
    assert queue.take() == "a"


def test_what_a_person_did_goes_before_what_a_resync_found() -> None:
    queue = make()
    queue.add("old", Priority.LOW)
    queue.add("new", Priority.HIGH)
    assert [queue.take(), queue.take()] == ["new", "old"]


def test_a_key_of_a_resync_is_raised_when_a_person_touches_it() -> None:
    queue = make()
    for key in "abc":
        queue.add(key, Priority.LOW)
    queue.add("c", Priority.HIGH)
    assert [queue.take(), queue.take(), queue.take()] == ["c", "a", "b"]


def test_a_failing_key_comes_back_later_and_later() -> None:
    clock = Clock()
    queue = make(clock)
    delays = [queue.retry("a") for _ in range(20)]
    assert FIRST_SECONDS / 2 <= delays[0] <= FIRST_SECONDS
    assert all(MAX_SECONDS / 2 <= delay <= MAX_SECONDS for delay in delays[14:])


def test_success_begins_the_backoff_anew() -> None:
    queue = make()
    for _ in range(10):
        queue.retry("a")
    queue.forget("a")
    assert queue.retry("a") <= FIRST_SECONDS


def test_a_server_that_asks_for_time_gets_it() -> None:
    clock = Clock()
    queue = make(clock)
    assert queue.retry("a", at_least=30) == 30
    clock.now += 29
    assert queue.take() is None
    clock.now += 1
    assert queue.take() == "a"


def test_an_event_does_not_wait_for_the_backoff() -> None:
    queue = make()
    for _ in range(10):
        queue.retry("a")
    queue.add("a")
    assert queue.take() == "a"


def test_keys_that_failed_together_do_not_come_back_together() -> None:
    queue = make()
    assert len({queue.retry(str(number)) for number in range(100)}) == 100


def run(scenario: Callable[[WorkQueue[str]], Awaitable[None]]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            await scenario(WorkQueue(loop.time, backoff()))

    asyncio.run(main())


def test_every_waiter_gets_a_key_of_its_own() -> None:
    async def scenario(queue: WorkQueue[str]) -> None:
        waiters = [asyncio.create_task(queue.get()) for _ in range(3)]
        await asyncio.sleep(0)
        for key in "abc":
            queue.add(key)
        assert sorted(str(key) for key in await asyncio.gather(*waiters)) == ["a", "b", "c"]

    run(scenario)


def test_a_waiter_sees_a_key_whose_time_comes() -> None:
    async def scenario(queue: WorkQueue[str]) -> None:
        queue.add_after("late", 0.05)
        queue.add_after("soon", 0.01)
        assert [await queue.get(), await queue.get()] == ["soon", "late"]

    run(scenario)


def test_a_closed_queue_sends_every_waiter_home() -> None:
    async def scenario(queue: WorkQueue[str]) -> None:
        waiters = [asyncio.create_task(queue.get()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.close()
        assert await asyncio.gather(*waiters) == [None, None, None]

    run(scenario)


def test_a_suspended_queue_queues_nothing_and_measures_no_waiting() -> None:
    clock = Clock()
    queue = make(clock)
    queue.suspend()
    queue.add("a")
    queue.add_after("b", 1)
    clock.now += 3600
    assert (len(queue), queue.next_due(), queue.take()) == (0, None, None)
    queue.resume()
    queue.add("a")
    assert queue.take() == "a"
