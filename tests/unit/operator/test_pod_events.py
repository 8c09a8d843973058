"""What a pod's Events add to its status, and when."""

import pytest

from mizzen_api.conditions import Reason
from mizzen_operator.records import PodEvent, PodRecord, pod_event
from mizzen_operator.status.pod_events import (
    CREATING_SECONDS,
    SLOW_START_SECONDS,
    UNREADY_SECONDS,
    asked_after,
    seconds_until_slow,
    told_by_events,
)
from mizzen_operator.status.pod_status import Trouble
from tests.unit.operator.builders import NOON, Object, at, container, pod

NOW = NOON.timestamp()
CREATING = pod("r", container(state={"waiting": {"reason": "ContainerCreating"}}))
STARTING = pod("r", container(state={"running": {"startedAt": at(0)}}))
UNREADY = pod("r", container(started=True, state={"running": {"startedAt": at(0)}}))
READY = pod("r", {"conditions": [{"type": "Ready", "status": "True"}]})
NO_IMAGE = pod("r", container(state={"waiting": {"reason": "ErrImagePull", "message": "not found"}}))
UNSCHEDULABLE = pod("r", {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no nodes"}]})


def over(exit_code: int = 137, **terminated: str) -> PodRecord:
    """Give a pod whose container has ended."""
    return pod("r", container(state={"terminated": {"exitCode": exit_code, "startedAt": at(0), **terminated}}))


def said(reason: str, note: str, seconds: float = 0) -> PodEvent:
    return PodEvent(reason=reason, note=note, at=NOW + seconds)


def told(record: PodRecord, *events: PodEvent, after: float = 20) -> Trouble | None:
    return told_by_events(record, events, NOW + after)


@pytest.mark.parametrize(
    ("record", "seconds"),
    [
        (CREATING, CREATING_SECONDS),
        (STARTING, SLOW_START_SECONDS),
        (UNREADY, UNREADY_SECONDS),
        (over(137), 0),
        (over(143), 0),
        (over(0, reason="Completed"), 0),
        (READY, None),
        (NO_IMAGE, None),
        (UNSCHEDULABLE, None),
        (over(1), None),
        (over(137, reason="OOMKilled"), None),
        (over(137, message="last words"), None),
        (pod("r", container(), deletionTimestamp=at(0)), None),
    ],
)
def test_a_pod_is_asked_about_when_its_status_does_not_say_why_it_is_not_ready(
    record: PodRecord, seconds: float | None
) -> None:
    assert asked_after(record) == seconds


def test_a_volume_that_cannot_be_mounted_is_told_with_its_cause_and_not_with_what_follows_from_it() -> None:
    cause = said("FailedMount", 'MountVolume.SetUp failed for volume "config" : configmap "x" not found', 1)
    timeout = said("FailedMount", "Unable to attach or mount volumes: unmounted volumes=[config]: timed out", 9)
    assert told(CREATING, cause, timeout) == Trouble(
        Reason.MOUNT_FAILED,
        (
            'FailedMount: MountVolume.SetUp failed for volume "config" : configmap "x" not found '
            "(Create what is missing; kubelet tries again by itself.)"
        ),
    )
    alone = told(CREATING, timeout)
    assert alone is not None
    assert "timed out" in alone.message


def test_a_volume_that_cannot_be_attached_is_told() -> None:
    trouble = told(CREATING, said("FailedAttachVolume", "Multi-Attach error for volume"))
    assert trouble is not None
    assert trouble.reason is Reason.MOUNT_FAILED


def test_a_sandbox_that_fails_after_the_volumes_were_mounted_is_told() -> None:
    mount = said("FailedMount", "failed to sync configmap cache", 1)
    sandbox = said("FailedCreatePodSandBox", "Failed to create pod sandbox: rpc error: code = Unknown desc = no CNI", 5)
    assert told(CREATING, mount, sandbox) == Trouble(
        Reason.SANDBOX_FAILED,
        (
            "FailedCreatePodSandBox: Failed to create pod sandbox: no CNI "
            "(Have the node's container runtime and network looked at.)"
        ),
    )


def test_a_sandbox_that_lacks_memory_is_told_so() -> None:
    note = "Failed to create pod sandbox: container init was OOM-killed (memory limit too low?): unknown"
    trouble = told(CREATING, said("FailedCreatePodSandBox", note))
    assert trouble is not None
    assert trouble.reason is Reason.OOM_KILLED


def test_what_is_older_than_the_pods_state_is_past() -> None:
    sandboxed = {"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": at(5)}
    pulling = pod("r", {**container(state={"waiting": {"reason": "ContainerCreating"}}), "conditions": [sandboxed]})
    assert told(pulling, said("FailedMount", "not found", 4)) is None
    assert told(UNREADY, said("Unhealthy", "Readiness probe failed: 503", -1)) is None


@pytest.mark.parametrize(
    ("record", "events", "message"),
    [
        (
            STARTING,
            (said("Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 503"),),
            "Startup probe failed: HTTP probe failed with statuscode: 503.",
        ),
        (STARTING, (), "The startup probe has not succeeded yet."),
        (CREATING, (said("Pulling", 'Pulling image "x:1"'),), 'Pulling image "x:1".'),
        (CREATING, (), "Its node has not made its container yet."),
    ],
)
def test_a_start_that_takes_long_is_told_after_a_while(
    record: PodRecord, events: tuple[PodEvent, ...], message: str
) -> None:
    assert told(record, *events, after=SLOW_START_SECONDS - 1) is None
    assert seconds_until_slow(record, NOW + SLOW_START_SECONDS - 1) == 1
    assert told(record, *events, after=SLOW_START_SECONDS) == Trouble(
        Reason.STARTING_SLOWLY,
        f"A pod takes longer than 30 s to start. {message} (See `kubectl describe` of the pod.)",
    )
    assert seconds_until_slow(record, NOW + SLOW_START_SECONDS) is None


@pytest.mark.parametrize("record", [READY, NO_IMAGE, UNSCHEDULABLE, UNREADY, over(1)])
def test_a_pod_with_another_trouble_or_none_is_never_slow(record: PodRecord) -> None:
    assert seconds_until_slow(record, NOW) is None
    assert told(record, after=1000) is None


def test_a_readiness_probe_that_fails_is_told_with_its_newest_words() -> None:
    old = said("Unhealthy", 'Readiness probe failed: Get "http://10.0.0.1:8081/readyz": EOF', 3)
    new = said("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", 9)
    startup = said("Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 500", 9.5)
    assert told(UNREADY, old, new, startup) == Trouble(
        Reason.PROBE_FAILING,
        "Readiness probe failed: HTTP probe failed with statuscode: 503. (See `kubectl logs` of the pod.)",
    )


@pytest.mark.parametrize("probe", ["Liveness", "Startup"])
def test_a_container_that_a_probe_has_ended_is_told_with_the_probe(probe: str) -> None:
    killing = said("Killing", f"Container agent failed {probe.lower()} probe, will be restarted", 30)
    failed = said("Unhealthy", f"{probe} probe failed: HTTP probe failed with statuscode: 503", 29)
    assert told(over(), failed, killing) == Trouble(
        Reason.PROBE_FAILING,
        (
            f"The container was restarted. {probe} probe failed: HTTP probe failed with statuscode: 503. "
            "(See `kubectl logs --previous` of the pod.)"
        ),
    )
    forgotten = told(over(), killing)
    assert forgotten is not None
    assert f"{probe} probe failed." in forgotten.message


def test_a_container_that_ends_by_itself_is_not_said_to_be_ended_by_the_probes_that_failed_meanwhile() -> None:
    refused = said("Unhealthy", "Startup probe failed: connection refused")
    stopping = said("Killing", "Stopping container agent")
    of_an_earlier_one = said("Killing", "Container agent failed liveness probe, will be restarted", -1)
    assert told(over(0), refused, stopping, of_an_earlier_one) is None


@pytest.mark.parametrize(
    "times",
    [
        {"deprecatedLastTimestamp": at(7), "deprecatedFirstTimestamp": at(1)},
        {"eventTime": at(7)},
        {"eventTime": at(1), "series": {"count": 2, "lastObservedTime": at(7)}},
    ],
)
def test_an_event_is_as_old_as_its_newest_occurrence_whichever_api_it_was_made_by(times: Object) -> None:
    raw = {"reason": "Unhealthy", "note": "Liveness probe failed", "type": "Warning", **times}
    assert pod_event(raw) == PodEvent(reason="Unhealthy", note="Liveness probe failed", at=NOW + 7)
