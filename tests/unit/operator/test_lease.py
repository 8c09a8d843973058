"""What a candidate may do with what it knows."""

import dataclasses

import pytest

from mizzen_operator.lease import LEASE_SECONDS, Candidate, Lease, Timing

TIMING = Timing()
NOON = "2026-01-01T12:00:00.000000Z"
THEIRS = Lease(holder="them", seconds=LEASE_SECONDS, acquired=NOON, renewed=NOON, transitions=4)


def leader(now: float = 0.0) -> Candidate:
    """Give a candidate that has taken the Lease at `now`."""
    candidate = Candidate("me", TIMING)
    lease = candidate.claim(now, NOON)
    assert lease is not None
    candidate.wrote(lease, now, now)
    return candidate


def test_the_times_are_those_of_kubernetes_own_controllers() -> None:
    assert (TIMING.lease, TIMING.deadline, TIMING.retry) == (15, 10, 2)


@pytest.mark.parametrize("seconds", [3, 5, 15, 3600])
def test_a_leader_has_stopped_long_before_anybody_else_may_begin_and_can_try_twice_to_renew(seconds: int) -> None:
    timing = Timing(seconds)
    assert timing.deadline <= seconds * 0.7
    assert timing.renewal + 2 * timing.attempt <= timing.deadline


def test_a_lease_that_nobody_made_or_holds_may_be_taken_at_once() -> None:
    candidate = Candidate("me", TIMING)
    assert candidate.claim(0, NOON) == Lease("me", LEASE_SECONDS, NOON, NOON, 0)
    candidate.saw(dataclasses.replace(THEIRS, holder=""), 0)
    assert candidate.claim(0, NOON) == Lease("me", LEASE_SECONDS, NOON, NOON, 5)


def test_a_lease_that_is_held_may_be_taken_when_it_was_not_seen_to_change_for_as_long_as_it_says() -> None:
    candidate = Candidate("me", TIMING)
    candidate.saw(dataclasses.replace(THEIRS, seconds=40), 100)
    candidate.saw(dataclasses.replace(THEIRS, seconds=40), 120)
    assert candidate.free_in(120) == 20
    assert candidate.claim(139.9, NOON) is None
    candidate.saw(dataclasses.replace(THEIRS, seconds=40, renewed="later"), 139.9)
    assert candidate.claim(140, NOON) is None
    assert candidate.free_in(140) == pytest.approx(39.9)
    taken = candidate.claim(180, NOON)
    assert taken is not None
    assert (taken.holder, taken.transitions) == ("me", 5)


def test_renewing_keeps_when_it_was_acquired_and_counts_no_transition() -> None:
    candidate = leader()
    assert candidate.claim(5, "later") == Lease("me", LEASE_SECONDS, NOON, "later", 0)


def test_leading_counts_from_before_the_claim_was_sent_and_ends_at_the_deadline() -> None:
    candidate = leader()
    lease = candidate.claim(5, "later")
    assert lease is not None
    candidate.wrote(lease, 5, 8)
    assert candidate.leads_for(8) == 7
    assert candidate.leads_for(15) == 0


def test_a_renewal_whose_answer_comes_after_the_deadline_does_not_bring_leadership_back() -> None:
    candidate = leader()
    lease = candidate.claim(5, "later")
    assert lease is not None
    candidate.wrote(lease, 5, 11)
    assert candidate.leads_for(11) == 0
    assert candidate.claim(11, NOON) is None


def test_an_acquisition_whose_answer_comes_after_the_deadline_is_tried_again() -> None:
    candidate = Candidate("me", TIMING)
    lease = candidate.claim(0, NOON)
    assert lease is not None
    candidate.wrote(lease, 0, 30)
    assert candidate.leads_for(30) == 0
    again = candidate.claim(30, NOON)
    assert again is not None
    candidate.wrote(again, 30, 31)
    assert candidate.leads_for(31) == 9


def test_who_sees_somebody_else_hold_the_lease_leads_no_more() -> None:
    candidate = leader()
    candidate.saw(THEIRS, 3)
    assert candidate.leads_for(3) == 0
    assert candidate.claim(100, NOON) is None


def test_the_lease_is_given_back_so_that_anybody_may_take_it_and_only_by_its_holder() -> None:
    candidate = leader()
    candidate.resign(5)
    assert candidate.leads_for(5) == 0
    assert candidate.release("later") == Lease("", 1, "later", "later", 0)
    candidate.saw(THEIRS, 6)
    assert candidate.release("later") is None
    assert Candidate("me", TIMING).release("later") is None


def test_a_lease_is_read_from_what_is_there_of_it_and_written_in_full() -> None:
    assert Lease.of({}) == Lease("", 0, None, None, 0)
    assert Lease.of({"holderIdentity": None, "leaseDurationSeconds": None}) == Lease("", 0, None, None, 0)
    assert Lease.of(THEIRS.spec()) == THEIRS
