"""What is made of each signal: a table of causes, and when each begins and ends."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen_api.health import REMEDIES, HealthCode, HealthReason, RuntimeHealth
from mizzen_runtime.errors import Outcome
from mizzen_runtime.health.hold import HOLD_SECONDS
from mizzen_runtime.health.policy import (
    BREAKER_SECONDS,
    BreakerSignal,
    HealthPolicy,
    HealthSignals,
    not_ready,
    state_of,
)
from mizzen_runtime.health.tally import Figures

WELL = HealthSignals()


def of_requests(failures: int, requests: int, slow: int = 0) -> HealthSignals:
    failure = Outcome.MODEL_UNAVAILABLE if failures else None
    return HealthSignals(
        figures=Figures(requests=requests, failures=failures, commonest_failure=failure, timed=requests, slow=slow)
    )


def turned_away(times: int, of: int) -> HealthSignals:
    return HealthSignals(figures=Figures(requests=of - times, turned_away=times))


OPEN = HealthSignals(breakers={"model:b": BreakerSignal(is_open=True, figures="60 % failed.")})
HALF_OPEN = HealthSignals(breakers={"model:b": BreakerSignal(is_open=False)})


def judged(*signals: HealthSignals, pause: float = HOLD_SECONDS, **settings: Any) -> list[HealthReason]:
    """Give what is told after these signals, one every `pause` seconds."""
    policy = HealthPolicy(RuntimeHealth(**settings))
    told: tuple[HealthReason, ...] = ()
    for place, each in enumerate(signals):
        told = policy.judge(each, 100 + place * pause)
    return [each for each in told if each.lasts]


def said(reasons: list[HealthReason]) -> list[str]:
    return [f"{each.status} {each.code}: {each.title}: {each.detail}. {each.figures}".strip() for each in reasons]


TABLE: dict[str, tuple[HealthSignals, list[str]]] = {
    "nothing": (WELL, []),
    "a service is away": (
        HealthSignals(unhealthy_services={"db": "connection refused."}),
        ["degraded ServiceUnhealthy: Service 'db' is not healthy: connection refused."],
    ),
    "one request failed, and no other came": (of_requests(1, 1), []),
    "one of few failed": (of_requests(1, 9), []),
    "all failed, of too few to say anything": (of_requests(9, 9), []),
    "as many failed as may": (of_requests(10, 100), []),
    "more failed than may": (
        of_requests(11, 100),
        [
            (
                "degraded ErrorRate: Too many requests fail: more than 10 % have, which is "
                "spec.health.maxErrorRatePercent. 11 of 100 requests of the last 120 s failed (11.0 %), most often "
                "with model_unavailable."
            )
        ],
    ),
    "nine of ten failed": (
        of_requests(90, 100),
        [
            (
                "degraded ErrorRate: Too many requests fail: more than 10 % have, which is "
                "spec.health.maxErrorRatePercent. 90 of 100 requests of the last 120 s failed (90.0 %), most often "
                "with model_unavailable."
            )
        ],
    ),
    "all failed": (
        of_requests(10, 10),
        [
            (
                "unhealthy ErrorRate: Too many requests fail: hardly one is answered, more than 90 % have failed. "
                "10 of 10 requests of the last 120 s failed (100.0 %), most often with model_unavailable."
            )
        ],
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_each_cause_has_its_status_and_its_words(name: str) -> None:
    signals, expected = TABLE[name]
    assert said(judged(signals)) == expected


def test_every_reason_has_a_remedy() -> None:
    assert set(REMEDIES) == set(HealthCode)


def test_slow_requests_are_told_where_a_bound_is_set() -> None:
    (told,) = judged(of_requests(0, 100, slow=2), max_latency_seconds=2.5)
    assert said([told]) == [
        (
            "degraded Latency: Requests take too long: more than one of a hundred took longer than 2.5 s, which is "
            "spec.health.maxLatency. 2 of 100 requests of the last 120 s did (2.0 %)."
        )
    ]


@pytest.mark.parametrize(("slow", "of"), [(1, 100), (1, 20), (2, 200), (9, 9)])
def test_one_slow_request_or_one_of_a_hundred_says_nothing(slow: int, of: int) -> None:
    assert judged(of_requests(0, of, slow=slow), max_latency_seconds=1) == []


def test_requests_that_find_no_place_are_told_and_are_no_failures() -> None:
    assert said(judged(turned_away(11, 100))) == [
        (
            "degraded QueueFull: Requests are turned away: as many run and wait as spec.limits allows, and more than "
            "10 % found no place. 11 of 100 requests of the last 120 s did."
        )
    ]
    assert judged(turned_away(10, 100)) == []
    assert judged(turned_away(1, 1)) == []


def test_a_breaker_that_is_not_closed_for_a_while_is_told() -> None:
    looks = int(BREAKER_SECONDS) + 1
    assert judged(*[OPEN] * (looks - 1), pause=1) == []
    assert said(judged(*[OPEN] * looks, pause=1)) == [
        (
            "degraded BreakerOpen: The circuit breaker 'model:b' is open: so many calls failed or were slow, or the "
            "other side asked for it, that few are made or none. 60 % failed."
        )
    ]


def test_a_breaker_that_opens_for_a_moment_now_and_then_is_not() -> None:
    assert judged(*[OPEN, OPEN, OPEN, WELL] * 20, OPEN, pause=1) == []


def test_a_breaker_that_opens_again_whenever_it_is_tried_is_told_all_the_time() -> None:
    policy = HealthPolicy(RuntimeHealth())
    outage = [*[OPEN] * 30, *[HALF_OPEN] * 20] * 10
    told = [policy.judge(each, second) for second, each in enumerate(outage)]
    assert all(told[int(BREAKER_SECONDS) :])


def test_a_breaker_that_nobody_tries_for_the_time_of_the_window_says_nothing() -> None:
    waits = [*[OPEN] * 10, *[HALF_OPEN] * 11]
    assert judged(*waits[:-1], pause=1, window_seconds=10) != []
    assert judged(*waits, pause=1, window_seconds=10) == []
    assert judged(*waits, OPEN, pause=1, window_seconds=10) != []


def test_what_was_too_much_stays_so_until_it_is_clearly_less() -> None:
    assert judged(of_requests(9, 100)) == []
    assert judged(of_requests(11, 100), of_requests(9, 100)) != []
    assert judged(of_requests(11, 100), of_requests(8, 100)) == []
    assert judged(of_requests(11, 100), of_requests(9, 100), of_requests(8, 100), of_requests(9, 100)) == []
    assert judged(of_requests(9, 9), of_requests(8, 8), min_requests=10) == []
    assert judged(of_requests(10, 10), of_requests(8, 8), min_requests=10) != []
    assert judged(of_requests(10, 10), of_requests(7, 7), min_requests=10) == []


def test_a_bound_above_that_of_hardly_a_request_is_kept() -> None:
    assert judged(of_requests(95, 100), max_error_rate_percent=96) == []
    assert [each.status for each in judged(of_requests(97, 100), max_error_rate_percent=96)] == ["unhealthy"]


def test_the_status_is_the_worst_and_causes_come_before_what_they_cause() -> None:
    signals = HealthSignals(of_requests(10, 10).figures, {"db": "away"}, OPEN.breakers)
    state = state_of([*judged(signals, signals), not_ready("it was asked to leave")])
    assert state.status == "unhealthy"
    assert [each.code for each in state.reasons] == ["NotReady", "ServiceUnhealthy", "BreakerOpen", "ErrorRate"]


any_signals = st.builds(
    HealthSignals,
    figures=st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40)).map(
        lambda n: of_requests(min(n[0], n[1]), max(n[0], n[1]), min(n[2], max(n[0], n[1]))).figures
    ),
    unhealthy_services=st.sampled_from([{}, {"db": "away"}, {"db": "late"}]),
    breakers=st.sampled_from([{}, OPEN.breakers, HALF_OPEN.breakers]),
)


@given(st.lists(any_signals, max_size=120))
def test_over_any_signals_the_status_changes_at_most_once_in_the_time_of_the_hold(signals: list[HealthSignals]) -> None:
    policy = HealthPolicy(RuntimeHealth(max_latency_seconds=1))
    before, changed_at = "healthy", list[int]()
    for second, each in enumerate(signals):
        state = state_of(policy.judge(each, second))
        assert (state.status == "healthy") == (not state.reasons)
        if state.status != before:
            changed_at.append(second)
        before = state.status
    pauses = [after - earlier for earlier, after in itertools.pairwise(changed_at)]
    assert all(pause >= HOLD_SECONDS for pause in pauses)


@given(st.lists(any_signals, max_size=60))
def test_after_any_signals_what_lasts_is_told_and_its_end_too(signals: list[HealthSignals]) -> None:
    policy, now = HealthPolicy(RuntimeHealth()), 0
    for each in signals:
        now += 1
        policy.judge(each, now)
    told: tuple[HealthReason, ...] = ()
    for _ in range(int(HOLD_SECONDS) + 1):
        now += 1
        told = policy.judge(of_requests(20, 20), now)
    assert ("ErrorRate", "unhealthy", True) in {(each.code, each.status, each.lasts) for each in told}
    for _ in range(2 * int(HOLD_SECONDS) + 1):
        now += 1
        told = policy.judge(of_requests(0, 20), now)
    assert told == ()
