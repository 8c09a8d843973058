"""Admission: how many requests are answered at once, and how many wait for their turn. Refuses the rest at once.

Written with futures, because `asyncio.Semaphore` has neither priorities nor a bound on its queue. A permit that becomes
free goes straight to the one whose turn it is, so nobody who comes later can take it in between.

A queue in the order of arrival has a flaw: under lasting overload all its requests are nearly too old when their turn
comes, so that the agent works on answers that nobody waits for any more. So a request that would have to wait is also
refused if, as requests go lately, it would not be answered in time. `bench/admission.py` shows what that is worth: with
ten times the requests that an agent can take, of 15 s each, it answers as many as ever, and without it a tenth.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from enum import Enum, IntEnum, auto
from types import TracebackType

from mizzen_runtime.errors import Outcome, RunError

MIN_RETRY_SECONDS = 1.0
"""What a refused caller is told to wait at least, also while it is not known how long requests take."""
MAX_RETRY_SECONDS = 60.0
"""And at most: what happens in more than a minute, nobody knows."""
_WEIGHT_OF_THE_LAST = 0.1
"""Share of the last request's time in the recent average: some twenty requests make it up."""
_CAUTION = 1.5
"""How much longer than estimated a wait may turn out. Requests take different times, and at 1 half of those that are
admitted last would be cut off."""


class Priority(IntEnum):
    """Whose turn it is: the lower number first, and within a number who came first."""

    SINGLE = 0
    """A request whose caller waits for this one answer."""
    BATCH = 1
    """An item of a batch."""


class _Verdict(Enum):
    """What became of one that waited."""

    ADMITTED = auto()
    DISPLACED = auto()
    TOO_LATE = auto()
    DRAINING = auto()


class _Waiter:
    """One that waits for its turn."""

    __slots__ = ("deadline", "verdict")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.verdict: asyncio.Future[_Verdict] = asyncio.get_running_loop().create_future()

    def tell(self, verdict: _Verdict) -> bool:
        """Give the verdict; False if the waiter's task was cancelled, which it may not have noticed yet."""
        if self.verdict.done():
            return False
        self.verdict.set_result(verdict)
        return True

    @property
    def was_admitted(self) -> bool:
        """Whether it holds a permit, also if its task was cancelled since."""
        return self.verdict.done() and not self.verdict.cancelled() and self.verdict.result() is _Verdict.ADMITTED


