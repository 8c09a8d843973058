"""What a breaker remembers of its calls: the last ones, or those of the last seconds. Sums are kept, not made anew.

The buckets of `TimeWindow` and the way it forgets them are resilience4j's `SlidingTimeWindowMetrics`.
"""

import math
from typing import Protocol

from mizzen_api.breakers import WindowType


class Window(Protocol):
    """Calls that count, and how many of them failed or were slow."""

    calls: int
    failed: int
    slow: int

    def record(self, now: float, *, failed: bool, slow: bool) -> None:
        """Add a call that ended at `now`, and forget those that are no longer in the window."""
        ...

    def forget(self, now: float) -> None:
        """Forget the calls that are no longer in the window at `now`."""
        ...


def window_of(kind: WindowType, size: int, now: float) -> Window:
    """Give an empty window that begins at `now`."""
    return CountWindow(size) if kind == "Count" else TimeWindow(size, now)


class CountWindow:
    """The last `size` calls, in a ring."""

    def __init__(self, size: int) -> None:
        self.calls = 0
        self.failed = 0
        self.slow = 0
        self._ring: list[tuple[bool, bool]] = [(False, False)] * size
        self._next = 0

    def record(self, now: float, *, failed: bool, slow: bool) -> None:  # noqa: ARG002 - as every window
        """Put a call in the place of the oldest one."""
        oldest_failed, oldest_slow = self._ring[self._next]
        self._ring[self._next] = failed, slow
        self._next = (self._next + 1) % len(self._ring)
        self.calls = min(self.calls + 1, len(self._ring))
        self.failed += failed - oldest_failed
        self.slow += slow - oldest_slow

    def forget(self, now: float) -> None:
        """Do nothing: no call gets too old by itself."""


class _Bucket:
    """The calls of one second."""

    __slots__ = ("calls", "failed", "slow")

    def __init__(self) -> None:
        self.calls = 0
        self.failed = 0
        self.slow = 0


class TimeWindow:
    """The calls of this second of the clock and of those before it, `seconds` in all."""

    def __init__(self, seconds: int, now: float) -> None:
        self.calls = 0
        self.failed = 0
        self.slow = 0
        self._buckets = [_Bucket() for _ in range(seconds)]
        self._second = math.floor(now)

    def record(self, now: float, *, failed: bool, slow: bool) -> None:
        """Add a call to this second's bucket."""
        self.forget(now)
        bucket = self._buckets[self._second % len(self._buckets)]
        for counted in (bucket, self):
            counted.calls += 1
            counted.failed += failed
            counted.slow += slow

    def forget(self, now: float) -> None:
        """Empty the buckets of the seconds that have begun since the last call, each one once."""
        second = math.floor(now)
        for begun in range(max(self._second, second - len(self._buckets)) + 1, second + 1):
            place = begun % len(self._buckets)
            old = self._buckets[place]
            if old.calls:
                self.calls -= old.calls
                self.failed -= old.failed
                self.slow -= old.slow
                self._buckets[place] = _Bucket()
        self._second = second
