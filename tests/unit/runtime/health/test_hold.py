"""What is told does not flap, and nothing that lasts stays untold."""

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mizzen_api.health import HealthCode, HealthReason, HealthStatus
from mizzen_runtime.health.hold import HOLD_SECONDS, Hold
from mizzen_runtime.health.policy import state_of

TICK = 1.0


def reason(
    subject: str, *, status: HealthStatus = "degraded", figures: str = "", code: HealthCode = HealthCode.BREAKER_OPEN
) -> HealthReason:
    return HealthReason(
        code=code, subject=subject, status=status, title="t", detail="d", figures=figures, remedy="r", lasts=True
    )


FAULTS = [
    reason("a"),
    reason("b"),
    reason("c", status="unhealthy"),
    reason("", code=HealthCode.ERROR_RATE),
    reason("", code=HealthCode.ERROR_RATE, status="unhealthy"),
]
any_of_them = st.sets(st.integers(0, len(FAULTS) - 1)).map(lambda places: [FAULTS[place] for place in sorted(places)])
sequences = st.lists(st.tuples(st.floats(0.2, 20), any_of_them), min_size=1, max_size=80)


def subjects(told: Sequence[HealthReason]) -> list[str]:
    return [each.subject for each in told]


@given(sequences)
def test_what_is_told_changes_at_most_once_in_the_time_of_the_hold(
    sequence: Sequence[tuple[float, list[HealthReason]]],
) -> None:
    hold, now, changed_at = Hold(), 0.0, list[float]()
    before = set[tuple[str, str, HealthStatus]]()
    for pause, present in sequence:
        now += pause
        told = {(each.code, each.subject, each.status) for each in hold.note(present, now)}
        if told != before:
            changed_at.append(now)
        before = told
    pauses = [after - earlier for earlier, after in itertools.pairwise(changed_at)]
    assert all(pause >= HOLD_SECONDS for pause in pauses)


@given(sequences, st.sampled_from(FAULTS))
def test_whatever_came_before_what_lasts_is_told_within_the_hold_and_its_end_within_twice_that(
    sequence: Sequence[tuple[float, list[HealthReason]]], fault: HealthReason
) -> None:
    hold, now = Hold(), 0.0
    for pause, present in sequence:
        now += pause
        hold.note(present, now)
    told: tuple[HealthReason, ...] = ()
    for _ in range(int(HOLD_SECONDS / TICK) + 1):
        now += TICK
        told = hold.note([fault], now)
    mine = [each for each in told if (each.code, each.subject) == (fault.code, fault.subject)]
    assert [each.lasts for each in mine] == [True] or mine[0].status == "unhealthy"  # it was worse just before
    for _ in range(2 * int(HOLD_SECONDS / TICK) + 1):
        now += TICK
        told = hold.note([], now)
    assert told == ()


@given(sequences)
def test_what_is_told_to_last_is_the_case_and_everything_told_was_so_lately(
    sequence: Sequence[tuple[float, list[HealthReason]]],
) -> None:
    hold, now, longest = Hold(), 0.0, max(pause for pause, _ in sequence)
    seen: dict[tuple[str, str, str], float] = {}
    for pause, present in sequence:
        now += pause
        seen |= {(each.code, each.subject, each.status): now for each in present}
        for each in hold.note(present, now):
            at = seen[each.code, each.subject, each.status]
            assert each.lasts == (at == now)
            assert now - at <= 2 * HOLD_SECONDS + longest


def test_something_new_is_told_at_once_and_what_has_ended_a_little_longer() -> None:
    hold = Hold()
    assert subjects(hold.note([reason("a")], 100)) == ["a"]
    (told,) = hold.note([], 101)
    assert (told.subject, told.lasts) == ("a", False)
    assert subjects(hold.note([], 100 + HOLD_SECONDS - 0.1)) == ["a"]
    assert hold.note([], 100 + HOLD_SECONDS) == ()


def test_what_comes_right_after_another_change_waits_and_is_not_lost() -> None:
    hold = Hold()
    hold.note([reason("a")], 100)
    assert subjects(hold.note([reason("a"), reason("b")], 101)) == ["a"]
    told = hold.note([reason("a")], 100 + HOLD_SECONDS)
    assert {each.subject: each.lasts for each in told} == {"a": True, "b": False}


def test_the_figures_are_of_this_moment_while_the_rest_is_held() -> None:
    hold = Hold()
    hold.note([reason("a", figures="1 of 2")], 100)
    (told,) = hold.note([reason("a", figures="2 of 3"), reason("b")], 101)
    assert told.figures == "2 of 3"


def test_of_one_thing_the_worst_is_told_once() -> None:
    hold = Hold()
    bad, worse = reason("", code=HealthCode.ERROR_RATE), reason("", code=HealthCode.ERROR_RATE, status="unhealthy")
    hold.note([bad], 100)
    assert state_of(hold.note([worse], 100 + HOLD_SECONDS)).status == "unhealthy"
    (told,) = hold.note([bad], 101 + HOLD_SECONDS)
    assert (told.status, told.lasts) == ("unhealthy", False)
