"""What may be observed of an agent, and what its conditions are to say then; of reports `test_reported` tells."""

from typing import Any

from mizzen_api.conditions import Reason
from mizzen_api.contract import StartFailure
from mizzen_api.problems import Problem
from mizzen_operator.errors import UserMustActError, WaitForError
from mizzen_operator.records import PodEvent, Rollout
from mizzen_operator.status.conditions import Situation
from tests.unit.operator.builders import NOON, at, container, pod

READY_POD = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [{"name": "agent", "ready": True, "started": True, "state": {"running": {}}}],
}
STARTED_POD = container(started=True, state={"running": {}})
RUNNING_POD = container(state={"running": {"startedAt": at(0)}})
CREATING_POD = container(state={"waiting": {"reason": "ContainerCreating"}})
NO_IMAGE_POD = container(state={"waiting": {"reason": "ErrImagePull", "message": "not found"}})
CRASHED_POD = container(
    state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": {"exitCode": 1, "message": "no disk"}}
)
REFUSAL = StartFailure(problems=(Problem(field="spec.agent.model", message="no extra 'groq'", remedy="add it"),))
REFUSED_POD = container(state={"terminated": {"exitCode": 78, "message": REFUSAL.model_dump_json()}})
EVICTED_POD = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": "The node was low on resource: memory.",
    "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": at(1)}],
}


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
        "events": {},
        "heard": {},
        "before": {},
        "now": NOON.timestamp(),
    }
    return Situation(**{**well, **changes})


NONE_READY = rollout(ready=0, available=0)
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
            "Available": "True EarlierRevisionServes",
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
            "Available": "True EarlierRevisionServes",
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
    "a new revision is refused by the runtime while the old pods serve": (
        situation(
            stable_revision="old", rollout=ROLLING, pods=(pod("old", READY_POD), pod("new", REFUSED_POD, name="b"))
        ),
        {
            "Available": "True EarlierRevisionServes",
            "Ready": "False ConfigInvalid",
            "Progressing": "False ConfigInvalid",
            "ConfigResolved": "False ConfigInvalid",
        },
    ),
    "some pods of a revision serve and one cannot start": (
        situation(rollout=ROLLING, pods=(pod("new", READY_POD), pod("new", NO_IMAGE_POD, name="b"))),
        {
            "Available": "True Available",
            "Ready": "False ImageUnavailable",
            "Progressing": "False ImageUnavailable",
            "ConfigResolved": "True Resolved",
        },
    ),
    "a new revision cannot start and the old pods have failed": (
        situation(
            stable_revision="old",
            rollout=NONE_READY,
            pods=(pod("old", CRASHED_POD), pod("new", NO_IMAGE_POD, name="b")),
        ),
        {
            "Available": "False PodFailing",
            "Ready": "False ImageUnavailable",
            "Progressing": "False ImageUnavailable",
            "ConfigResolved": "Unknown NotYetKnown",
        },
    ),
    "a new revision cannot start, the old pods have stopped being ready, and nobody says why": (
        situation(
            stable_revision="old",
            rollout=NONE_READY,
            pods=(pod("old", STARTED_POD), pod("new", NO_IMAGE_POD, name="b")),
        ),
        {
            "Available": "False ImageUnavailable",
            "Ready": "False ImageUnavailable",
            "Progressing": "False ImageUnavailable",
            "ConfigResolved": "Unknown NotYetKnown",
        },
    ),
    "the pod of a revision that was given up cannot start": (
        situation(
            stable_revision=None, rollout=NONE_READY, pods=(pod("given-up", NO_IMAGE_POD), pod("new", container()))
        ),
        {
            "Available": "False NoPodReady",
            "Ready": "False RollingOut",
            "Progressing": "True RollingOut",
            "ConfigResolved": "Unknown NotYetKnown",
        },
    ),
    "a pod starts slowly": (
        situation(stable_revision=None, rollout=NONE_READY, pods=(pod("new", RUNNING_POD),), now=NOON.timestamp() + 30),
        {
            "Available": "False StartingSlowly",
            "Ready": "False StartingSlowly",
            "Progressing": "True StartingSlowly",
            "ConfigResolved": "Unknown NotYetKnown",
        },
    ),
    "a pod starts as fast as any": (
        situation(stable_revision=None, rollout=NONE_READY, pods=(pod("new", RUNNING_POD),), now=NOON.timestamp() + 29),
        {
            "Available": "False NoPodReady",
            "Ready": "False RollingOut",
            "Progressing": "True RollingOut",
            "ConfigResolved": "Unknown NotYetKnown",
        },
    ),
    "a volume cannot be mounted": (
        situation(
            stable_revision=None,
            rollout=NONE_READY,
            pods=(pod("new", CREATING_POD, name="a"),),
            events={"a": (PodEvent(reason="FailedMount", note='configmap "x" not found', at=NOON.timestamp()),)},
        ),
        {
            "Available": "False MountFailed",
            "Ready": "False MountFailed",
            "Progressing": "False MountFailed",
            "ConfigResolved": "False MountFailed",
        },
    ),
    "a pod was put out and its replacement starts": (
        situation(
            rollout=rollout(ready=1, available=1),
            pods=(pod("new", READY_POD, name="a"), pod("new", EVICTED_POD, name="b"), pod("new", container())),
            now=NOON.timestamp() + 2,
        ),
        {
            "Available": "True Available",
            "Ready": "False Evicted",
            "Progressing": "False Evicted",
            "ConfigResolved": "True Resolved",
        },
    ),
    "a pod was put out and has been replaced": (
        situation(pods=(pod("new", READY_POD, name="a"), pod("new", EVICTED_POD, name="b"), pod("new", READY_POD))),
        {
            "Available": "True Available",
            "Ready": "True Ready",
            "Progressing": "False RolledOut",
            "ConfigResolved": "True Resolved",
        },
    ),
    "a pod that is stuck while it leaves blocks nothing": (
        situation(pods=(pod("new", READY_POD), pod("old", CRASHED_POD, name="b", deletionTimestamp=at(0)))),
        {
            "Available": "True Available",
            "Ready": "True Ready",
            "Progressing": "False RolledOut",
            "ConfigResolved": "True Resolved",
        },
    ),
    "a pod that is leaving says nothing any more": (
        situation(
            stable_revision="old",
            rollout=ROLLING,
            pods=(pod("new", NO_IMAGE_POD, deletionTimestamp=at(0)), pod("new", container(), name="b")),
        ),
        {
            "Available": "True Available",
            "Ready": "False RollingOut",
            "Progressing": "True RollingOut",
            "ConfigResolved": "Unknown NotYetKnown",
        },
    ),
}
