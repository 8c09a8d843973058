from mizzen_operator.keys import Key
from mizzen_operator.release_updates import ReleaseUpdates, Standing

KEYS = [Key("team", f"agent-{number}") for number in range(5)]


class Setup:
    """Updates of five agents that are behind, and whom they had reconciled."""

    def __init__(self, limit: int) -> None:
        self.admitted: list[Key] = []
        self.updates = ReleaseUpdates(limit, self.admitted.append)
        self.updates.expect(KEYS)

    def all_are_behind(self) -> None:
        for key in KEYS:
            self.updates.saw(key, Standing.BEHIND)


def test_a_few_are_moved_at_a_time_and_each_that_is_done_makes_room() -> None:
    setup = Setup(limit=2)
    setup.all_are_behind()
    assert setup.admitted == KEYS[:2]
    assert (setup.updates.behind, setup.updates.moving) == (3, 2)
    setup.updates.saw(KEYS[1], Standing.MOVING)
    setup.updates.saw(KEYS[0], Standing.MOVING)
    assert setup.admitted == KEYS[:2]
    setup.updates.saw(KEYS[1], Standing.CURRENT)
    assert setup.admitted == KEYS[:3]
    for key in KEYS:
        setup.updates.saw(key, Standing.CURRENT)
    assert (setup.updates.behind, setup.updates.moving) == (0, 0)


def test_nobody_is_moved_where_each_waits_for_its_edit() -> None:
    setup = Setup(limit=0)
    setup.all_are_behind()
    assert setup.admitted == []
    assert not setup.updates.admits(KEYS[0])
    assert setup.updates.behind == len(KEYS)


def test_an_agent_that_does_not_come_up_keeps_its_place_so_that_a_bad_release_stops_there() -> None:
    setup = Setup(limit=1)
    setup.all_are_behind()
    for _ in range(3):
        setup.updates.saw(KEYS[0], Standing.MOVING)
    assert setup.admitted == KEYS[:1]


def test_an_agent_that_is_deleted_while_it_is_moved_makes_room() -> None:
    setup = Setup(limit=1)
    setup.all_are_behind()
    setup.updates.forget(KEYS[0])
    assert setup.admitted == KEYS[:2]


def test_an_agent_that_was_being_moved_before_a_restart_counts_before_anybody_is_admitted() -> None:
    setup = Setup(limit=1)
    for key in KEYS[:4]:
        setup.updates.saw(key, Standing.BEHIND)
    assert setup.admitted == []
    setup.updates.saw(KEYS[4], Standing.MOVING)
    assert setup.admitted == []
    setup.updates.saw(KEYS[4], Standing.CURRENT)
    assert setup.admitted == KEYS[:1]


def test_what_was_seen_before_its_admission_does_not_take_it_back() -> None:
    setup = Setup(limit=1)
    setup.all_are_behind()
    setup.updates.saw(KEYS[0], Standing.BEHIND)
    assert setup.updates.admits(KEYS[0])
    assert setup.admitted == KEYS[:1]