class AdmissionGate:
    """Lets at most so many requests run, and so many wait. Every step takes the same time, however many wait.

    A permit is never lost: who is cancelled after it was given one hands it on.
    """

    def __init__(
        self,
        *,
        max_running: int,
        max_queued: int,
        observe_wait: Callable[[float], None] = lambda _seconds: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Open the gate.

        Args:
            max_running: How many requests may run at once.
            max_queued: How many more may wait for their turn.
            observe_wait: Is told the seconds of each wait, however it ended. Who need not wait is not told of.
            clock: Gives the time that deadlines are of, in seconds.
        """
        self._max_running = max_running
        self._max_queued = max_queued
        self._observe_wait = observe_wait
        self._clock = clock
        self._running = 0
        self._queues: dict[Priority, OrderedDict[_Waiter, None]] = {priority: OrderedDict() for priority in Priority}
        """Who leaves is taken out at once, from whatever place, and those that stay keep their order."""
        self._is_draining = False
        self._recent_seconds = 0.0
        """How long requests ran lately, on average; 0 before the first has ended."""

    @property
    def running(self) -> int:
        """How many run."""
        return self._running

    @property
    def queued(self) -> int:
        """How many wait for their turn."""
        return sum(len(queue) for queue in self._queues.values())

    def admitted(self, *, priority: Priority, deadline: float) -> AbstractAsyncContextManager[None]:
        """Give the frame of one request: entering it waits for its turn, leaving it lets the next one in.

        Args:
            priority: Whether singles or batch items wait before it.
            deadline: When it must be answered (`time.perf_counter`); it waits no longer.

        Raises:
            RunError: On entering. `OVERLOADED` if it may not even wait, would not be answered in time, or is a batch
                item that had to leave the full queue for a single request; `DEADLINE_EXCEEDED` if its time is over;
                `DRAINING` for a batch item that has not begun when the pod is asked to leave.
        """
        return _Admission(self, priority, deadline)

    def drain(self) -> None:
        """Let no further batch item begin; single requests still run."""
        self._is_draining = True
        batch_items = self._queues[Priority.BATCH]
        for waiter in batch_items:
            waiter.tell(_Verdict.DRAINING)
        batch_items.clear()

    async def _enter(self, priority: Priority, deadline: float) -> float:
        """Wait for the turn; gives when it came."""
        now = self._clock()
        if self._is_draining and priority is Priority.BATCH:
            raise self._refusal(_Verdict.DRAINING)
        if deadline <= now:
            raise self._refusal(_Verdict.TOO_LATE)
        if self._running < self._max_running:  # then nobody waits
            self._running += 1
            return now
        if not self._is_in_time(priority, deadline - now):
            raise self._overloaded(f"{self.queued} requests wait already, and this one would not be answered in time")
        if self.queued >= self._max_queued and not self._make_room(priority):
            raise self._overloaded(f"{self._running} requests run and {self.queued} wait already")
        verdict = await self._wait(priority, _Waiter(deadline))
        if verdict is not _Verdict.ADMITTED:
            raise self._refusal(verdict)
        return self._clock()

    def _is_in_time(self, priority: Priority, time_left: float) -> bool:
        """Tell whether one that has to wait is likely to be answered in time; see the module."""
        ahead = sum(len(queue) for other, queue in self._queues.items() if other <= priority)
        wait = (ahead + 1) * self._recent_seconds / self._max_running
        return _CAUTION * wait + self._recent_seconds <= time_left

    def _make_room(self, priority: Priority) -> bool:
        """Send away the batch item that came last, for a single request."""
        batch_items = self._queues[Priority.BATCH]
        if priority is Priority.BATCH or not batch_items:
            return False
        waiter, _ = batch_items.popitem()
        waiter.tell(_Verdict.DISPLACED)
        return True

    async def _wait(self, priority: Priority, waiter: _Waiter) -> _Verdict:
        queue = self._queues[priority]
        queue[waiter] = None
        began = self._clock()
        timer = asyncio.get_running_loop().call_later(waiter.deadline - began, waiter.tell, _Verdict.TOO_LATE)
        try:
            return await waiter.verdict
        except BaseException:  # cancelled, perhaps after its turn had come
            if waiter.was_admitted:
                self._hand_on()
            raise
        finally:
            timer.cancel()
            queue.pop(waiter, None)
            self._observe_wait(self._clock() - began)

    def _leave(self, began: float, deadline: float) -> None:
        """Take back the permit of one that began to run then."""
        now = self._clock()
        seconds = now - began
        if not self._recent_seconds:
            self._recent_seconds = seconds
        elif now < deadline or seconds > self._recent_seconds:  # of one that was cut off, it is not known how long
            self._recent_seconds += _WEIGHT_OF_THE_LAST * (seconds - self._recent_seconds)
        self._hand_on()

    def _hand_on(self) -> None:
        """Give a permit that is free to the next one that can still use it."""
        now = self._clock()
        for queue in self._queues.values():  # in the order of their priority
            while queue:
                waiter, _ = queue.popitem(last=False)
                in_time = waiter.deadline > now
                if waiter.tell(_Verdict.ADMITTED if in_time else _Verdict.TOO_LATE) and in_time:
                    return
        self._running -= 1

    def _refusal(self, verdict: _Verdict) -> RunError:
        if verdict is _Verdict.DRAINING:
            return RunError(Outcome.DRAINING, "the pod is being replaced and begins no further items: ask again")
        if verdict is _Verdict.TOO_LATE:
            return RunError(
                Outcome.DEADLINE_EXCEEDED,
                f"the request's time was over before its turn came; the agent answers {self._max_running} at once",
            )
        return self._overloaded("a single request took the last place in the queue, which a batch's item had")

    def _overloaded(self, why: str) -> RunError:
        """Refuse, until those that wait now will have had their turn, if requests go on taking as long as lately."""
        estimate = self.queued * self._recent_seconds / self._max_running
        seconds = min(max(estimate, MIN_RETRY_SECONDS), MAX_RETRY_SECONDS)
        return RunError(Outcome.OVERLOADED, f"{why}: ask again later", retry_after=seconds)


class _Admission:
    """The frame of one request. A class, because a generator would cost as much again as the gate itself."""

    __slots__ = ("_began", "_deadline", "_gate", "_priority")

    def __init__(self, gate: AdmissionGate, priority: Priority, deadline: float) -> None:
        self._gate = gate
        self._priority = priority
        self._deadline = deadline
        self._began = 0.0

    async def __aenter__(self) -> None:
        self._began = await self._gate._enter(self._priority, self._deadline)  # noqa: SLF001 - the gate's own frame

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate._leave(self._began, self._deadline)  # noqa: SLF001 - as above
