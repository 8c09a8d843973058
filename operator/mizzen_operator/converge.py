"""Makes an agent's children what they are desired to be: gather -> plan -> apply. Reports nothing."""

import dataclasses
import logging
import re
from collections.abc import Callable

from mizzen_api.conditions import Reason
from mizzen_operator.cache import Cache, Observed
from mizzen_operator.cluster.errors import (
    ClusterError,
    ConflictError,
    ForbiddenError,
    NamespaceTerminatingError,
    NotFoundError,
    RejectedError,
    UnavailableError,
)
from mizzen_operator.cluster.port import Cluster
from mizzen_operator.desired import Desired
from mizzen_operator.errors import TryAgainError, WaitForError
from mizzen_operator.keys import Key
from mizzen_operator.kinds import Kind, kind_named
from mizzen_operator.memory import Memory
from mizzen_operator.plan import Action, Create, Delete, Update, conflicts, is_left_over, overruled_by, plan
from mizzen_operator.records import AgentRecord, ChildRecord, agent_record, child_record
from mizzen_operator.resource import StoredResource
from mizzen_operator.status.events import EventRecorder, Happening
from mizzen_operator.status.wording import refusal_remedy, steady_refusal

REFUSED_SECONDS = 60.0
"""When to try again what admission refused: nobody tells that a quota was raised."""
REJECTED_SECONDS = 600.0
"""When to try again what was not acceptable: most often only the resource's author can help, but not always."""
CONFLICT_SECONDS = 30.0
"""When to look again at an object that is not ours: it is not watched."""
_POLICIES = ('admission webhook "', "ValidatingAdmissionPolicy '")
"""How a policy's refusal is told, which may come as 400, 403 or 422."""
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|\d+(\.\d+){3})(:\d+)?")

_log = logging.getLogger(__name__)


class Converger:
    """Writes the children of one agent at a time; several tasks may use it for different agents."""

    def __init__(self, cluster: Cluster, cache: Cache, events: EventRecorder, *, again: Callable[[Key], None]) -> None:
        """Bind what it needs.

        Args:
            cluster: Where objects are written.
            cache: What is known; answers to writes are put into it.
            events: Where changes are told.
            again: Told of an agent that has changed while it was worked on: the watch's news of it comes too late to be
                news.
        """
        self._cluster = cluster
        self._cache = cache
        self._events = events
        self._again = again
        self._memories: dict[Key, Memory] = {}

    def forget(self, key: Key) -> None:
        """Forget what was learnt about an agent that is gone."""
        self._memories.pop(key, None)

    async def converge(self, record: AgentRecord, desired: Desired, stored: StoredResource) -> None:
        """Make the children what they are desired to be, as far as that is possible now.

        Args:
            record: The resource.
            desired: Its children.
            stored: What was reported on it last.

        Raises:
            ReconcileError: Something is in the way.
            ClusterError: A call failed; trying again may help.
        """
        observed = await self._gather(record, desired)
        memory = self._memory(record, observed)
        foreign = conflicts(desired, observed, record.uid, memory.ours)
        if foreign:
            raise _conflict(foreign)
        actions = plan(desired, observed, record.uid, memory.overruled.values())
        reported = stored.status.observed_generation == stored.generation
        if reported and any(isinstance(action, Create) for action in actions) and not await self.is_there(record):
            return
        # The Deployment comes last: where it has the revision, all other children were there. What is missing or
        # different before was not changed by anybody, it was never made.
        current = stored.status.candidate_revision or stored.status.stable_revision
        was_applied = reported and desired.revision.name == current
        for action in actions:
            await self._perform(record, action, memory)
            if was_applied and (happening := _put_back(record.name, action)) is not None:
                await self._events.tell(record, happening)
        deployment = self._cache.observe(record.key).child(Kind.DEPLOYMENT, record.name)
        if (happening := _restarted(deployment, memory)) is not None:
            await self._events.tell(record, happening)

    def _memory(self, record: AgentRecord, observed: Observed) -> Memory:
        """Give what is remembered of an agent's children, with those that are seen now."""
        memory = self._memories.get(record.key)
        if memory is None or memory.agent_uid != record.uid:
            memory = self._memories[record.key] = Memory(record.uid)
        there = {child.uid for child in observed.children}
        owned = {child.uid for child in observed.children if child.owner is not None and child.owner.uid == record.uid}
        memory.ours = (memory.ours & there) | owned
        memory.overruled = {uid: overruled for uid, overruled in memory.overruled.items() if uid in there}
        return memory

    async def is_there(self, record: AgentRecord) -> bool:
        """Read the resource itself: children that are missing may have gone with it, unnoticed by the watch."""
        raw = await self._cluster.get(Kind.AGENT, record.key.namespace, record.name)
        current = agent_record(raw) if raw is not None else None
        if current is None or current.uid != record.uid:
            self._cache.remove(record.uid, record.version)
        if current is not None and self._cache.put(current):
            self._again(record.key)
        return current is not None and current.uid == record.uid and not current.deleting

    async def _gather(self, record: AgentRecord, desired: Desired) -> Observed:
        """Give what is known, after a live read of each desired child that is not.

        The read is what keeps a name from being taken over: what is not in the cache may be an object of somebody
        else, or one of ours that lost its label.
        """
        observed = self._cache.observe(record.key)
        unknown = []
        for manifest in desired.children:
            kind, name = kind_named(manifest["kind"]), manifest["metadata"]["name"]
            if observed.child(kind, name) is not None:
                continue
            raw = await self._cluster.get(kind, record.key.namespace, name)
            if raw is not None:
                child = child_record(kind, record.key, raw)
                unknown.append(child)
                if child.owner is not None and child.owner.uid == record.uid:
                    self._cache.put(child)
        return dataclasses.replace(observed, children=(*observed.children, *unknown))

    async def _perform(self, record: AgentRecord, action: Action, memory: Memory) -> None:
        try:
            if isinstance(action, Delete):
                await self._cluster.delete(action.child.kind, record.key.namespace, action.child.name, action.child.uid)
                self._cache.remove(action.child.uid, action.child.version)
                _log.info("%s: deleted %s %s", record.key, action.child.kind.kind_name, action.child.name)
                return
            raw = await self._cluster.apply(action.kind, action.manifest, force=isinstance(action, Update))
        except ClusterError as error:
            self._explain(record, action, error)
        else:
            child = child_record(action.kind, record.key, raw)
            self._cache.put(child)
            verb = "created" if isinstance(action, Create) else "updated"
            _log.info("%s: %s %s %s", record.key, verb, action.kind.kind_name, child.name)
            await self._remember(record, action, child, memory)

    async def _remember(self, record: AgentRecord, action: Create | Update, child: ChildRecord, memory: Memory) -> None:
        """Remember what came of an apply, and tell if it is not what was sent."""
        memory.ours.add(child.uid)
        memory.overruled.pop(child.uid, None)
        if (found := overruled_by(action.manifest, child)) is not None:
            path, memory.overruled[child.uid] = found
            note = f"{child.kind.kind_name} {child.name}: a policy or webhook changes {path}; it is left as it is."
            _log.warning("%s: %s", record.key, note)
            await self._events.tell(record, Happening("Warning", "Overruled", "Overrule", note))

    def _explain(self, record: AgentRecord, action: Action, error: ClusterError) -> None:
        """Raise what a failed write means for the agent."""
        kind, name = _named(action)
        if isinstance(error, ConflictError | NotFoundError):
            # What was known is wrong: the next attempt reads the object itself.
            known = self._cache.observe(record.key).child(kind, name)
            if known is not None:
                self._cache.forget(known)
        if isinstance(error, NamespaceTerminatingError):
            raise error
        by_policy = any(mark in str(error) for mark in _POLICIES)
        if isinstance(error, RejectedError) and not by_policy:
            raise WaitForError(
                Reason.INVALID_SPEC,
                f"{kind.kind_name} {name} was rejected: {error} (Correct the field in spec.pod.)",
                REJECTED_SECONDS,
            ) from error
        if isinstance(error, ForbiddenError | RejectedError):
            raise WaitForError(
                Reason.POD_REFUSED,
                f"{kind.kind_name} {name} was refused: {steady_refusal(str(error))} ({refusal_remedy(str(error))})",
                REFUSED_SECONDS,
            ) from error
        raise try_again(f"{kind.kind_name} {name} could not be written", error) from error


