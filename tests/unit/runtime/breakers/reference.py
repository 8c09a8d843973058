"""The contract of a circuit breaker as a plain program: it keeps every call there was, and looks at all of them anew.

Written from resilience4j's documentation (https://resilience4j.readme.io/docs/circuitbreaker), with the two rules of
ours: a result counts in the state in which its call began, and a Retry-After is kept.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from mizzen_api.breakers import RuntimeBreaker
from mizzen_runtime.breakers.breaker import MAX_HOLD_SECONDS

Kind = Literal["closed", "open", "half_open"]


@dataclass
class Result:
    """A call that ended and counts."""

    ended: float
    failed: bool
    slow: bool


@dataclass
class Phase:
    """One stay in one state."""

    kind: Kind
    until: float = 0.0
    """When an open one is over."""
    running: int = 0
    """Calls that began in it and have not ended."""
    results: list[Result] = field(default_factory=list)


@dataclass
class Call:
    """A call that passed."""

    phase: Phase
    began: float


class ReferenceBreaker:
    """What a breaker must do."""

    def __init__(self, settings: RuntimeBreaker) -> None:
        self.settings = settings
        self.phase = Phase("closed")
        self.held_until = -math.inf
        """Until when whoever is called wants not to be called."""

    def acquire(self, now: float) -> Call | None:
        """Give the call if it passes."""
        if now < self.held_until:
            return None
        if self.phase.kind == "open":
            if now < self.phase.until:
                return None
            self.phase = Phase("half_open")
        if self.phase.kind == "half_open":
            # A permit is taken by a call that runs, and by one that ended with a result; an ignored one took none.
            taken = self.phase.running + len(self.phase.results)
            if taken >= self.settings.permitted_calls_in_half_open:
                return None
        self.phase.running += 1
        return Call(self.phase, now)

    def ignore(self, call: Call) -> None:
        call.phase.running -= 1

    def end(self, call: Call, now: float, *, failed: bool, retry_after: float | None = None) -> None:
        call.phase.running -= 1
        if call.phase is not self.phase:
            return
        if retry_after is not None:
            self.held_until = max(self.held_until, now + min(retry_after, MAX_HOLD_SECONDS))
        self.phase.results.append(Result(now, failed, now - call.began > self.settings.slow_call_seconds))
        rates = self.rates(now)
        if rates is None:
            return
        failure_rate, slow_call_rate = rates
        settings = self.settings
        if failure_rate >= settings.failure_rate_percent or slow_call_rate >= settings.slow_call_rate_percent:
            self.phase = Phase("open", until=now + settings.wait_in_open_seconds)
        elif self.phase.kind == "half_open":
            self.phase = Phase("closed")

    def rates(self, now: float) -> tuple[float, float] | None:
        """Give the failure rate and the slow-call rate in percent; None for too few calls."""
        counted = self._counted(now)
        minimum = self.settings.minimum_calls
        if self.phase.kind == "half_open":
            minimum = min(minimum, self.settings.permitted_calls_in_half_open)
        if len(counted) < minimum:
            return None
        failed = sum(result.failed for result in counted)
        slow = sum(result.slow for result in counted)
        return failed * 100 / len(counted), slow * 100 / len(counted)

    def _counted(self, now: float) -> list[Result]:
        results = self.phase.results
        if self.phase.kind == "half_open":
            return results
        size = self.settings.window_size
        if self.settings.window_type == "Count":
            return results[-size:]
        return [result for result in results if math.floor(result.ended) > math.floor(now) - size]

    def kind(self, now: float) -> Kind:
        """Tell the state in which a call would find it."""
        if now < self.held_until or (self.phase.kind == "open" and now < self.phase.until):
            return "open"
        return "half_open" if self.phase.kind == "open" else self.phase.kind

    def retry_after(self, now: float) -> float:
        until = max(self.held_until, self.phase.until if self.phase.kind == "open" else -math.inf)
        return max(0.0, until - now)
