"""When a pod's Events are read: seldom, one pod at a time, and never in the way of a report."""

import asyncio
import itertools
from collections.abc import Iterable

import pytest

from mizzen_operator.cluster.errors import UnavailableError
from mizzen_operator.records import PodEvent, PodRecord
from mizzen_operator.status.event_reader import ASKED_PODS, MAX_PAUSE_SECONDS, PAUSE_SECONDS, EventReader, Reading
from mizzen_operator.status.pod_events import CREATING_SECONDS
from tests.unit.operator.builders import KEY, NOON, at, container, pod
from tests.unit.operator.fake_cluster import FakeCluster

NOT_FOUND = {"reason": "FailedMount", "note": "not found", "deprecatedLastTimestamp": at(9)}
TOLD = (PodEvent(reason="FailedMount", note="not found", at=NOON.timestamp() + 9),)


def creating(name: str = "a", since: float = 0) -> PodRecord:
    """Give a pod that is being made, whose uid is its name."""
    return pod(
        "r",
        container(state={"waiting": {"reason": "ContainerCreating"}}),
        name=name,
        uid=name,
        creationTimestamp=at(since),
    )


class Setup:
    """A reader and the cluster that it reads."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.reader = EventReader(self.cluster)

    def read(self, seconds: float, *pods: PodRecord) -> Reading:
        """Read so many seconds after noon."""
        return asyncio.run(self.reader.read(KEY, pods, NOON.timestamp() + seconds))

    def times(self, pods: Iterable[PodRecord], until: float) -> list[float]:
        """Look again whenever the reader says so, and give the seconds at which it asked the cluster."""
        seconds, times = 0.0, []
        while seconds < until:
            before = len(self.cluster.asked)
            again_in = self.read(seconds, *pods).again_in
            if len(self.cluster.asked) > before:
                times.append(seconds)
            assert again_in is not None
            assert again_in > 0
            seconds += again_in
        return times


def test_a_pod_that_has_had_its_time_is_asked_about_and_not_before() -> None:
    setup = Setup()
    setup.cluster.told["a"] = [NOT_FOUND]
    assert setup.read(1, creating()) == Reading({}, CREATING_SECONDS - 1)
    assert setup.cluster.asked == []
    assert setup.read(CREATING_SECONDS, creating()) == Reading({"a": TOLD}, PAUSE_SECONDS)


def test_what_was_read_is_remembered_until_the_pod_is_well() -> None:
    setup = Setup()
    setup.cluster.told["a"] = [NOT_FOUND]
    setup.read(10, creating())
    assert setup.read(11, creating()).events == {"a": TOLD}
    assert setup.cluster.asked == ["a"]
    ready = pod("r", {"conditions": [{"type": "Ready", "status": "True"}]}, name="a", uid="a")
    assert setup.read(12, ready) == Reading({}, None)
    assert setup.read(13, creating()).events == {"a": TOLD}
    assert setup.cluster.asked == ["a", "a"]


def test_a_pod_that_stays_as_it_is_is_asked_about_the_less_often_the_longer() -> None:
    times = Setup().times([creating()], until=3600)
    assert times[:7] == [10, 20, 40, 80, 160, 320, 620]
    assert {later - earlier for earlier, later in itertools.pairwise(times[6:])} == {MAX_PAUSE_SECONDS}


def test_a_pod_whose_state_has_changed_is_asked_about_again() -> None:
    setup = Setup()
    setup.read(100, creating())
    assert setup.read(150, creating()).again_in == 50
    setup.read(150, creating(since=130))
    assert setup.cluster.asked == ["a", "a"]


def test_several_pods_are_asked_about_one_after_the_other_and_no_more_than_a_few() -> None:
    setup = Setup()
    pods = [creating(f"pod-{number}") for number in range(10)]
    times = setup.times(pods, until=100)
    assert setup.cluster.asked[:ASKED_PODS] == ["pod-0", "pod-1", "pod-2"]
    assert set(setup.cluster.asked) == {"pod-0", "pod-1", "pod-2"}
    assert all(later - earlier >= PAUSE_SECONDS for earlier, later in itertools.pairwise(times))


def test_events_that_cannot_be_read_keep_nobody_from_reporting_what_is_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    setup = Setup()
    setup.cluster.told["a"] = [NOT_FOUND]
    setup.read(10, creating())
    setup.cluster.failures["events a"] = UnavailableError("no answer")
    assert setup.read(20, creating()) == Reading({"a": TOLD}, 20)
    assert "team/hello: the events about pod a could not be read: no answer" in caplog.text


def test_events_that_were_never_read_are_asked_for_again() -> None:
    setup = Setup()
    setup.cluster.failures["events a"] = UnavailableError("no answer")
    assert setup.read(10, creating()) == Reading({"a": ()}, PAUSE_SECONDS)


def test_a_node_whose_clock_is_ahead_delays_a_look_and_does_not_prevent_it() -> None:
    assert Setup().read(0, creating(since=86400)).again_in == MAX_PAUSE_SECONDS
