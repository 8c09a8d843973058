"""Kubernetes Events: what `kubectl describe` shows below an AgentDeployment.

An event tells of a change, not of a state: it is made when Ready says something else, and when something was put
back. The newest event tells what is the case now: words are left out only if the same were the last ones about the
agent, less than an hour ago, or if the agent has had its share of events.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

from mizzen_api.agentdeployment import AgentDeploymentStatus
from mizzen_api.conditions import Condition, ConditionType, Reason
from mizzen_api.names import API_VERSION, GROUP, KIND
from mizzen_operator.cluster.errors import ClusterError
from mizzen_operator.cluster.port import Cluster
from mizzen_operator.records import AgentRecord

QUIET_SECONDS = 3600.0
SHARE = 25
"""Events that an agent may have at once; as in the recorder of Kubernetes' own controllers."""
SHARE_SECONDS = 300.0
"""How long it takes until an agent that had its share may have one more."""
_REMEMBERED = 4096
_NOTE_LENGTH = 1024
"""What the API server lets a note be."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Happening:
    """One thing to tell."""

    type: Literal["Normal", "Warning"]
    reason: str
    action: str
    """What the operator was doing."""
    note: str


@dataclass
class _Told:
    """What was told about one agent."""

    share: float
    """Events that it may still have."""
    at: float
    """When that was so."""
    last: dict[str, tuple[Happening, float]]
    """The last words by what the operator was doing, and when they were told."""


class EventRecorder:
    """Makes Events; one that cannot be made is logged and forgotten, since nothing depends on it."""

    def __init__(
        self, cluster: Cluster, clock: Callable[[], float], now: Callable[[], datetime], instance: str
    ) -> None:
        """Make events through `cluster`.

        Args:
            cluster: Where they go.
            clock: Seconds that never go back.
            now: The time of day, with its zone.
            instance: Name of this process, such as its pod's.
        """
        self._cluster = cluster
        self._clock = clock
        self._now = now
        self._instance = instance
        self._told: OrderedDict[str, _Told] = OrderedDict()

    async def tell(self, agent: AgentRecord, happening: Happening) -> None:
        """Make an event about an agent, unless the same was told last, or too much was told."""
        if not self._is_due(agent.uid, happening, self._clock()):
            return
        try:
            await self._cluster.create_event(agent.key.namespace, self._event(agent, happening))
        except ClusterError as error:
            _log.warning("an event about %s could not be made: %s", agent.key, error)

    def _is_due(self, uid: str, happening: Happening, now: float) -> bool:
        told = self._told.setdefault(uid, _Told(SHARE, now, {}))
        self._told.move_to_end(uid)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        told.share, told.at = min(SHARE, told.share + (now - told.at) / SHARE_SECONDS), now
        last, when = told.last.get(happening.action, (None, now))
        if told.share < 1 or (last == happening and now - when < QUIET_SECONDS):
            return False
        told.share -= 1
        told.last[happening.action] = (happening, now)
        return True

    def _event(self, agent: AgentRecord, happening: Happening) -> Mapping[str, Any]:
        note = happening.note if len(happening.note) <= _NOTE_LENGTH else f"{happening.note[: _NOTE_LENGTH - 1]}…"
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{agent.name}.{uuid4().hex[:16]}", "namespace": agent.key.namespace},
            "eventTime": self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": f"{GROUP}/operator",
            "reportingInstance": self._instance,
            "type": happening.type,
            "reason": happening.reason,
            "action": happening.action,
            "note": note,
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": agent.name,
                "namespace": agent.key.namespace,
                "uid": agent.uid,
            },
        }


def happenings(before: AgentDeploymentStatus, after: AgentDeploymentStatus) -> tuple[Happening, ...]:
    """Give what the change of a status is worth telling: what Ready says now, and a revision that begins to roll."""
    told = []
    was, now = _ready(before), _ready(after)
    if now is not None and (was is None or (was.reason, was.message) != (now.reason, now.message)):
        good = now.status == "True" or now.reason in {Reason.ROLLING_OUT, Reason.SCALING}
        told.append(Happening("Normal" if good else "Warning", now.reason, "Reconcile", now.message))
    candidate = after.candidate_revision
    if candidate is not None and candidate not in {before.candidate_revision, before.stable_revision}:
        told.append(Happening("Normal", "RevisionCreated", "Apply", f"Revision {candidate} is being rolled out."))
    return tuple(told)


def _ready(status: AgentDeploymentStatus) -> Condition | None:
    return next((condition for condition in status.conditions if condition.type == ConditionType.READY), None)
