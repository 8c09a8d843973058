"""Each state is had for real, with kubelet, scheduler and admission, and every word of the conditions compared."""

import itertools
import math
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from devcluster import DevCluster
from mizzen_api.conditions import Reason
from mizzen_operator.status.event_reader import PAUSE_SECONDS
from mizzen_operator.status.events import SHARE
from mizzen_operator.status.trouble import ORDER
from tests.conftest import FULL_SIZE
from tests.integration.operator.audit import resource
from tests.integration.operator.states import LOST_NODE, STATES
from tests.integration.operator.world import World, made_world
from tests.support.namespace import Object
from tests.support.waiting import wait_for

CHOSEN = {name: state for name, state in STATES.items() if FULL_SIZE or not state.only_full}
LASTING = [name for name, state in CHOSEN.items() if not state.passes]
WATCHED_SECONDS = 300 if FULL_SIZE else 40
"""For how long agents fail before what was written about them is counted."""
PAUSE = timedelta(seconds=PAUSE_SECONDS / 2)
"""What is seen of it at least: a request may be slow to come, and the one after it on time."""
CHANGES = 6
"""Statuses of an agent until its trouble is told: seen, created, its pod there, the trouble, and who is slower."""


@pytest.fixture(scope="module")
def world(cluster: DevCluster, stand_in: None) -> Iterator[World]:
    """Every state, all of them at once."""
    with made_world(cluster, CHOSEN) as made:
        yield made


@pytest.fixture(scope="module")
def requests(world: World) -> list[Object]:
    """What the operator has asked of the API server when the states have been so for a while."""
    wait_for(lambda: time.monotonic() - world.made_at > WATCHED_SECONDS, "some time", seconds=WATCHED_SECONDS + 10)
    return world.audit.requests(*(namespace.name for namespace in world.namespaces.values()))


@pytest.fixture(scope="module")
def events(world: World, requests: list[Object]) -> list[Object]:
    """What the operator has told by Events until then."""
    found = [event for namespace in world.namespaces.values() for event in namespace.list("events")]
    return [event for event in found if event["involvedObject"]["kind"] == "AgentDeployment"]


def status_writes(requests: list[Object], name: str) -> int:
    return sum(
        1
        for request in requests
        if (request["verb"], resource(request)) == ("patch", "agentdeployments/status")
        and request["objectRef"]["name"] == name
    )


@pytest.mark.parametrize("name", CHOSEN)
def test_a_state_is_told_word_by_word(world: World, name: str) -> None:
    state = CHOSEN[name]

    def told() -> bool:
        seen = world.told(name)
        assert state.says() in seen, f"{seen[-3:]} instead of {state.says()}"
        return True

    wait_for(told, f"what is said of {name}", seconds=240 if state.only_full else 120, interval=0.2)
    if not state.passes:
        assert world.told(name)[-1] == state.says()


TOLD_ELSEWHERE = {Reason.CONTRACT_MISMATCH}
"""It takes a runtime of another release: `tests/e2e/test_releases.py` has one."""


def test_every_trouble_of_a_pod_is_had_for_real() -> None:
    told = {state.ready.split()[1].rstrip(":") for state in (*STATES.values(), *LOST_NODE.values())}
    assert set(ORDER) - TOLD_ELSEWHERE <= told


def pods(world: World, name: str) -> list[Object]:
    return world.namespace(name).list("pods", f"app.kubernetes.io/instance={name}")


def test_a_revision_that_cannot_start_leaves_the_old_pods_alone(world: World) -> None:
    name = "a-new-revision-has-no-image"
    revision = world.namespace(name).get("agd", name)["status"]["stableRevision"]
    (old,) = [pod for pod in pods(world, name) if pod["metadata"]["labels"]["mizzen.dev/revision"] == revision]
    assert "deletionTimestamp" not in old["metadata"]
    assert {"Ready": "True"}.items() <= {item["type"]: item["status"] for item in old["status"]["conditions"]}.items()
    assert old["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_pod_that_is_stuck_while_it_leaves_blocks_nothing(world: World) -> None:
    name = "all-is-well"
    (pod,) = pods(world, name)
    before = len(world.told(name))
    world.namespace(name).kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")

    def well_again() -> bool:
        since = world.told(name)[before:]
        return len(since) > 1 and since[-1] == STATES[name].says()

    wait_for(well_again, "a new pod that serves", seconds=30)
    (leaving,) = [pod for pod in pods(world, name) if "deletionTimestamp" in pod["metadata"]]
    assert leaving["metadata"]["name"] == pod["metadata"]["name"]


def test_a_status_is_written_only_when_it_says_something_new(world: World, requests: list[Object]) -> None:
    for name in LASTING:
        assert status_writes(requests, name) == len(world.told(name)), name


@pytest.mark.parametrize("name", [name for name in LASTING if CHOSEN[name].then is None and name != "all-is-well"])
def test_an_agent_that_goes_on_failing_is_written_about_until_it_is_told_and_no_longer(
    world: World, requests: list[Object], events: list[Object], name: str
) -> None:
    assert status_writes(requests, name) <= CHANGES
    ready = world.namespace(name).condition(name, "Ready")
    told = [(event["reason"], event["message"]) for event in events if event["involvedObject"]["name"] == name]
    assert told.count((ready["reason"], ready["message"])) == 1
    assert len(told) == len(set(told))


@pytest.mark.parametrize("name", ["the-process-fails-after-it-was-ready", "memory-does-not-suffice-later"])
def test_an_agent_that_fails_and_serves_in_turns_has_its_share_of_events(events: list[Object], name: str) -> None:
    assert 3 <= sum(1 for event in events if event["involvedObject"]["name"] == name) <= SHARE + 2


def test_the_events_of_a_pod_are_read_seldom_and_the_longer_nothing_changes_the_less_often(
    world: World, requests: list[Object]
) -> None:
    read: dict[str, list[datetime]] = {}
    for request in requests:
        if (request["verb"], resource(request)) == ("list", "events"):
            (selector,) = parse_qs(urlsplit(request["requestURI"]).query)["fieldSelector"]
            read.setdefault(selector, []).append(datetime.fromisoformat(request["requestReceivedTimestamp"]))
    for times in read.values():
        assert all(later - earlier > PAUSE for earlier, later in itertools.pairwise(times))
    (pod,) = pods(world, "the-readiness-probe-gets-no-answer")
    readings = len(read[f"regarding.uid={pod['metadata']['uid']}"])
    assert 1 <= readings <= 2 + math.log2((time.monotonic() - world.made_at) / PAUSE_SECONDS)
