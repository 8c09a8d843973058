"""A breaker and the executable model of its contract do the same, whatever happens in whatever order."""

from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from mizzen_api.breakers import RuntimeBreaker
from mizzen_runtime.breakers import BreakerOpenError, CircuitBreaker, Permit, State
from tests.unit.runtime.breakers.reference import Call, ReferenceBreaker

SECONDS = st.sampled_from([0.125, 0.5, 1.0, 2.0, 3.5, 5.0, 10.0, 400.0])
"""Steps of the clock, which add up exactly."""


@st.composite
def breakers(draw: st.DrawFn) -> RuntimeBreaker:
    size = draw(st.integers(1, 6))
    return RuntimeBreaker(
        failure_rate_percent=draw(st.sampled_from([1, 34, 50, 67, 100])),
        slow_call_rate_percent=draw(st.sampled_from([1, 50, 100])),
        slow_call_seconds=draw(st.sampled_from([0.5, 2.0, 10.0])),
        window_type=draw(st.sampled_from(["Count", "Time"])),
        window_size=size,
        minimum_calls=draw(st.integers(1, size)),
        wait_in_open_seconds=draw(st.sampled_from([0.5, 2.0, 5.0])),
        permitted_calls_in_half_open=draw(st.integers(1, 4)),
    )


class BreakerContract(RuleBasedStateMachine):
    """Calls begin and end in any order while time passes."""

    running = Bundle("running")

    @initialize(settings=breakers(), now=st.sampled_from([0.0, 0.75, 1000.5]))
    def begin(self, settings: RuntimeBreaker, now: float) -> None:
        self.now = now
        self.settings = settings
        self.breaker = CircuitBreaker("it", settings, clock=lambda: self.now)
        self.reference = ReferenceBreaker(settings)
        self.refused_for = 1.0

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.breaker.state_now().retry_after > 0)
    @rule()
    def the_wait_ends_exactly_now(self) -> None:
        self.now += self.breaker.state_now().retry_after

    @rule(target=running)
    def a_call_begins(self) -> Any:
        expected = self.reference.acquire(self.now)
        try:
            permit: Permit | None = self.breaker.acquire()
        except BreakerOpenError as refused:
            self.refused_for = refused.retry_after
            permit = None
        assert (permit is None) == (expected is None)
        return permit and (permit, expected)

    @rule(pair=consumes(running))
    def it_succeeds(self, pair: tuple[Permit, Call] | None) -> None:
        if pair is not None:
            pair[0].succeeded()
            self.reference.end(pair[1], self.now, failed=False)

    @rule(pair=consumes(running), retry_after=st.none() | st.sampled_from([0.5, 3.0, 86400.0]))
    def it_fails(self, pair: tuple[Permit, Call] | None, retry_after: float | None) -> None:
        if pair is not None:
            pair[0].failed(retry_after=retry_after)
            self.reference.end(pair[1], self.now, failed=True, retry_after=retry_after)

    @rule(pair=consumes(running))
    def it_fails_like_most(self, pair: tuple[Permit, Call] | None) -> None:
        self.it_fails(pair, None)

    @rule(pair=consumes(running))
    def it_is_ignored(self, pair: tuple[Permit, Call] | None) -> None:
        if pair is not None:
            pair[0].ignored()
            self.reference.ignore(pair[1])

    @rule(pair=consumes(running), seconds=SECONDS)
    def it_ends_late(self, pair: tuple[Permit, Call] | None, seconds: float) -> None:
        self.now += seconds
        self.it_succeeds(pair)

    @rule(times=st.integers(1, 5))
    def some_fail_at_once(self, times: int) -> None:
        for _ in range(times):
            self.it_fails(self.a_call_begins(), None)

    @rule()
    def one_is_slow(self) -> None:
        self.it_ends_late(self.a_call_begins(), self.settings.slow_call_seconds + 0.125)

    @invariant()
    def both_say_the_same(self) -> None:
        state = self.breaker.state_now()
        assert state.state == self.reference.kind(self.now)
        assert state.retry_after == pytest.approx(self.reference.retry_after(self.now), abs=1e-9)

    @invariant()
    def who_is_refused_is_told_when_to_come_again(self) -> None:
        assert self.refused_for > 0

    @invariant()
    def rates_are_those_of_the_calls_that_count(self) -> None:
        if self.reference.phase.kind == "open":
            return
        rates = self.reference.rates(self.now)
        state = self.breaker.state_now()
        told = (state.failure_rate, state.slow_call_rate)
        assert told == ((None, None) if rates is None else pytest.approx((rates[0] / 100, rates[1] / 100)))

    @invariant()
    def no_more_calls_than_are_permitted_run_in_half_open(self) -> None:
        phase = self.reference.phase
        if phase.kind == "half_open":
            permitted = self.settings.permitted_calls_in_half_open
            assert phase.running + len(phase.results) <= permitted
            assert self.breaker._permits == permitted - phase.running - len(phase.results)


TestBreakerContract = BreakerContract.TestCase
TestBreakerContract.settings = hypothesis_settings(max_examples=200, stateful_step_count=60, deadline=None)


def test_the_reference_reaches_every_state() -> None:
    """The comparison would say nothing if the model never left a state."""
    settings = RuntimeBreaker(
        failure_rate_percent=50,
        slow_call_rate_percent=100,
        slow_call_seconds=10,
        window_type="Count",
        window_size=2,
        minimum_calls=2,
        wait_in_open_seconds=5,
        permitted_calls_in_half_open=1,
    )
    reference = ReferenceBreaker(settings)
    seen = [reference.kind(0)]
    for _ in range(2):
        call = reference.acquire(0)
        assert call is not None
        reference.end(call, 0, failed=True)
    seen.append(reference.kind(4.9))
    assert reference.acquire(4.9) is None
    probe = reference.acquire(5)
    assert probe is not None
    seen.append(reference.kind(5))
    assert reference.acquire(5) is None
    reference.end(probe, 6, failed=False)
    assert [*seen, reference.kind(6)] == [State.CLOSED, State.OPEN, State.HALF_OPEN, State.CLOSED]
