"""What keeps the pods of a revision from serving, told with the remedy.

Messages leave out whatever changes by itself (names of pods, counters, times): a status that is written because a
message changed wakes the operator again.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from mizzen_api.conditions import Reason
from mizzen_api.contract import CONTRACT_VERSION, FailureKind, StartFailure, contract_version_of
from mizzen_api.problems import join_problems
from mizzen_operator.records import Ended, PodRecord, Rollout, Waiting

IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
    }
)
CONFIG_REASONS = frozenset({"CreateContainerConfigError"})
FAILING_REASONS = frozenset({"CreateContainerError", "RunContainerError", "PostStartHookError", "PreStartHookError"})

_REASONS: dict[FailureKind, Reason] = {
    "Configuration": Reason.CONFIG_INVALID,
    "Contract": Reason.CONTRACT_MISMATCH,
    "Fault": Reason.POD_FAILING,
}
_KILLED = 137
_MESSAGE_LENGTH = 1024


@dataclass(frozen=True)
class Trouble:
    """Why pods do not serve."""

    reason: Reason
    message: str


_ORDER = (
    Reason.CONTRACT_MISMATCH,
    Reason.CONFIG_INVALID,
    Reason.IMAGE_UNAVAILABLE,
    Reason.POD_FAILING,
    Reason.UNSCHEDULABLE,
)
"""Of several pods' troubles the first one is told: what the author can mend comes before what the cluster can."""


def find_trouble(pods: Iterable[PodRecord], rollout: Rollout | None) -> Trouble | None:
    """Give the trouble of a revision, or None.

    Args:
        pods: Those of the revision.
        rollout: The Deployment, if there is one.
    """
    troubles = [trouble for pod in pods if not pod.ready and (trouble := _pod_trouble(pod)) is not None]
    if troubles:
        return min(troubles, key=lambda trouble: (_ORDER.index(trouble.reason), trouble.message))
    if rollout is not None and rollout.refusal is not None:
        return Trouble(Reason.POD_REFUSED, f"{_without_pod_name(rollout.refusal)} {_refused_remedy(rollout.refusal)}")
    return None


def _refused_remedy(refusal: str) -> str:
    if "exceeded quota" in refusal:
        return "(Raise the quota, or ask for less in spec.pod.resources and spec.replicas.)"
    if "serviceaccount" in refusal:
        return "(Create the service account, or correct spec.pod.serviceAccountName.)"
    return "(Correct spec.pod, or have the policy of the cluster or the namespace loosened.)"


def _pod_trouble(pod: PodRecord) -> Trouble | None:
    if pod.started:
        return None
    if pod.ended is not None and (trouble := _last_words(pod.ended.message)) is not None:
        return trouble
    if pod.waiting is not None and (trouble := _waiting_trouble(pod.waiting)) is not None:
        return trouble
    if pod.ended is not None:
        return Trouble(Reason.POD_FAILING, _ended_text(pod.ended))
    if pod.unschedulable is not None:
        return Trouble(
            Reason.UNSCHEDULABLE,
            f"No node can take the pod: {pod.unschedulable} (Add nodes, or correct spec.pod.resources, "
            "spec.pod.nodeSelector, spec.pod.tolerations or spec.pod.affinity.)",
        )
    return None


def _last_words(message: str) -> Trouble | None:
    """Tell what a runtime that did not start has said; None if the message is something else."""
    version = contract_version_of(message)
    if version is not None and version != CONTRACT_VERSION:
        return Trouble(Reason.CONTRACT_MISMATCH, _contract_mismatch(version))
    try:
        failure = StartFailure.model_validate_json(message)
    except ValidationError:
        return None
    return Trouble(_REASONS[failure.kind], _start_failure_text(failure))


def _contract_mismatch(version: int) -> str:
    newer = version > CONTRACT_VERSION
    remedy = "Upgrade the operator, or build" if newer else "Build"
    return (
        f"The runtime in the image is {'newer' if newer else 'older'} than the operator: it speaks version {version} "
        f"of the contract between them, the operator version {CONTRACT_VERSION}. ({remedy} the image on the runtime "
        "of the operator's release.)"
    )


def _start_failure_text(failure: StartFailure) -> str:
    text = join_problems(failure.problems)
    if failure.omitted:
        text += f". {failure.omitted} more: see the pod's log"
    return text


def _waiting_trouble(waiting: Waiting) -> Trouble | None:
    if waiting.reason in IMAGE_REASONS:
        detail = waiting.message.rpartition("ErrImagePull: ")[2] or waiting.reason
        return Trouble(
            Reason.IMAGE_UNAVAILABLE,
            f"{_told_reason(waiting.reason)}: {_shortened(detail)} (Correct spec.pod.image, or give the registry's "
            "credentials in spec.pod.imagePullSecrets.)",
        )
    if waiting.reason in CONFIG_REASONS:
        return Trouble(
            Reason.CONFIG_INVALID,
            f"{waiting.reason}: {_shortened(waiting.message)} (Create it, or correct spec.pod.env.)",
        )
    if waiting.reason in FAILING_REASONS:
        return Trouble(
            Reason.POD_FAILING,
            f"{waiting.reason}: {_shortened(waiting.message)} (Does the image build on Mizzen's runtime?)",
        )
    return None


def _told_reason(reason: str) -> str:
    """Give one name to a pull that fails and a pull that waits after it failed: a pod alternates between them."""
    return "ErrImagePull" if reason == "ImagePullBackOff" else reason


def _ended_text(ended: Ended) -> str:
    if ended.reason == "OOMKilled":
        return "OOMKilled: the container took more memory than it may. (Raise spec.pod.resources.limits.memory.)"
    text = f"The container ended with exit code {ended.exit_code}"
    if ended.reason and ended.reason not in {"Error", "Completed"}:
        text += f" ({ended.reason})"
    if ended.exit_code == _KILLED:
        text += ", killed from outside: most often since a startup or liveness probe failed"
    if ended.message:
        text += f": {_shortened(ended.message)}"
    return f"{text} (See `kubectl logs --previous`.)"


def _shortened(message: str) -> str:
    # A failed connection names the port that it came from, another one at each attempt: `10.0.0.2:54817->10.0.0.1:53`.
    text = re.sub(r"\S+:\d+->", "", " ".join(message.split()))
    return text if len(text) <= _MESSAGE_LENGTH else f"{text[:_MESSAGE_LENGTH]}…"


def _without_pod_name(message: str) -> str:
    """`pods "x-5d8-abcde" is forbidden: …` names another pod at each attempt."""
    return re.sub(r'^pods? "[^"]*" (is )?', "Pods: ", message)