def _conflict(foreign: tuple[ChildRecord, ...]) -> WaitForError:
    if all(is_left_over(child) for child in foreign):
        message = "The objects of an earlier AgentDeployment of this name are still being removed."
    else:
        names = ", ".join(f"{child.kind.kind_name} {child.name}" for child in foreign if not is_left_over(child))
        message = (
            f"{names} is there already and does not belong to this AgentDeployment; delete or rename one of the two "
            "(what `kubectl delete --cascade=orphan` has left of an earlier one is to be deleted)"
        )
    return WaitForError(Reason.NAME_CONFLICT, message, CONFLICT_SECONDS)


def try_again(what: str, error: ClusterError) -> TryAgainError:
    """Give the error for a call that failed in a way that may pass."""
    message = _ADDRESS.sub("(address)", str(error))  # it changes with each attempt, and would change the status
    retry_after = error.retry_after if isinstance(error, UnavailableError) else None
    return TryAgainError(Reason.WRITE_FAILED, f"{what}: {message} (The operator goes on trying.)", retry_after)


def _named(action: Action) -> tuple[Kind, str]:
    if isinstance(action, Delete):
        return action.child.kind, action.child.name
    return action.kind, action.manifest["metadata"]["name"]


def _put_back(agent: str, action: Action) -> Happening | None:
    """Tell of what somebody else had changed or taken away, and where it is to be changed instead."""
    kind, name = _named(action)
    if isinstance(action, Update) and action.put_back is not None:
        note = f"{kind.kind_name} {name}: {action.put_back} was changed, and put back."
        return Happening("Normal", "PutBack", "Apply", note + _instead(agent, kind, action.put_back))
    if isinstance(action, Create):
        return Happening("Normal", "PutBack", "Apply", f"{kind.kind_name} {name} was missing, and made again.")
    return None


def _instead(agent: str, kind: Kind, path: str) -> str:
    """Give the way to what somebody may have wanted by changing a field of a child."""
    if kind is not Kind.DEPLOYMENT:
        return ""
    if path == "spec.replicas":
        return f" Scale the agent instead: kubectl scale agd/{agent} --replicas=N"
    if path.startswith("spec.template"):
        return f" What runs is what the agent's spec says: kubectl edit agd/{agent}"
    return ""


def _restarted(deployment: ChildRecord | None, memory: Memory) -> Happening | None:
    """Tell of a `kubectl rollout restart` that was not seen before; the restarts seen at first are old."""
    if deployment is None or deployment.rollout is None:
        return None
    now = deployment.rollout.restarted_at
    before = memory.restarts.get(deployment.uid, now)
    memory.restarts = {deployment.uid: now}
    if now is None or now == before:
        return None
    note = f"Deployment {deployment.name}: new pods of the same revision replace the old ones, as asked at {now}."
    return Happening("Normal", "Restarted", "Restart", note)
