"""A deduplicating, rate-limited queue of keys, after client-go's `workqueue`.

- A key that is added while it waits is there once; added while it is worked on, it comes again afterwards: one key is
  never worked on twice at the same time, and no change is lost.
- A key that failed comes back after an exponential delay; any other add brings it back at once.
- Two priorities: what a person just did goes before what a resync wants to look at.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Hashable
from enum import IntEnum
from typing import Generic, TypeVar

from mizzen_operator.backoff import Backoff

K = TypeVar("K", bound=Hashable)
Clock = Callable[[], float]
"""Seconds that never go back."""


class Priority(IntEnum):
    """Which of two waiting keys is worked on first."""

    HIGH = 0
    LOW = 1


class QueueObserver:
    """Told what happens in a queue; does nothing. Metrics derive from it."""

    def added(self) -> None:
        """A key has begun to wait."""

    def retried(self) -> None:
        """A key will come back after a failure."""

    def taken(self, waited: float) -> None:
        """A key is being worked on, after so many seconds of waiting."""

    def finished(self, worked: float) -> None:
        """The work on a key ended, after so many seconds."""


class WorkQueue(Generic[K]):
    """See the module. One event loop's tasks share it."""

    def __init__(self, clock: Clock, backoff: Backoff, observer: QueueObserver | None = None) -> None:
        self._clock = clock
        self._backoff = backoff
        self._observer = observer or QueueObserver()
        self._waiting: dict[Priority, dict[K, float]] = {priority: {} for priority in Priority}
        """By priority, in order of arrival: when a key began to wait."""
        self._working: dict[K, float] = {}
        """Since when each key is being worked on."""
        self._again: dict[K, Priority] = {}
        """Added while worked on."""
        self._later: list[tuple[float, int, K, Priority]] = []
        """A heap of keys whose time is to come."""
        self._due: dict[K, float] = {}
        """The one time of each of them that counts; other entries of the heap are stale."""
        self._failures: dict[K, int] = {}
        self._sequence = itertools.count()
        self._wake = asyncio.Event()
        self._suspended = False
        self._closed = False

    def __len__(self) -> int:
        """How many keys wait to be worked on now."""
        return sum(len(keys) for keys in self._waiting.values())

    def working_seconds(self) -> list[float]:
        """For how long each key that is being worked on has been so."""
        now = self._clock()
        return [now - since for since in self._working.values()]

    def suspend(self) -> None:
        """Queue nothing from now on: nobody works here, and whoever calls `resume` adds all keys that there are."""
        self._suspended = True

    def resume(self) -> None:
        """End what `suspend` began."""
        self._suspended = False

    def add(self, key: K, priority: Priority = Priority.HIGH) -> None:
        """Have a key worked on as soon as possible; what was to bring it back later is settled by that."""
        if self._suspended:
            return
        self._due.pop(key, None)
        self._queue(key, priority)

    def _queue(self, key: K, priority: Priority) -> None:
        if key in self._working:
            self._again[key] = min(priority, self._again.get(key, priority))
            return
        for other in Priority:
            if key in self._waiting[other]:
                if priority < other:
                    self._waiting[priority][key] = self._waiting[other].pop(key)
                return
        self._waiting[priority][key] = self._clock()
        self._observer.added()
        self._wake.set()

    def add_after(self, key: K, seconds: float, priority: Priority = Priority.LOW) -> None:
        """Have a key worked on in so many seconds, unless it is before."""
        if self._suspended:
            return
        due = self._clock() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._later, (due, next(self._sequence), key, priority))
            self._wake.set()

    def retry(self, key: K, at_least: float = 0.0) -> float:
        """Have a key worked on again after its backoff, and not before `at_least` seconds. Returns the delay."""
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = max(at_least, self._backoff.delay(self._failures[key]))
        self._observer.retried()
        self.add_after(key, delay)
        return delay

    def failures(self, key: K) -> int:
        """How often the work on a key has failed in a row."""
        return self._failures.get(key, 0)

    def forget(self, key: K) -> None:
        """Begin the backoff of a key anew: it succeeded, or is gone."""
        self._failures.pop(key, None)

    def take(self) -> K | None:
        """Take the next key to work on; None if there is none now. `done` must follow."""
        self._promote()
        for keys in self._waiting.values():
            for key in keys:
                now = self._clock()
                self._observer.taken(now - keys.pop(key))
                self._working[key] = now
                return key
        return None

    def done(self, key: K) -> None:
        """End the work on a key that was taken."""
        self._observer.finished(self._clock() - self._working.pop(key))
        priority = self._again.pop(key, None)
        if priority is not None and not self._suspended:
            # Not `add`: what was to bring it back later may have been asked for after it was added again.
            self._queue(key, priority)

    def next_due(self) -> float | None:
        """Seconds until a delayed key's time comes; None if no key is delayed."""
        while self._later and self._due.get(self._later[0][2]) != self._later[0][0]:
            heapq.heappop(self._later)
        return max(0.0, self._later[0][0] - self._clock()) if self._later else None

    async def get(self) -> K | None:
        """Wait for the next key and take it: `done` must follow. None when the queue is closed."""
        while not self._closed:
            self._wake.clear()
            key = self.take()
            if key is not None:
                self._wake.set()  # other waiters look for themselves
                return key
            try:
                async with asyncio.timeout(self.next_due()):
                    await self._wake.wait()
            except TimeoutError:
                continue
        return None

    def close(self) -> None:
        """Hand out no more keys."""
        self._closed = True
        self._wake.set()

    def _promote(self) -> None:
        """Move keys whose time has come to those that wait."""
        while self.next_due() == 0.0:
            _, _, key, priority = heapq.heappop(self._later)
            self.add(key, priority)
