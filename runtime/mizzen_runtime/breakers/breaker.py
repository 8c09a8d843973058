"""When a breaker opens, and when it closes again: the contract of resilience4j's `CircuitBreakerStateMachine`.

closed: calls pass, and are remembered in the window. Once it holds the minimum, the breaker opens when a rate reaches
its threshold. open: no call passes, until the wait is over. half-open: so many calls pass as are permitted, and no
more; once enough of them have ended, it opens again or closes, with nothing remembered.

Ours is stricter in one thing, and adds one. A result counts in the state in which its call began, and in no later one:
resilience4j takes what comes late for a result of the half-open state. And who says how long not to be asked (HTTP's
Retry-After) is not asked for so long, whatever the state.

Every method runs to its end without an await, on one event loop, so that nothing is locked; there are no timers: the
state follows from the clock when somebody asks.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mizzen_api.breakers import RuntimeBreaker
from mizzen_runtime.breakers.window import CountWindow, Window, window_of

MAX_HOLD_SECONDS = 300.0
"""For how long at most a callee's own Retry-After is believed: one that asks for a day is tried again before."""
PROBED_RETRY_SECONDS = 1.0
"""After which it is worth asking again while the permitted calls decide: nobody knows how long they take."""

Clock = Callable[[], float]
"""Gives seconds that only ever grow."""


class State(StrEnum):
    """Which calls pass."""

    CLOSED = "closed"
    """All."""
    OPEN = "open"
    """None."""
    HALF_OPEN = "half_open"
    """As many as are permitted."""


class BreakerOpenError(Exception):
    """A call does not pass."""

    def __init__(self, breaker: str, retry_after: float) -> None:
        """Say when it is worth asking again.

        Args:
            breaker: The breaker's name.
            retry_after: Seconds.
        """
        super().__init__(f"the breaker {breaker!r} is open")
        self.breaker = breaker
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class BreakerState:
    """How one breaker is."""

    name: str
    """Such as `model:vllm:qwen3-32b` or `service:crm`."""
    state: State
    """half_open as soon as the wait is over: the next call passes."""
    failure_rate: float | None
    """Share of the calls in its window that failed, from 0 to 1; None while it holds fewer than the minimum."""
    slow_call_rate: float | None
    """Likewise of those that were slow."""
    retry_after: float
    """Seconds until a call passes; 0 if one does now, as far as time goes."""


@dataclass(slots=True)
class CallCounts:
    """Calls since the start, by how they ended; a call that was slow also counts as successful or failed."""

    successful: int = 0
    failed: int = 0
    ignored: int = 0
    slow: int = 0
    not_permitted: int = 0


OnChange = Callable[["CircuitBreaker", State], None]
"""Is told that a breaker has come to another state, with the state before it."""


def _tell_nobody(breaker: "CircuitBreaker", before: State) -> None:
    """The change is of no interest."""


