"""Counts the requests that ended, and gives those of a window: out of a few numbers a second, not a list of requests.

`statistics` has a window too, of five minutes in slices of ten seconds: too coarse here, and it cannot tell how many
requests were slow. That more than one of a hundred requests took longer than a time is the same as a 99th percentile
above it. So the requests that did are counted, exactly, and no percentile is computed.
"""

import math
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import NamedTuple

from mizzen_runtime.errors import Outcome
from mizzen_runtime.statistics.verdict import VERDICTS

_TURNED_AWAY = frozenset({Outcome.OVERLOADED, Outcome.DRAINING})
FAILURES = tuple(each for each in Outcome if VERDICTS[each].failed and each not in _TURNED_AWAY)
"""What counts against the agent's health: requests that were begun, and got no answer. Those that found no place are
told apart from them, and what a leaving pod has left undone is no trouble."""
_FAILURES = frozenset(FAILURES)


class _Counts(NamedTuple):
    """Requests since the start."""

    ok: int
    failures: tuple[int, ...]
    """Each of `FAILURES` in its order."""
    timed: int
    slow: int
    turned_away: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The requests that ended within the window."""

    requests: int = 0
    """Those that were answered and those that failed."""
    failures: int = 0
    commonest_failure: Outcome | None = None
    """How most of them failed."""
    timed: int = 0
    """Requests whose time counts: those that were answered, ended by their deadline, or given up by their caller after
    too long a time. Other failures come at once most often, and would make an agent that fails look fast."""
    slow: int = 0
    """How many of these took longer than they are to."""
    turned_away: int = 0
    """Requests that came when as many ran and waited as may; they are none of the above."""


class RequestTally:
    """Counts. Part of every request's way, so that it does next to nothing."""

    def __init__(self, max_latency: float | None) -> None:
        """Count from zero.

        Args:
            max_latency: Seconds above which a request is slow; None if none is.
        """
        self._max_latency = math.inf if max_latency is None else max_latency
        self._ok = 0
        self._failures: Counter[Outcome] = Counter()
        self._timed = 0
        self._slow = 0
        self._turned_away = 0

    def observe(self, outcome: Outcome, seconds: float) -> None:
        """Count one request that ended.

        Args:
            outcome: How it did.
            seconds: What it took, from its arrival to the end of its answer.
        """
        is_slow = seconds > self._max_latency
        if outcome is Outcome.OK:
            self._ok += 1
        elif outcome in _FAILURES:
            self._failures[outcome] += 1
            if not VERDICTS[outcome].timed:
                return
        elif outcome is Outcome.OVERLOADED:
            self._turned_away += 1
            return
        elif outcome is not Outcome.CANCELLED or not is_slow:
            return  # an agent so slow that every caller gives up is not to look well
        self._timed += 1
        self._slow += is_slow

    def counts(self) -> _Counts:
        """Give what was counted since the start."""
        failures = tuple(self._failures[each] for each in FAILURES)
        return _Counts(self._ok, failures, self._timed, self._slow, self._turned_away)


class Window:
    """The last seconds of a tally, as long as somebody looks at them every now and then."""

    def __init__(self, tally: RequestTally, seconds: float, *, now: float | None = None) -> None:
        """Begin with what comes from now on.

        Args:
            tally: Where requests are counted.
            seconds: Length of the window.
            now: The time by the clock that `figures` is given (`time.monotonic` unless told).
        """
        self._tally = tally
        self._seconds = seconds
        self._looks = deque([(time.monotonic() if now is None else now, tally.counts())])

    def figures(self, now: float) -> Figures:
        """Look, and give what ended in the window: up to the time between two looks more than its length.

        Args:
            now: The time in seconds; it never goes back.
        """
        newest = self._tally.counts()
        self._looks.append((now, newest))
        while self._looks[1][0] <= now - self._seconds:
            self._looks.popleft()
        oldest = self._looks[0][1]
        by_outcome = Counter(
            {
                outcome: after - before
                for outcome, before, after in zip(FAILURES, oldest.failures, newest.failures, strict=True)
            }
        )
        failures = by_outcome.total()
        requests = newest.ok - oldest.ok + failures
        return Figures(
            requests=requests,
            failures=failures,
            commonest_failure=by_outcome.most_common(1)[0][0] if failures else None,
            timed=newest.timed - oldest.timed,
            slow=newest.slow - oldest.slow,
            turned_away=newest.turned_away - oldest.turned_away,
        )
