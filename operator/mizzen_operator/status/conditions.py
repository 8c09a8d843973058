"""The only place that computes conditions: a function of what was observed."""

from collections.abc import Mapping
from dataclasses import dataclass

from mizzen_api.conditions import SENTENCES, Condition, ConditionStatus, ConditionType, Reason
from mizzen_operator.errors import ReconcileError
from mizzen_operator.plan import is_settled
from mizzen_operator.records import PodRecord, Rollout
from mizzen_operator.status.trouble import Trouble, find_trouble

MAX_MESSAGE = 32768
_OF_CONFIGURATION = frozenset({Reason.CONFIG_INVALID, Reason.CONTRACT_MISMATCH, Reason.INVALID_SPEC})
"""What is in the way because the configuration is not, or cannot be, accepted."""


@dataclass(frozen=True)
class Situation:
    """What the conditions are computed from."""

    generation: int
    """Generation of the resource that was reconciled."""
    replicas: int
    """Pods asked for."""
    revision: str | None
    """Revision desired; None if the resource cannot be built."""
    runtime_image: str | None
    """What its pods run."""
    stable_revision: str | None
    """Revision that was last rolled out fully, as the status says so far."""
    failure: ReconcileError | None
    """What kept the desired objects from being applied."""
    rollout: Rollout | None
    """The Deployment, if there is one."""
    pods: tuple[PodRecord, ...]

    def revision_pods(self) -> tuple[PodRecord, ...]:
        """Give the pods of the desired revision that still count."""
        return tuple(pod for pod in self.pods if pod.revision == self.revision and not pod.leaving)

    def is_of_one_revision(self) -> bool:
        """Tell whether no other revision runs, nor is about to."""
        pods = all(pod.revision == self.revision for pod in self.pods if not pod.leaving)
        return pods and (self.rollout is None or self.rollout.revision == self.revision)

    def is_rolled_out(self) -> bool:
        """Tell whether all that was asked for is there and nothing else."""
        return (
            self.failure is None
            and self.rollout is not None
            and self.rollout.revision == self.revision
            and self.rollout.replicas == self.replicas
            and is_settled(self.rollout)
        )

    def trouble(self) -> Trouble | None:
        """Give what is in the way, if anything is."""
        if self.failure is not None:
            return Trouble(self.failure.reason, self.failure.message)
        if self.is_rolled_out():
            return None
        return find_trouble(self.revision_pods(), self.rollout)


@dataclass(frozen=True)
class Verdict:
    """A condition without its bookkeeping."""

    status: ConditionStatus
    reason: Reason
    message: str


def judge(situation: Situation) -> dict[ConditionType, Verdict]:
    """Give all conditions of an agent."""
    trouble = situation.trouble()
    return {
        ConditionType.AVAILABLE: _available(situation, trouble),
        ConditionType.READY: _ready(situation, trouble),
        ConditionType.PROGRESSING: _progressing(situation, trouble),
        ConditionType.CONFIG_RESOLVED: _config_resolved(situation, trouble),
    }


def conditions(
    verdicts: Mapping[ConditionType, Verdict], before: tuple[Condition, ...], generation: int, now: str
) -> tuple[Condition, ...]:
    """Give the conditions as they are written. The time of transition moves only when the status does.

    Args:
        verdicts: What was judged.
        before: The conditions that the resource has.
        generation: Generation that was judged.
        now: The time, RFC 3339.
    """
    known = {condition.type: condition for condition in before}
    return tuple(
        Condition(
            type=kind.value,
            status=verdict.status,
            observed_generation=generation,
            last_transition_time=_transition(known.get(kind.value), verdict, now),
            reason=verdict.reason.value,
            message=verdict.message[:MAX_MESSAGE],
        )
        for kind, verdict in verdicts.items()
    )


def _transition(before: Condition | None, verdict: Verdict, now: str) -> str:
    return before.last_transition_time if before is not None and before.status == verdict.status else now


def _available(situation: Situation, trouble: Trouble | None) -> Verdict:
    rollout = situation.rollout
    if rollout is not None and rollout.ready > 0:
        return _said("True", Reason.AVAILABLE)
    if situation.replicas == 0 and situation.failure is None:
        return _said("False", Reason.SCALED_TO_ZERO)
    return _blocked(trouble) or _said("False", Reason.NO_POD_READY)


def _ready(situation: Situation, trouble: Trouble | None) -> Verdict:
    if situation.is_rolled_out():
        return _said("True", Reason.SCALED_TO_ZERO if situation.replicas == 0 else Reason.READY)
    return _blocked(trouble) or _said("False", _unfinished(situation))


def _progressing(situation: Situation, trouble: Trouble | None) -> Verdict:
    if situation.is_rolled_out():
        return _said("False", Reason.ROLLED_OUT)
    if trouble is None and _unfinished(situation) is Reason.NO_POD_READY:
        return _said("False", Reason.NO_POD_READY)
    return _blocked(trouble) or _said("True", _unfinished(situation))


def _unfinished(situation: Situation) -> Reason:
    """Tell a rollout that goes on from one that was complete until its pods became fewer, more, or not ready."""
    pods = situation.revision_pods()
    was_complete = situation.revision is not None and situation.revision == situation.stable_revision
    if not was_complete:
        return Reason.ROLLING_OUT
    if len(pods) >= situation.replicas > 0 and all(pod.started and not pod.ready for pod in pods):
        return Reason.NO_POD_READY
    return Reason.SCALING if situation.is_of_one_revision() else Reason.ROLLING_OUT


def _config_resolved(situation: Situation, trouble: Trouble | None) -> Verdict:
    if situation.revision is None:
        return _blocked(trouble) or _said("Unknown", Reason.NOT_YET_KNOWN)
    if trouble is not None and trouble.reason in _OF_CONFIGURATION:
        return Verdict("False", trouble.reason, trouble.message)
    if any(pod.ready or pod.started for pod in situation.revision_pods()):
        return _said("True", Reason.RESOLVED)
    if situation.replicas == 0:
        return _said("Unknown", Reason.SCALED_TO_ZERO)
    return _said("Unknown", Reason.NOT_YET_KNOWN)


def _blocked(trouble: Trouble | None) -> Verdict | None:
    return None if trouble is None else Verdict("False", trouble.reason, trouble.message)


def _said(status: ConditionStatus, reason: Reason) -> Verdict:
    return Verdict(status, reason, SENTENCES[reason])
