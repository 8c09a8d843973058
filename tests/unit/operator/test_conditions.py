"""Conditions as a table: what is observed, what is said."""

from typing import Any

import pytest

from mizzen_api.agentdeployment import AgentDeploymentStatus
from mizzen_api.conditions import ConditionType, Reason
from mizzen_operator.errors import UserMustActError, WaitForError
from mizzen_operator.records import Rollout
from mizzen_operator.status.conditions import Situation, judge
from mizzen_operator.status.report import compute_invalid_status, compute_status
from tests.unit.operator.builders import agent, container, pod

READY_POD = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [{"name": "agent", "ready": True, "started": True, "state": {"running": {}}}],
}
STARTED_POD = container(started=True, state={"running": {}})
NO_IMAGE_POD = container(state={"waiting": {"reason": "ErrImagePull", "message": "not found"}})

NOON = "2026-01-01T12:00:00Z"
LATER = "2026-01-01T13:00:00Z"


def rollout(**changes: Any) -> Rollout:
    """Give a Deployment of two pods of revision `new`, all ready, with `changes`."""
    complete: dict[str, Any] = {
        "generation": 2,
        "observed_generation": 2,
        "revision": "new",
        "wanted": 2,
        "autoscaled": False,
        "replicas": 2,
        "updated": 2,
        "ready": 2,
        "available": 2,
        "refusal": None,
    }
    return Rollout(**{**complete, **changes})


def situation(**changes: Any) -> Situation:
    """Give the situation in which all is well, with `changes`."""
    well: dict[str, Any] = {
        "generation": 5,
        "replicas": 2,
        "revision": "new",
        "runtime_image": "localhost/mizzen-runtime:1",
        "stable_revision": "new",
        "failure": None,
        "rollout": rollout(),
        "pods": (pod("new", READY_POD, name="a"), pod("new", READY_POD, name="b")),
    }
    return Situation(**{**well, **changes})


