"""What a pod's status does not tell, and its Events do: a volume, a sandbox, a probe; and a start that takes long.

Only Events that are not older than the pod's present state count: those of a trouble that has passed stay for an hour.
"""

from collections.abc import Iterable

from mizzen_api.conditions import Reason
from mizzen_operator.records import Ended, PodEvent, PodRecord
from mizzen_operator.status.pod_status import OOM_MARK, Trouble, no_memory, told_by_status
from mizzen_operator.status.wording import steady, steady_probe

SLOW_START_SECONDS = 30.0
"""How long a pod may take to start before that is told."""
CREATING_SECONDS = 10.0
"""How long a pod may take to be made before its Events are read."""
UNREADY_SECONDS = 10.0
"""The same for a container that has started and is not ready."""

MOUNT_REASONS = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume"})
SANDBOX_REASONS = frozenset({"FailedCreatePodSandBox", "NetworkNotReady"})
_PROBE_FAILED = frozenset({"Unhealthy"})
_KILLING = frozenset({"Killing"})
_PULLING = frozenset({"Pulling"})
_ON_REQUEST = frozenset({0, 137, 143})
"""Exit codes of a container that is told to end: its own, by SIGKILL, by SIGTERM."""

Events = tuple[PodEvent, ...]


def age(pod: PodRecord, now: float) -> float:
    """Give the seconds since a pod's status changed last."""
    return now - pod.since


def asked_after(pod: PodRecord) -> float | None:
    """Give the age in seconds at which a pod's Events are worth reading; None if its status tells all.

    Only a pod that is not ready, and does not say why, is asked about.
    """
    if pod.ready or pod.leaving or pod.cut_off:
        return None
    if pod.started:
        return UNREADY_SECONDS
    if pod.ended is not None and _on_request(pod.ended):
        return 0.0
    if told_by_status(pod) is not None:
        return None
    return SLOW_START_SECONDS if pod.running else CREATING_SECONDS


def seconds_until_slow(pod: PodRecord, now: float) -> float | None:
    """Give the seconds until a pod's start is called slow; None if it is so already, or never will be."""
    if asked_after(pod) is None or pod.started or pod.ended is not None:
        return None
    left = SLOW_START_SECONDS - age(pod, now)
    return left if left > 0 else None


def told_by_events(pod: PodRecord, events: Events, now: float) -> Trouble | None:
    """Give what is known beyond its status of a pod that does not serve; None if nothing is.

    Args:
        pod: The pod.
        events: Its Events, as far as they were read.
        now: The time, in seconds since the epoch.
    """
    if asked_after(pod) is None:
        return None
    if pod.started:
        return _unready(events, pod.since)
    if pod.ended is not None:
        return _killed(pod.ended, events)
    if not pod.running and (trouble := _unmade(events, pod.since)) is not None:
        return trouble
    return _slow_start(pod, events) if age(pod, now) >= SLOW_START_SECONDS else None


def _on_request(ended: Ended) -> bool:
    """Tell whether a container's end says nothing: kubelet may have ended it, and only an Event says why."""
    return ended.exit_code in _ON_REQUEST and ended.reason in {"", "Error", "Completed"} and not ended.message


def _unready(events: Events, since: float) -> Trouble | None:
    said = _failed_probe(events, ("Readiness", "Liveness"), since)
    return Trouble(Reason.PROBE_FAILING, f"{said} (See `kubectl logs` of the pod.)") if said is not None else None


def _killed(ended: Ended, events: Events) -> Trouble | None:
    """Give the probe because of which kubelet has ended a container, if it has."""
    killing = _newest(events, _KILLING, ended.started_at)
    if killing is None or " probe" not in killing.note:
        return None
    probe = "Startup" if "startup probe" in killing.note else "Liveness"
    said = _failed_probe(events, (probe,), ended.started_at) or f"{probe} probe failed."
    return Trouble(
        Reason.PROBE_FAILING, f"The container was restarted. {said} (See `kubectl logs --previous` of the pod.)"
    )


def _unmade(events: Events, since: float) -> Trouble | None:
    """Give why the pod's volumes or its sandbox cannot be made."""
    failed = _newest(events, MOUNT_REASONS | SANDBOX_REASONS, since)
    if failed is None:
        return None
    if OOM_MARK in failed.note:
        return no_memory()
    what = f"{failed.reason}: {steady(failed.note)}"
    if failed.reason in MOUNT_REASONS:
        return Trouble(Reason.MOUNT_FAILED, f"{what} (Create what is missing; kubelet tries again by itself.)")
    return Trouble(Reason.SANDBOX_FAILED, f"{what} (Have the node's container runtime and network looked at.)")


def _slow_start(pod: PodRecord, events: Events) -> Trouble:
    if pod.running:
        said = _failed_probe(events, ("Startup",), pod.since) or "The startup probe has not succeeded yet."
    elif (pulling := _newest(events, _PULLING, pod.since)) is not None:
        said = f"{steady(pulling.note)}."
    else:
        said = "Its node has not made its container yet."
    return Trouble(
        Reason.STARTING_SLOWLY,
        f"A pod takes longer than {SLOW_START_SECONDS:g} s to start. {said} (See `kubectl describe` of the pod.)",
    )


def _failed_probe(events: Events, probes: tuple[str, ...], since: float) -> str | None:
    """Give what kubelet said last of a probe that failed."""
    of_probes = (event for event in events if steady(event.note).startswith(probes))
    failed = _newest(of_probes, _PROBE_FAILED, since)
    return f"{steady_probe(failed.note)}." if failed is not None else None


def _newest(events: Iterable[PodEvent], reasons: frozenset[str], since: float) -> PodEvent | None:
    """Give the newest event of these reasons that is not older than `since`.

    "Unable to attach or mount volumes: …: timed out" only follows from another one, and comes after it here.
    """
    fitting = [event for event in events if event.reason in reasons and event.at >= since]
    return max(fitting, key=lambda event: (not event.note.startswith("Unable to"), event.at), default=None)
