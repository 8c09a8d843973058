"""What is known of the cluster, agent by agent.

The watches feed it, and so do the answers to the operator's own writes: a reconcile that follows a write sees it, even
if the watch is late. Newer versions win, whoever brings them first.
"""

import dataclasses
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mizzen_operator.keys import Key
from mizzen_operator.kinds import Kind
from mizzen_operator.records import AgentRecord, ChildRecord, PodRecord, Record, ReplicaSetRecord, Rollout

Name = tuple[Kind, str]


@dataclass(frozen=True)
class Observed:
    """All that is known about one agent at one moment."""

    agent: AgentRecord | None
    children: tuple[ChildRecord, ...] = ()
    replica_sets: tuple[ReplicaSetRecord, ...] = ()
    pods: tuple[PodRecord, ...] = ()

    def child(self, kind: Kind, name: str) -> ChildRecord | None:
        """Give the child of a kind and name, or None."""
        return next((child for child in self.children if (child.kind, child.name) == (kind, name)), None)

    def own_rollout(self, agent: AgentRecord) -> Rollout | None:
        """Give what the Deployment that an agent owns says about its pods, or None if there is none."""
        deployment = self.child(Kind.DEPLOYMENT, agent.name)
        is_own = deployment is not None and deployment.owner is not None and deployment.owner.uid == agent.uid
        return deployment.rollout if deployment is not None and is_own else None


class Cache:
    """Records by agent."""

    def __init__(self) -> None:
        self._families: dict[Key, dict[Name, Record]] = {}
        self._by_uid: dict[str, Record] = {}
        """The same records: an object whose label was edited is found where it was before."""
        self._gone: list[dict[str, int]] = []
        """For each `reading` that goes on: uids deleted meanwhile, with the version at which they were."""

    def put(self, record: Record) -> frozenset[Key]:
        """Remember an object.

        Returns:
            The agents about which it says anything new: none for an echo, for an older version, and for a version that
            changed only what nobody here looks at; two for an object that went from one to the other.
        """
        if any(gone.get(record.uid, -1) >= record.version for gone in self._gone):
            return frozenset()
        known = self._by_uid.get(record.uid)
        if known is not None and known.version >= record.version:
            return frozenset()
        before = self._families.get(record.key, {}).get((record.kind, record.name))
        for old in (known, before):
            self._drop(old)
        self._families.setdefault(record.key, {})[record.kind, record.name] = record
        self._by_uid[record.uid] = record
        if known is None:
            return frozenset({record.key})
        if dataclasses.replace(known, version=record.version) == record:
            return frozenset()
        return frozenset({known.key, record.key})

    def remove(self, uid: str, version: int) -> frozenset[Key]:
        """Remember that an object was deleted, or is no agent's any more.

        Args:
            uid: Whose.
            version: Resource version at which it was; a newer version is news again.

        Returns:
            The agent that had it, if any.
        """
        for gone in self._gone:
            gone[uid] = max(version, gone.get(uid, -1))
        known = self._by_uid.get(uid)
        self._drop(known)
        return frozenset({known.key} if known is not None else ())

    def forget(self, record: Record) -> None:
        """Know nothing of an object any more: what was known is wrong, and somebody is about to read it."""
        self._drop(self._by_uid.get(record.uid))

    def _drop(self, record: Record | None) -> None:
        if record is None or self._by_uid.pop(record.uid, None) is None:
            return
        family = self._families[record.key]
        del family[record.kind, record.name]
        if not family:
            del self._families[record.key]

    def observe(self, key: Key) -> Observed:
        """Give all that is known about an agent."""
        family = self._families.get(key, {})
        agent = family.get((Kind.AGENT, key.name))
        records = sorted(family.values(), key=lambda record: (record.kind.kind_name, record.name))
        return Observed(
            agent=agent if isinstance(agent, AgentRecord) else None,
            children=tuple(record for record in records if isinstance(record, ChildRecord)),
            replica_sets=tuple(record for record in records if isinstance(record, ReplicaSetRecord)),
            pods=tuple(record for record in records if isinstance(record, PodRecord)),
        )

    def records(self, kind: Kind, namespace: str | None) -> list[Record]:
        """Give every known object of a kind, in one namespace or in all (None)."""
        return [
            record
            for key, family in self._families.items()
            if namespace is None or key.namespace == namespace
            for record in family.values()
            if record.kind is kind
        ]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While answers are under way: what is deleted meanwhile stays deleted, even if an answer still shows it."""
        gone: dict[str, int] = {}
        self._gone.append(gone)
        try:
            yield
        finally:
            self._gone = [other for other in self._gone if other is not gone]

    def retain(self, kind: Kind, namespace: str | None, listed: Collection[str], version: int) -> frozenset[Key]:
        """Forget what a complete list did not show, unless it is newer than the list.

        Args:
            kind: What was listed.
            namespace: Where; None for everywhere.
            listed: The uids that the list showed.
            version: Resource version of the list.

        Returns:
            The agents that had it.
        """
        missing = [
            record for record in self.records(kind, namespace) if record.uid not in listed and record.version <= version
        ]
        return frozenset[Key]().union(*(self.remove(record.uid, version) for record in missing))