ROLLING = rollout(updated=1, replicas=3, available=2)
THREE = rollout(replicas=3, updated=3, ready=3, available=3)
THREE_PODS = tuple(pod("new", READY_POD, name=name) for name in "abc")
SCALING = {
    "Available": "True Available",
    "Ready": "False Scaling",
    "Progressing": "True Scaling",
    "ConfigResolved": "True Resolved",
}
TABLE = {
    "all is well": (
        situation(),
        {
            "Available": "True Available",
            "Ready": "True Ready",
            "Progressing": "False RolledOut",
            "ConfigResolved": "True Resolved",
        },
    ),
    "nothing is there yet": (
        situation(stable_revision=None, rollout=None, pods=()),
        {
            "Available": "False NoPodReady",
            "Ready": "False RollingOut",
            "Progressing": "True RollingOut",
            "ConfigResolved": "Unknown NotYetKnown",
        },
    ),
    "a rollout goes on while the old pods serve": (
        situation(rollout=ROLLING, pods=(pod("old", READY_POD), pod("new", container(), name="b"))),
        {
            "Available": "True Available",
            "Ready": "False RollingOut",
            "Progressing": "True RollingOut",
            "ConfigResolved": "Unknown NotYetKnown",
        },
    ),
    "the Deployment has not seen its newest template": (
        situation(stable_revision="old", rollout=rollout(observed_generation=1)),
        {
            "Available": "True Available",
            "Ready": "False RollingOut",
            "Progressing": "True RollingOut",
            "ConfigResolved": "True Resolved",
        },
    ),
    "a new revision has accepted its configuration and is not ready yet": (
        situation(rollout=ROLLING, pods=(pod("old", READY_POD), pod("new", STARTED_POD, name="b"))),
        {
            "Available": "True Available",
            "Ready": "False RollingOut",
            "Progressing": "True RollingOut",
            "ConfigResolved": "True Resolved",
        },
    ),
    "a new revision cannot start while the old pods serve": (
        situation(rollout=ROLLING, pods=(pod("old", READY_POD), pod("new", NO_IMAGE_POD, name="b"))),
        {
            "Available": "True Available",
            "Ready": "False ImageUnavailable",
            "Progressing": "False ImageUnavailable",
            "ConfigResolved": "Unknown NotYetKnown",
        },
    ),
    "a pod is added to those of a revision that was complete": (
        situation(replicas=3, pods=(*THREE_PODS[:2], pod("new", container(), name="c"))),
        SCALING,
    ),
    "a pod is taken away from a revision that was complete": (
        situation(replicas=2, rollout=THREE, pods=THREE_PODS),
        SCALING,
    ),
    "a pod of a revision that was complete is lost": (
        situation(rollout=rollout(replicas=1, updated=1, ready=1, available=1), pods=THREE_PODS[:1]),
        SCALING,
    ),
    "the Deployment of a revision that was complete was taken away": (
        situation(rollout=None, pods=THREE_PODS[:2]),
        {**SCALING, "Available": "False NoPodReady"},
    ),
    "a rollout goes back to the revision that was complete last": (
        situation(rollout=ROLLING, pods=(pod("new", READY_POD), pod("failed", container(), name="b"))),
        {**SCALING, "Ready": "False RollingOut", "Progressing": "True RollingOut"},
    ),
    "every pod has stopped being ready": (
        situation(
            rollout=rollout(ready=0, available=0),
            pods=(pod("new", STARTED_POD, name="a"), pod("new", STARTED_POD, name="b")),
        ),
        {
            "Available": "False NoPodReady",
            "Ready": "False NoPodReady",
            "Progressing": "False NoPodReady",
            "ConfigResolved": "True Resolved",
        },
    ),
    "every pod of the first revision has started and none is ready yet": (
        situation(
            stable_revision=None,
            rollout=rollout(ready=0, available=0),
            pods=(pod("new", STARTED_POD, name="a"), pod("new", STARTED_POD, name="b")),
        ),
        {
            "Available": "False NoPodReady",
            "Ready": "False RollingOut",
            "Progressing": "True RollingOut",
            "ConfigResolved": "True Resolved",
        },
    ),
    "the spec is invalid and the old pods serve": (
        situation(revision=None, failure=UserMustActError(Reason.INVALID_SPEC, "spec.x: unknown field")),
        {
            "Available": "True Available",
            "Ready": "False InvalidSpec",
            "Progressing": "False InvalidSpec",
            "ConfigResolved": "False InvalidSpec",
        },
    ),
    "an object of somebody else is in the way": (
        situation(rollout=None, pods=(), failure=WaitForError(Reason.NAME_CONFLICT, "Service hello is there", 30)),
        {
            "Available": "False NameConflict",
            "Ready": "False NameConflict",
            "Progressing": "False NameConflict",
            "ConfigResolved": "Unknown NotYetKnown",
        },
    ),
    "no pod is asked for": (
        situation(replicas=0, rollout=rollout(replicas=0, updated=0, ready=0, available=0), pods=()),
        {
            "Available": "False ScaledToZero",
            "Ready": "True ScaledToZero",
            "Progressing": "False RolledOut",
            "ConfigResolved": "Unknown ScaledToZero",
        },
    ),
    "a quota refuses the pods": (
        situation(rollout=rollout(replicas=0, updated=0, ready=0, available=0, refusal="exceeded quota"), pods=()),
        {
            "Available": "False PodRefused",
            "Ready": "False PodRefused",
            "Progressing": "False PodRefused",
            "ConfigResolved": "Unknown NotYetKnown",
        },
    ),
    "a pod that is leaving says nothing any more": (
        situation(
            stable_revision="old",
            rollout=ROLLING,
            pods=(pod("new", NO_IMAGE_POD, deletionTimestamp=NOON), pod("new", container(), name="b")),
        ),
        {
            "Available": "True Available",
            "Ready": "False RollingOut",
            "Progressing": "True RollingOut",
            "ConfigResolved": "Unknown NotYetKnown",
        },
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_conditions_say_what_is_observed(name: str) -> None:
    observed, said = TABLE[name]
    verdicts = {kind.value: f"{verdict.status} {verdict.reason.value}" for kind, verdict in judge(observed).items()}
    assert verdicts == said


def test_every_condition_has_a_message_for_people() -> None:
    for observed, _ in TABLE.values():
        assert all(verdict.message for verdict in judge(observed).values())


def status_of(observed: Situation, before: AgentDeploymentStatus, now: str) -> AgentDeploymentStatus:
    return compute_status(agent(), observed, before, now)


def test_the_same_observation_gives_the_same_status_at_any_time() -> None:
    for observed, _ in TABLE.values():
        first = status_of(observed, AgentDeploymentStatus(), NOON)
        assert status_of(observed, first, LATER) == status_of(observed, status_of(observed, first, NOON), NOON)


def test_the_time_of_a_transition_moves_with_the_status_only() -> None:
    first = status_of(TABLE["nothing is there yet"][0], AgentDeploymentStatus(), NOON)
    second = status_of(TABLE["a quota refuses the pods"][0], first, LATER)
    times = {condition.type: condition.last_transition_time for condition in second.conditions}
    assert times == {
        ConditionType.AVAILABLE: NOON,  # False before and after, for another reason
        ConditionType.READY: NOON,
        ConditionType.PROGRESSING: LATER,
        ConditionType.CONFIG_RESOLVED: NOON,
    }


def test_a_rollout_moves_the_candidate_to_stable() -> None:
    before = AgentDeploymentStatus(stable_revision="old")
    rolling = status_of(TABLE["a rollout goes on while the old pods serve"][0], before, NOON)
    assert (rolling.stable_revision, rolling.candidate_revision) == ("old", "new")
    complete = status_of(situation(), rolling, NOON)
    assert (complete.stable_revision, complete.candidate_revision) == ("new", None)


def test_an_invalid_spec_keeps_what_is_known_of_what_runs() -> None:
    before = status_of(situation(), AgentDeploymentStatus(), NOON)
    after = compute_invalid_status(TABLE["the spec is invalid and the old pods serve"][0], before, LATER)
    assert (after.url, after.model, after.selector) == (before.url, before.model, before.selector)
    assert after.stable_revision == "new"
    assert after.ready_replicas == 2


def test_the_selector_finds_the_pods() -> None:
    assert status_of(situation(), AgentDeploymentStatus(), NOON).selector == (
        "app.kubernetes.io/name=mizzen-agent,app.kubernetes.io/instance=hello,app.kubernetes.io/managed-by=mizzen-operator"
    )


def test_a_revision_that_no_deployment_has_taken_is_no_candidate() -> None:
    refused = situation(
        failure=WaitForError(Reason.NAME_CONFLICT, "Service triage is there already", 30.0), rollout=None
    )
    status = status_of(refused, AgentDeploymentStatus(), NOON)
    assert status.candidate_revision is None


def test_pods_that_are_added_to_a_complete_revision_are_no_rollout_of_it() -> None:
    scaling = situation(replicas=3, rollout=rollout(replicas=3, updated=3))
    status = status_of(scaling, AgentDeploymentStatus(stable_revision="new"), NOON)
    assert (status.stable_revision, status.candidate_revision) == ("new", None)
