"""How requests went lately, in slices of time: those that are too old are left out, and nothing is ever sorted."""

import math
from collections import deque
from dataclasses import dataclass

from mizzen_runtime.statistics.quantile_sketch import QuantileSketch
from mizzen_runtime.statistics.verdict import Verdict

WINDOW_SECONDS = 300.0
"""How far back it is remembered."""
SLICE_SECONDS = 10.0
"""The slice that has begun is part of every answer, beside the whole ones: it covers up to this much more."""
SLICES = math.ceil(WINDOW_SECONDS / SLICE_SECONDS) + 1
"""Of 4.6 KB each: 142 KB in all."""


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """How requests went over some time until now. What there is no request for is 0."""

    seconds: float
    """How long that is."""
    requests: int
    """Those that were answered or failed; see `mizzen_runtime.statistics.verdict` for what is neither."""
    failures: int
    """Those of them that failed."""
    timed: int
    """Requests that the following is about: answered, or ended by their deadline."""
    average_seconds: float
    p50_seconds: float
    p95_seconds: float
    p99_seconds: float

    @property
    def error_rate(self) -> float:
        """From 0 to 1."""
        return self.failures / self.requests if self.requests else 0.0


class _Slice:
    """Some seconds of the window."""

    __slots__ = ("durations", "failures", "number", "requests", "seconds", "timed")

    def __init__(self, number: float) -> None:
        self.number = number
        self.requests = 0
        self.failures = 0
        self.timed = 0
        self.seconds = 0.0
        self.durations = QuantileSketch()


class SlidingWindow:
    """Requests of the last `WINDOW_SECONDS`. Has no clock: times must not decrease from call to call."""

    def __init__(self) -> None:
        self._slices: deque[_Slice] = deque(maxlen=SLICES)
        self._current = _Slice(-1)

    def add(self, now: float, verdict: Verdict, seconds: float) -> None:
        """Count a request that ended.

        Args:
            now: When it did, in seconds.
            verdict: What it counts for.
            seconds: What it took.
        """
        number = now // SLICE_SECONDS
        current = self._current
        if current.number != number:
            self._current = current = _Slice(number)
            self._slices.append(current)
        if verdict.judged:
            current.requests += 1
            current.failures += verdict.failed
        if verdict.timed:
            current.timed += 1
            current.seconds += seconds
            current.durations.add(seconds)

    def over(self, now: float, seconds: float) -> WindowFigures:
        """Give the figures of the last `seconds` before `now`, and of up to `SLICE_SECONDS` more.

        Raises:
            ValueError: That is no part of the window.
        """
        if not 0 < seconds <= WINDOW_SECONDS:
            raise ValueError(
                f"{seconds:g} s are no part of the window: ask for more than 0, at most {WINDOW_SECONDS:g}"
            )
        oldest = (now - seconds) // SLICE_SECONDS
        slices = [each for each in self._slices if each.number >= oldest]
        timed = sum(each.timed for each in slices)
        p50, p95, p99 = QuantileSketch.sum_of(each.durations for each in slices).percentiles(50, 95, 99)
        return WindowFigures(
            seconds=seconds,
            requests=sum(each.requests for each in slices),
            failures=sum(each.failures for each in slices),
            timed=timed,
            average_seconds=sum(each.seconds for each in slices) / timed if timed else 0.0,
            p50_seconds=p50,
            p95_seconds=p95,
            p99_seconds=p99,
        )
