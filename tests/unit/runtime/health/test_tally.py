"""Which requests count, for what, and for how long."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen_runtime.errors import Outcome
from mizzen_runtime.health.tally import FAILURES, Figures, RequestTally, Window

NO_FAILURES = {
    Outcome.OK,
    Outcome.INVALID_INPUT,
    Outcome.MODEL_REFUSED,
    Outcome.CANCELLED,
    Outcome.OVERLOADED,
    Outcome.DRAINING,
}
"""What is not to be mended by whoever runs the agent, its models and services."""


def test_every_outcome_is_a_failure_or_is_not() -> None:
    assert set(FAILURES) | NO_FAILURES == set(Outcome)
    assert not set(FAILURES) & NO_FAILURES


def figures(*requests: tuple[Outcome, float], max_latency: float | None = 2.0) -> Figures:
    tally = RequestTally(max_latency)
    window = Window(tally, 60, now=0)
    for outcome, seconds in requests:
        tally.observe(outcome, seconds)
    return window.figures(1)


@pytest.mark.parametrize("outcome", FAILURES)
def test_a_failure_is_one_and_its_time_counts_if_it_was_waited_for_in_vain(outcome: Outcome) -> None:
    timed = outcome is Outcome.DEADLINE_EXCEEDED
    counted = figures((Outcome.OK, 0.1), (outcome, 60))
    assert counted == Figures(requests=2, failures=1, commonest_failure=outcome, timed=1 + timed, slow=int(timed))


def test_what_callers_do_wrong_or_give_up_is_no_request_that_says_anything() -> None:
    assert figures((Outcome.INVALID_INPUT, 9), (Outcome.MODEL_REFUSED, 9), (Outcome.CANCELLED, 1)) == Figures()


def test_a_caller_who_gave_up_after_too_long_a_time_had_a_slow_request() -> None:
    assert figures((Outcome.CANCELLED, 2.1), (Outcome.OK, 1)) == Figures(requests=1, timed=2, slow=1)


def test_what_finds_no_place_is_counted_apart_and_what_is_left_undone_by_a_leaving_pod_not_at_all() -> None:
    assert figures((Outcome.OVERLOADED, 0.1), (Outcome.DRAINING, 0.1)) == Figures(turned_away=1)


def test_a_request_that_takes_just_as_long_as_it_may_is_not_slow() -> None:
    assert figures((Outcome.OK, 2.0)).slow == 0


def test_without_a_bound_nothing_is_slow() -> None:
    assert figures((Outcome.OK, 1e9), (Outcome.CANCELLED, 1e9), max_latency=None) == Figures(requests=1, timed=1)


def test_the_commonest_failure_is_that_of_the_window() -> None:
    tally = RequestTally(None)
    window = Window(tally, 10, now=0)
    for _ in range(9):
        tally.observe(Outcome.AGENT_FAILED, 1)
    window.figures(1)
    tally.observe(Outcome.DEADLINE_EXCEEDED, 1)
    assert window.figures(20).commonest_failure is Outcome.DEADLINE_EXCEEDED


steps = st.lists(
    st.tuples(st.floats(0.5, 7), st.lists(st.sampled_from([Outcome.OK, Outcome.AGENT_FAILED]), max_size=5)),
    min_size=1,
    max_size=60,
)


@given(steps, st.floats(10, 60))
def test_the_window_holds_what_ended_in_it_and_at_most_what_ended_one_look_earlier(
    steps: Sequence[tuple[float, Sequence[Outcome]]], length: float
) -> None:
    tally = RequestTally(None)
    window = Window(tally, length, now=0)
    now, looks, ended = 0.0, [0.0], list[tuple[float, Outcome]]()
    for pause, outcomes in steps:
        for outcome in outcomes:
            tally.observe(outcome, 1)
            ended.append((now, outcome))  # right after the last look
        now += pause
        counted = window.figures(now)
        begin = max((look for look in looks if look <= now - length), default=0.0)
        looks.append(now)
        within = [outcome for at, outcome in ended if at >= begin]
        assert (counted.requests, counted.failures) == (len(within), within.count(Outcome.AGENT_FAILED))


def test_a_window_that_is_looked_at_keeps_no_more_than_its_looks() -> None:
    window = Window(RequestTally(None), 10, now=0)
    for second in range(1000):
        window.figures(second)
    assert len(window._looks) <= 12