class CircuitBreaker:
    """Lets calls pass as long as they do well. `acquire` before each, and tell its end to the permit."""

    def __init__(
        self,
        name: str,
        settings: RuntimeBreaker,
        *,
        clock: Clock = time.monotonic,
        on_change: OnChange = _tell_nobody,
    ) -> None:
        """Begin closed.

        Args:
            name: What it is called.
            settings: When it opens, and for how long.
            clock: What the time is.
            on_change: Is told of each change of its state.
        """
        self.name = name
        self.counts = CallCounts()
        self.slow_call_seconds = settings.slow_call_seconds
        self._settings = settings
        self._clock = clock
        self._on_change = on_change
        self._state = State.CLOSED
        self._epoch = 0
        """Grows with each change: a result counts only in the one in which its call began."""
        self._permits = 0
        """How many further calls pass while it is half-open."""
        self._refuses_until = float("-inf")
        self._minimum = 0
        self._window: Window = self._begin_window()

    def acquire(self) -> "Permit":
        """Let a call pass, whose end is to be told to the permit that this gives.

        Raises:
            BreakerOpenError: It does not pass.
        """
        now = self._clock()
        if self._state is not State.CLOSED or now < self._refuses_until:
            self._let_pass(now)
        return Permit(self, self._epoch, now)

    def reset(self) -> None:
        """Close it and remember nothing: what it stands for has changed, such as a key or an address."""
        self._refuses_until = float("-inf")
        self._become(State.CLOSED)

    def state_now(self) -> BreakerState:
        """Tell how it is at this moment."""
        now = self._clock()
        if self._state is not State.OPEN:  # what made it open stays to be seen
            self._window.forget(now)
        calls = self._window.calls
        is_known = calls >= self._minimum
        return BreakerState(
            name=self.name,
            state=self._state_at(now),
            failure_rate=self._window.failed / calls if is_known else None,
            slow_call_rate=self._window.slow / calls if is_known else None,
            retry_after=max(0.0, self._refuses_until - now),
        )

    def _state_at(self, now: float) -> State:
        if now < self._refuses_until:
            return State.OPEN
        return State.HALF_OPEN if self._state is State.OPEN else self._state

    def _let_pass(self, now: float) -> None:
        if now < self._refuses_until:
            self._refuse(self._refuses_until - now)
        if self._state is State.OPEN:
            self._become(State.HALF_OPEN)
        if self._state is State.HALF_OPEN:
            if self._permits == 0:
                self._refuse(PROBED_RETRY_SECONDS)
            self._permits -= 1

    def _refuse(self, seconds: float) -> None:
        self.counts.not_permitted += 1
        raise BreakerOpenError(self.name, seconds)

    def note(self, permit: "Permit", *, failed: bool, seconds: float | None, retry_after: float | None) -> None:
        """Count a result; for permits alone."""
        now = self._clock()
        slow = (now - permit.begun if seconds is None else seconds) > self.slow_call_seconds
        self.counts.slow += slow
        if permit.epoch != self._epoch:
            return
        if retry_after is not None:
            self._refuses_until = max(self._refuses_until, now + min(retry_after, MAX_HOLD_SECONDS))
        self._window.record(now, failed=failed, slow=slow)
        if self._window.calls < self._minimum:
            return
        if self._has_reached_a_threshold():
            self._refuses_until = max(self._refuses_until, now + self._settings.wait_in_open_seconds)
            self._become(State.OPEN)
        elif self._state is State.HALF_OPEN:
            self._become(State.CLOSED)

    def give_back(self, permit: "Permit") -> None:
        """Let another call pass in the place of one that said nothing; for permits alone."""
        if permit.epoch == self._epoch and self._state is State.HALF_OPEN:
            self._permits += 1

    def _has_reached_a_threshold(self) -> bool:
        calls = self._window.calls
        return (
            self._window.failed * 100 >= self._settings.failure_rate_percent * calls
            or self._window.slow * 100 >= self._settings.slow_call_rate_percent * calls
        )

    def _become(self, state: State) -> None:
        before, self._state = self._state, state
        self._epoch += 1
        if state is not State.OPEN:
            self._window = self._begin_window()
        if before is not state:
            self._on_change(self, before)

    def _begin_window(self) -> Window:
        settings = self._settings
        self._permits = permitted = settings.permitted_calls_in_half_open
        if self._state is State.HALF_OPEN:
            self._minimum = min(settings.minimum_calls, permitted)
            return CountWindow(permitted)
        self._minimum = settings.minimum_calls
        return window_of(settings.window_type, settings.window_size, self._clock())


class Permit:
    """One call that passed. Exactly one of its methods is to be called, once; slow calls are told by the time between.

    Each raises RuntimeError when the end was told already.
    """

    __slots__ = ("_breaker", "_is_told", "begun", "epoch")

    def __init__(self, breaker: CircuitBreaker, epoch: int, begun: float) -> None:
        self._breaker = breaker
        self._is_told = False
        self.begun = begun
        """By the breaker's clock."""
        self.epoch = epoch
        """Of the breaker, when the call began."""

    def succeeded(self, *, seconds: float | None = None) -> None:
        """The call succeeded.

        Args:
            seconds: What it took, where that is not the time until now.
        """
        self._tell()
        self._breaker.counts.successful += 1
        self._breaker.note(self, failed=False, seconds=seconds, retry_after=None)

    def failed(self, *, seconds: float | None = None, retry_after: float | None = None) -> None:
        """The call failed.

        Args:
            seconds: What it took, where that is not the time until now.
            retry_after: Seconds for which whoever was called wants not to be called; at most `MAX_HOLD_SECONDS` count.
        """
        self._tell()
        self._breaker.counts.failed += 1
        self._breaker.note(self, failed=True, seconds=seconds, retry_after=retry_after)

    def ignored(self) -> None:
        """The call says nothing of whoever was called: it was cancelled, or the caller's own fault."""
        self._tell()
        self._breaker.counts.ignored += 1
        self._breaker.give_back(self)

    def _tell(self) -> None:
        if self._is_told:
            raise RuntimeError(f"the end of a call was told twice to the breaker {self._breaker.name!r}")
        self._is_told = True
