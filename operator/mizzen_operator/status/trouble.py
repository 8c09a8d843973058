"""What keeps the pods of a revision from serving: one trouble, told with the remedy."""

from collections.abc import Collection, Mapping

from mizzen_api.conditions import Reason
from mizzen_operator.records import PodEvent, PodRecord, Rollout
from mizzen_operator.status.pod_events import age, seconds_until_slow, told_by_events
from mizzen_operator.status.pod_status import Trouble, eviction, told_by_status
from mizzen_operator.status.wording import pod_refusal_remedy, steady_refusal

EVICTION_SECONDS = 600.0
"""How long an eviction is news: a pod that has failed stays in the cluster for long."""

ORDER = (
    Reason.CONTRACT_MISMATCH,
    Reason.CONFIG_INVALID,
    Reason.MOUNT_FAILED,
    Reason.IMAGE_UNAVAILABLE,
    Reason.OOM_KILLED,
    Reason.POD_FAILING,
    Reason.PROBE_FAILING,
    Reason.SANDBOX_FAILED,
    Reason.UNSCHEDULABLE,
    Reason.NODE_NOT_READY,
    Reason.EVICTED,
    Reason.STARTING_SLOWLY,
)
"""Of several pods' troubles the first one is told: what the author can mend comes before what the cluster can."""


def find_trouble(
    pods: Collection[PodRecord],
    rollout: Rollout | None,
    events: Mapping[str, tuple[PodEvent, ...]],
    now: float,
) -> Trouble | None:
    """Give the trouble of a revision, or None.

    Args:
        pods: Those of the revision, with the ones that have failed.
        rollout: The Deployment, if there is one.
        events: By a pod's uid: its Events, as far as they were read.
        now: The time, in seconds since the epoch.
    """
    troubles = [trouble for pod in pods if (trouble := _of_pod(pod, events.get(pod.uid, ()), now)) is not None]
    troubles += [eviction(pod.failed) for pod in _news(pods, now) if pod.failed is not None]
    if troubles:
        return min(troubles, key=lambda trouble: (trouble.vague, ORDER.index(trouble.reason), trouble.message))
    if rollout is not None and rollout.refusal is not None:
        refusal = rollout.refusal
        return Trouble(Reason.POD_REFUSED, f"{steady_refusal(refusal)} ({pod_refusal_remedy(refusal)})")
    return None


def seconds_until_news(pods: Collection[PodRecord], now: float) -> float | None:
    """Give the seconds until time alone changes what `find_trouble` says; None if it does not."""
    times = [seconds for pod in pods if (seconds := seconds_until_slow(pod, now)) is not None]
    times += [EVICTION_SECONDS - age(pod, now) for pod in _news(pods, now)]
    return min(times, default=None)


def _of_pod(pod: PodRecord, events: tuple[PodEvent, ...], now: float) -> Trouble | None:
    if pod.ready or pod.leaving:
        return None
    return told_by_events(pod, events, now) or told_by_status(pod)


def _news(pods: Collection[PodRecord], now: float) -> list[PodRecord]:
    """Give the pods that failed as a whole not long ago, and were not replaced by one that became ready since."""
    ready = max((pod.since for pod in pods if pod.ready), default=0.0)
    return [pod for pod in pods if pod.failed is not None and pod.since > ready and age(pod, now) < EVICTION_SECONDS]
