"""What a pod's own status tells about its trouble: the runtime's last words, and kubelet's and the scheduler's."""

from dataclasses import dataclass

from pydantic import ValidationError

from mizzen_api.conditions import Reason
from mizzen_api.contract import CONTRACT_VERSION, FailureKind, StartFailure, contract_version_of
from mizzen_api.problems import join_problems
from mizzen_operator.records import Ended, PodRecord, Said
from mizzen_operator.status.wording import steady, steady_eviction, steady_schedule

IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
CONFIG_REASONS = frozenset({"CreateContainerConfigError"})
FAILING_REASONS = frozenset(
    {"CreateContainerError", "RunContainerError", "PreCreateHookError", "PreStartHookError", "PostStartHookError"}
)
_REASONS: dict[FailureKind, Reason] = {
    "Configuration": Reason.CONFIG_INVALID,
    "Contract": Reason.CONTRACT_MISMATCH,
    "Fault": Reason.POD_FAILING,
}
OOM_MARK = "OOM-killed"
"""How the container runtime tells that the memory does not even suffice for a container's first instructions."""
_KILLED = 137
_NOT_STARTED = frozenset({"StartError", "ContainerCannotRun"})
"""How a container ends that never ran: its program is not there, or none for this machine."""


@dataclass(frozen=True)
class Trouble:
    """Why pods do not serve."""

    reason: Reason
    message: str
    vague: bool = False
    """It says that something is wrong, and not what: any other trouble is told before it."""


def told_by_status(pod: PodRecord) -> Trouble | None:
    """Give what the status of a pod that does not serve says; None if it does not say why."""
    if pod.cut_off:
        return Trouble(
            Reason.NODE_NOT_READY,
            "The node of a pod no longer answers. (See `kubectl get nodes`; its pods are replaced after five minutes.)",
        )
    if pod.started:
        return None
    if pod.ended is not None and (trouble := _last_words(pod.ended.message)) is not None:
        return trouble
    if pod.waiting is not None and (trouble := _waiting(pod.waiting)) is not None:
        return trouble
    if pod.ended is not None:
        return _ended(pod.ended)
    return _unscheduled(pod.unschedulable) if pod.unschedulable is not None else None


def eviction(said: Said) -> Trouble:
    """Give the trouble of a pod that has failed as a whole."""
    return Trouble(
        Reason.EVICTED,
        f"{said.reason}: {steady_eviction(said.message)} (Correct spec.pod.resources, or give the nodes more room.)",
    )


def _last_words(message: str) -> Trouble | None:
    """Tell what a runtime that did not start has said; None if the message is something else."""
    version = contract_version_of(message)
    if version is not None and version != CONTRACT_VERSION:
        return Trouble(Reason.CONTRACT_MISMATCH, contract_mismatch(version))
    try:
        failure = StartFailure.model_validate_json(message)
    except ValidationError:
        return None
    return Trouble(_REASONS[failure.kind], _start_failure_text(failure))


def contract_mismatch(version: int) -> str:
    """Say that a runtime speaks another version of the contract than the operator, and what to do."""
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


def _waiting(waiting: Said) -> Trouble | None:
    if waiting.reason in IMAGE_REASONS:
        return _no_image(waiting)
    if waiting.reason in CONFIG_REASONS:
        return Trouble(
            Reason.CONFIG_INVALID,
            f"{waiting.reason}: {steady(waiting.message)} (Create it, or correct spec.pod.env.)",
        )
    if waiting.reason in FAILING_REASONS:
        return _no_start(waiting.message)
    return None


def _no_image(waiting: Said) -> Trouble:
    # A pod alternates between a pull that fails and the pause after it: both get one name, and the failure's words.
    reason = "ErrImagePull" if waiting.reason == "ImagePullBackOff" else waiting.reason
    detail = waiting.message.rpartition("ErrImagePull: ")[2] or waiting.reason
    return Trouble(
        Reason.IMAGE_UNAVAILABLE,
        f"{reason}: {steady(detail)} (Correct spec.pod.image, or give the registry's credentials in "
        "spec.pod.imagePullSecrets.)",
    )


def no_memory() -> Trouble:
    """Give the trouble of a container that the kernel killed, as far as that is known for sure."""
    return Trouble(
        Reason.OOM_KILLED,
        "The container took more memory than it may, and was killed. (Raise spec.pod.resources.limits.memory.)",
    )


def _no_start(message: str) -> Trouble:
    if OOM_MARK in message:
        return no_memory()
    # Without kubelet's word for it: it has one for the attempt that fails, and another for the pause after it.
    return Trouble(
        Reason.POD_FAILING,
        f"The container cannot be started: {steady(message)} (Does the image build on Mizzen's runtime?)",
    )


def _ended(ended: Ended) -> Trouble:
    if ended.reason == "OOMKilled":
        return no_memory()
    if ended.reason in _NOT_STARTED:
        return _no_start(ended.message)
    text = f"The container ended with exit code {ended.exit_code}"
    if ended.reason and ended.reason not in {"Error", "Completed"}:
        text += f" ({ended.reason})"
    remedy = "Does the image build on Mizzen's runtime, for the node's platform?"
    if ended.exit_code == _KILLED:
        # The container runtime may not know that it was for lack of memory: it learns of that by another way.
        text += ", killed from outside, most often for lack of memory"
        remedy = "If it was that, raise spec.pod.resources.limits.memory."
    text += f": {steady(ended.message)}" if ended.message else "."
    return Trouble(
        Reason.POD_FAILING,
        f"{text} (See `kubectl logs --previous` of the pod. {remedy})",
        vague=not ended.message,
    )


def _unscheduled(message: str) -> Trouble:
    return Trouble(
        Reason.UNSCHEDULABLE,
        f"No node can take the pod: {steady_schedule(message)} (Add nodes, or correct spec.pod.resources, "
        "spec.pod.nodeSelector, spec.pod.tolerations or spec.pod.affinity.)",
    )
