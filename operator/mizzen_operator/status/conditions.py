"""The only place that computes conditions: a function of what was observed."""

from collections.abc import Mapping
from dataclasses import dataclass

from mizzen_api.conditions import Condition, ConditionType, Reason
from mizzen_operator.errors import ReconcileError
from mizzen_operator.plan import is_settled
from mizzen_operator.records import PodEvent, PodRecord, Rollout
from mizzen_operator.status.pod_report import Heard, can_be_asked
from mizzen_operator.status.pod_status import Trouble
from mizzen_operator.status.reported import Reported
from mizzen_operator.status.trouble import find_trouble, seconds_until_news
from mizzen_operator.status.verdict import Verdict, said

MAX_MESSAGE = 32768
_OF_CONFIGURATION = frozenset(
    {Reason.INVALID_SPEC, Reason.CONFIG_INVALID, Reason.CONTRACT_MISMATCH, Reason.MOUNT_FAILED}
)
"""Troubles that are about the configuration and what it refers to."""
_MAY_PASS = frozenset({Reason.STARTING_SLOWLY})
"""Troubles with which a rollout still goes on."""
_REASONS = {reason.value: reason for reason in Reason}
_TYPES = {kind.value: kind for kind in ConditionType}


@dataclass(frozen=True)
class Situation:
    """What the conditions are computed from: nothing else, so that the same observation gives the same words."""

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
    events: Mapping[str, tuple[PodEvent, ...]]
    """By a pod's uid: its Events, as far as they were read."""
    heard: Mapping[str, Heard]
    """By a pod's uid: what it says of itself, as far as it was read."""
    before: Mapping[ConditionType, Verdict]
    """The conditions that the status has so far."""
    now: float
    """When all this was so, in seconds since the epoch."""

    def revision_pods(self) -> tuple[PodRecord, ...]:
        """Give the pods of the desired revision that still count."""
        return tuple(pod for pod in self._of_revision() if not pod.leaving)

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
        return find_trouble(self._of_revision(), self.rollout, self.events, self.now)

    def stable_trouble(self) -> Trouble | None:
        """Give what is in the way of the pods that are to serve until those of the desired revision do."""
        return find_trouble(self._stable_pods(), None, self.events, self.now)

    def reported(self) -> Reported:
        """Give what the pods of all revisions say of themselves."""
        return Reported([self.heard.get(pod.uid) for pod in self.pods if can_be_asked(pod)], self.before)

    def serves_earlier_revision_only(self) -> bool:
        """Tell whether pods are ready and all of them are of other revisions than the desired one."""
        ready = {pod.revision for pod in self.pods if pod.ready and not pod.leaving}
        return bool(ready) and self.revision not in ready

    def seconds_until_news(self) -> float | None:
        """Give the seconds until time alone changes what is said; None if it does not."""
        return seconds_until_news(self.pods_in_question(), self.now)

    def pods_in_question(self) -> tuple[PodRecord, ...]:
        """Give the pods whose trouble is told: none if all is well, those that served before if nothing serves."""
        if self.is_rolled_out():
            return ()
        serves = self.rollout is not None and self.rollout.ready > 0
        return self._of_revision() if serves else (*self._of_revision(), *self._stable_pods())

    def _of_revision(self) -> tuple[PodRecord, ...]:
        return tuple(pod for pod in self.pods if pod.revision == self.revision)

    def _stable_pods(self) -> tuple[PodRecord, ...]:
        """Give the pods of the revision that served last, if it is another one than the desired."""
        return tuple(pod for pod in self.pods if pod.revision == self.stable_revision != self.revision)


def judge(situation: Situation) -> dict[ConditionType, Verdict]:
    """Give all conditions of an agent."""
    trouble, reported = situation.trouble(), situation.reported()
    return {
        ConditionType.AVAILABLE: _available(situation, trouble),
        ConditionType.READY: _ready(situation, trouble),
        ConditionType.PROGRESSING: _progressing(situation, trouble),
        ConditionType.CONFIG_RESOLVED: _config_resolved(situation, trouble, reported),
        ConditionType.HEALTHY: reported.health() or _unreported(situation),
        ConditionType.SECURE: reported.security() or _unreported(situation),
    }


def verdicts_of(conditions: tuple[Condition, ...]) -> dict[ConditionType, Verdict]:
    """Give what a status says, as far as this release knows the words."""
    return {
        _TYPES[condition.type]: Verdict(condition.status, _REASONS[condition.reason], condition.message)
        for condition in conditions
        if condition.type in _TYPES and condition.reason in _REASONS
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
        earlier = trouble is not None and situation.serves_earlier_revision_only()
        return said("True", Reason.EARLIER_REVISION_SERVES if earlier else Reason.AVAILABLE)
    if situation.replicas == 0 and situation.failure is None:
        return said("False", Reason.SCALED_TO_ZERO)
    return _blocked(situation.stable_trouble()) or _blocked(trouble) or said("False", Reason.NO_POD_READY)


def _ready(situation: Situation, trouble: Trouble | None) -> Verdict:
    if situation.is_rolled_out():
        return said("True", Reason.SCALED_TO_ZERO if situation.replicas == 0 else Reason.READY)
    return _blocked(trouble) or said("False", _unfinished(situation))


def _progressing(situation: Situation, trouble: Trouble | None) -> Verdict:
    if situation.is_rolled_out():
        return said("False", Reason.ROLLED_OUT)
    if trouble is None and _unfinished(situation) is Reason.NO_POD_READY:
        return said("False", Reason.NO_POD_READY)
    if trouble is not None:
        return Verdict("True" if trouble.reason in _MAY_PASS else "False", trouble.reason, trouble.message)
    return said("True", _unfinished(situation))


def _unfinished(situation: Situation) -> Reason:
    """Tell a rollout that goes on from one that was complete until its pods became fewer, more, or not ready."""
    pods = situation.revision_pods()
    was_complete = situation.revision is not None and situation.revision == situation.stable_revision
    if not was_complete:
        return Reason.ROLLING_OUT
    if len(pods) >= situation.replicas > 0 and all(pod.started and not pod.ready for pod in pods):
        return Reason.NO_POD_READY
    return Reason.SCALING if situation.is_of_one_revision() else Reason.ROLLING_OUT


def _config_resolved(situation: Situation, trouble: Trouble | None, reported: Reported) -> Verdict:
    if trouble is not None and trouble.reason in _OF_CONFIGURATION:
        return Verdict("False", trouble.reason, trouble.message)
    if (failures := reported.reload_failures()) is not None:
        return failures
    if situation.revision is None:
        return said("Unknown", Reason.NOT_YET_KNOWN)
    if any(pod.ready or pod.started for pod in situation.revision_pods()):
        return said("True", Reason.RESOLVED)
    if situation.replicas == 0:
        return said("Unknown", Reason.SCALED_TO_ZERO)
    return said("Unknown", Reason.NOT_YET_KNOWN)


def _blocked(trouble: Trouble | None) -> Verdict | None:
    return None if trouble is None else Verdict("False", trouble.reason, trouble.message)


def _unreported(situation: Situation) -> Verdict:
    return said("Unknown", Reason.SCALED_TO_ZERO if situation.replicas == 0 else Reason.NO_REPORT)
