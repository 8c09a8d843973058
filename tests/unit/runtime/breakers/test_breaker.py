"""When a breaker opens and closes, case by case."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from mizzen_api.breakers import DEFAULT_BREAKER
from mizzen_runtime.breakers import BreakerOpenError, CircuitBreaker, Permit, State
from mizzen_runtime.breakers.breaker import MAX_HOLD_SECONDS, PROBED_RETRY_SECONDS


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def breaker_of(clock: Clock, **settings: Any) -> CircuitBreaker:
    return CircuitBreaker("it", DEFAULT_BREAKER.model_copy(update=settings), clock=clock)


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.acquire().failed()


def succeed(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.acquire().succeeded()


def opened(clock: Clock, **settings: Any) -> CircuitBreaker:
    breaker = breaker_of(clock, **settings)
    fail(breaker, DEFAULT_BREAKER.minimum_calls)
    assert breaker.state_now().state is State.OPEN
    return breaker


def half_open(clock: Clock, **settings: Any) -> CircuitBreaker:
    breaker = opened(clock, **settings)
    clock.now += DEFAULT_BREAKER.wait_in_open_seconds
    return breaker


def test_one_failure_less_than_the_minimum_opens_nothing(clock: Clock) -> None:
    breaker = breaker_of(clock, minimum_calls=5)

    fail(breaker, 4)
    assert breaker.state_now().state is State.CLOSED
    assert breaker.state_now().failure_rate is None
    fail(breaker)
    assert breaker.state_now().state is State.OPEN
    assert breaker.state_now().failure_rate == 1.0


def test_failures_that_alternate_with_successes_open_it_at_half(clock: Clock) -> None:
    breaker = breaker_of(clock, failure_rate_percent=50, minimum_calls=10)

    for _ in range(4):
        succeed(breaker)
        fail(breaker)
    assert breaker.state_now().state is State.CLOSED
    succeed(breaker)
    fail(breaker)

    assert breaker.state_now().state is State.OPEN
    assert breaker.state_now().failure_rate == 0.5


def test_a_rate_just_below_the_threshold_opens_nothing_for_ever(clock: Clock) -> None:
    breaker = breaker_of(clock, failure_rate_percent=51, window_size=10, minimum_calls=10)

    for _ in range(1000):
        succeed(breaker)
        fail(breaker)

    assert breaker.state_now().state is State.CLOSED


def test_a_window_of_calls_forgets_the_oldest(clock: Clock) -> None:
    breaker = breaker_of(clock, window_size=5, minimum_calls=5, failure_rate_percent=60)

    fail(breaker, 2)
    succeed(breaker, 3)
    succeed(breaker, 2)  # the failures are forgotten
    fail(breaker, 2)
    assert breaker.state_now().failure_rate == 0.4
    fail(breaker)
    assert breaker.state_now().state is State.OPEN


def test_a_window_of_time_forgets_what_is_older(clock: Clock) -> None:
    breaker = breaker_of(clock, window_type="Time", window_size=10, minimum_calls=5)

    fail(breaker, 4)
    clock.now += 9
    assert breaker.state_now().failure_rate is None
    succeed(breaker)
    assert breaker.state_now().state is State.OPEN, "the failures are nine seconds old and count"

    breaker.reset()
    fail(breaker, 4)
    clock.now += 10
    fail(breaker, 4)
    assert breaker.state_now().state is State.CLOSED, "those before are ten seconds old and do not"
    clock.now += 100_000
    assert breaker.state_now().failure_rate is None


def test_slow_calls_open_it_although_they_succeed(clock: Clock) -> None:
    breaker = breaker_of(clock, slow_call_rate_percent=60, slow_call_seconds=2, minimum_calls=5)

    for seconds in (1, 2, 2.5, 3, 4):
        permit = breaker.acquire()
        clock.now += seconds
        permit.succeeded()

    assert breaker.state_now().state is State.OPEN
    assert (breaker.state_now().failure_rate, breaker.state_now().slow_call_rate) == (0.0, 0.6)
    assert breaker.counts.slow == 3


def test_what_a_call_took_can_be_told(clock: Clock) -> None:
    breaker = breaker_of(clock, slow_call_rate_percent=1, slow_call_seconds=2, minimum_calls=1)

    permit = breaker.acquire()
    clock.now += 100
    permit.succeeded(seconds=1)
    assert breaker.state_now().state is State.CLOSED
    breaker.acquire().succeeded(seconds=3)
    assert breaker.state_now().state is State.OPEN


def test_an_open_breaker_refuses_at_once_and_says_for_how_long(clock: Clock) -> None:
    breaker = opened(clock, wait_in_open_seconds=30)
    clock.now += 12

    with pytest.raises(BreakerOpenError, match="'it' is open") as refused:
        breaker.acquire()

    assert refused.value.retry_after == 18
    assert breaker.state_now().retry_after == 18
    assert breaker.counts.not_permitted == 1


def test_half_open_lets_exactly_the_permitted_calls_pass(clock: Clock) -> None:
    breaker = half_open(clock, permitted_calls_in_half_open=3)

    permits, refused = [], []
    for _ in range(100):
        try:
            permits.append(breaker.acquire())
        except BreakerOpenError as error:
            refused.append(error.retry_after)

    assert len(permits) == 3
    assert refused == [PROBED_RETRY_SECONDS] * 97
    assert breaker.state_now().state is State.HALF_OPEN


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        ([Permit.succeeded] * 3, State.CLOSED),
        ([Permit.failed, Permit.succeeded, Permit.succeeded], State.CLOSED),
        ([Permit.succeeded, Permit.failed, Permit.failed], State.OPEN),
    ],
    ids=["all succeed", "one of three fails", "two of three fail"],
)
def test_the_permitted_calls_decide(clock: Clock, ends: list[Callable[[Permit], None]], state: State) -> None:
    breaker = half_open(clock, permitted_calls_in_half_open=3, failure_rate_percent=50)
    permits = [breaker.acquire() for _ in ends]

    for end, permit in zip(ends, permits, strict=True):
        assert breaker.state_now().state is State.HALF_OPEN
        end(permit)

    assert breaker.state_now().state is state
    assert breaker.state_now().retry_after == (30 if state is State.OPEN else 0)


def test_an_ignored_call_gives_its_permit_back(clock: Clock) -> None:
    breaker = half_open(clock, permitted_calls_in_half_open=2)
    for _ in range(50):
        first, second = breaker.acquire(), breaker.acquire()
        with pytest.raises(BreakerOpenError):
            breaker.acquire()
        first.ignored()
        second.ignored()

    assert breaker.state_now().state is State.HALF_OPEN
    succeed(breaker, 2)
    assert breaker.state_now().state is State.CLOSED


def test_an_ignored_call_is_neither_success_nor_failure(clock: Clock) -> None:
    breaker = breaker_of(clock)
    for _ in range(100):
        breaker.acquire().ignored()

    assert breaker.state_now().failure_rate is None
    assert breaker.counts.ignored == 100


def test_a_call_of_an_earlier_state_does_not_count_in_a_later_one(clock: Clock) -> None:
    breaker = breaker_of(clock, permitted_calls_in_half_open=2)
    late = [breaker.acquire() for _ in range(20)]
    fail(breaker, 5)
    clock.now += 30
    first = breaker.acquire()

    for permit in late[:10]:
        permit.succeeded()
    for permit in late[10:15]:
        permit.failed(retry_after=1000)
    for permit in late[15:]:
        permit.ignored()

    assert breaker.state_now().state is State.HALF_OPEN
    second = breaker.acquire()
    with pytest.raises(BreakerOpenError):
        breaker.acquire()
    first.succeeded()
    second.succeeded()
    assert breaker.state_now().state is State.CLOSED
    assert breaker.counts.successful == 12


def test_a_permit_takes_one_end(clock: Clock) -> None:
    permit = breaker_of(clock).acquire()
    permit.ignored()

    with pytest.raises(RuntimeError, match="twice to the breaker 'it'"):
        permit.succeeded()


def test_who_says_when_to_ask_again_is_not_asked_before(clock: Clock) -> None:
    breaker = breaker_of(clock)
    breaker.acquire().failed(retry_after=20)

    clock.now += 19
    assert (breaker.state_now().state, breaker.state_now().retry_after) == (State.OPEN, 1)
    with pytest.raises(BreakerOpenError) as refused:
        breaker.acquire()
    assert refused.value.retry_after == 1

    clock.now += 1
    assert breaker.state_now().state is State.CLOSED, "one failure opens nothing"
    succeed(breaker, 50)


def test_who_wants_to_wait_for_a_day_is_asked_before(clock: Clock) -> None:
    breaker = breaker_of(clock)
    breaker.acquire().failed(retry_after=86400)

    assert breaker.state_now().retry_after == MAX_HOLD_SECONDS


def test_the_longer_of_the_two_waits_counts(clock: Clock) -> None:
    breaker = breaker_of(clock, minimum_calls=2, wait_in_open_seconds=30)
    permits = [breaker.acquire(), breaker.acquire()]
    for permit in permits:
        permit.failed(retry_after=100)

    clock.now += 30
    assert breaker.state_now().state is State.OPEN
    clock.now += 70
    assert breaker.state_now().state is State.HALF_OPEN


def test_a_reset_closes_it_and_forgets(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 1
    breaker.reset()

    assert (breaker.state_now().state, breaker.state_now().failure_rate) == (State.CLOSED, None)
    fail(breaker, 4)
    assert breaker.state_now().state is State.CLOSED


def test_each_change_is_told_once(clock: Clock) -> None:
    changes: list[tuple[State, State]] = []
    breaker = CircuitBreaker(
        "it", DEFAULT_BREAKER, clock=clock, on_change=lambda it, before: changes.append((before, it.state_now().state))
    )

    late = [breaker.acquire() for _ in range(20)]
    for permit in late:
        permit.failed()
    clock.now += 30
    for permit in [breaker.acquire() for _ in range(3)]:
        permit.failed()
    clock.now += 30
    for permit in [breaker.acquire() for _ in range(3)]:
        permit.succeeded()

    assert changes == [
        (State.CLOSED, State.OPEN),
        (State.OPEN, State.HALF_OPEN),
        (State.HALF_OPEN, State.OPEN),
        (State.OPEN, State.HALF_OPEN),
        (State.HALF_OPEN, State.CLOSED),
    ]


def test_a_call_costs_the_same_however_much_is_remembered() -> None:
    def cost(size: int) -> float:
        breaker = CircuitBreaker("it", DEFAULT_BREAKER.model_copy(update={"window_size": size, "minimum_calls": 1}))
        best = float("inf")
        for _ in range(20):
            begun = time.process_time()
            for _ in range(500):
                breaker.acquire().succeeded()
            best = min(best, time.process_time() - begun)
        return best

    assert cost(1000) < 5 * cost(10)


@pytest.mark.anyio
async def test_it_has_no_tasks_and_no_timers(clock: Clock) -> None:
    before = asyncio.all_tasks()
    half_open(clock).acquire().succeeded()

    assert asyncio.all_tasks() == before
