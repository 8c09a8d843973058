"""All that is counted of requests, and `AgentMetrics` out of it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import psutil

from mizzen_runtime.errors import Outcome
from mizzen_runtime.statistics.agent_metrics import AgentMetrics
from mizzen_runtime.statistics.sliding_window import WINDOW_SECONDS, SlidingWindow, WindowFigures
from mizzen_runtime.statistics.verdict import VERDICTS, Verdict

Clock = Callable[[], float]
"""Gives seconds."""


class _Tally:
    """Requests that ended in one way."""

    __slots__ = ("count", "verdict")

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.count = 0


class RequestStatistics:
    """Counts since the start, and the window. Belongs to one thread."""

    def __init__(self, clock: Clock = time.monotonic, wall_clock: Clock = time.time) -> None:
        """Begin with nothing.

        Args:
            clock: Tells how time passes; it never goes back.
            wall_clock: Gives Unix time. Read only when somebody asks when the last request was.
        """
        self._clock = clock
        self._wall_clock = wall_clock
        self._began = clock()
        self._last: float | None = None
        self._tallies = {outcome: _Tally(verdict) for outcome, verdict in VERDICTS.items()}
        self._window = SlidingWindow()
        self._process = psutil.Process()

    def add(self, outcome: Outcome, seconds: float) -> None:
        """Count a request that ends now, and what it took."""
        self._last = now = self._clock()
        tally = self._tallies[outcome]
        tally.count += 1
        self._window.add(now, tally.verdict, seconds)

    def window(self, seconds: float = WINDOW_SECONDS) -> WindowFigures:
        """Give the figures of the last `seconds`.

        Raises:
            ValueError: That is no part of the window.
        """
        return self._window.over(self._clock(), seconds)

    def snapshot(self) -> AgentMetrics:
        """Give everything as it is now."""
        window = self.window()
        return AgentMetrics(
            total_requests=sum(tally.count for tally in self._tallies.values()),
            successful_requests=self._tallies[Outcome.OK].count,
            failed_requests=sum(tally.count for tally in self._tallies.values() if tally.verdict.failed),
            average_response_time_ms=1000 * window.average_seconds,
            p95_response_time_ms=1000 * window.p95_seconds,
            p99_response_time_ms=1000 * window.p99_seconds,
            error_rate_percent=100 * window.error_rate,
            last_request_timestamp=self._last_request(),
            uptime_seconds=self._clock() - self._began,
            memory_usage_mb=self._process.memory_info().rss / 1e6,
            window_seconds=window.seconds,
            window_requests=window.requests,
        )

    def _last_request(self) -> datetime | None:
        if self._last is None:
            return None
        return datetime.fromtimestamp(self._wall_clock() - (self._clock() - self._last), UTC)
