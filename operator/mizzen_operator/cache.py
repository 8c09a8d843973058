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
from mizzen_operator.records import AgentRecord, ChildRecord, PodRecord, Record, ReplicaSetRecord

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


class Cache:
    """Records by agent."""

    def __init__(self) -> None:
        self._families: dict[Key, dict[Name, Record]] = {}
        self._listings = 0
        self._gone: set[str] = set()
        """Uids deleted while a list is being read: the list may still show them."""

    def put(self, record: Record) -> bool:
        """Remember an object.

        Returns:
            Whether it says anything new: False for an echo, for an older version, and for a version that changed
            only what nobody here looks at.
        """
        if record.uid in self._gone:
            return False
        family = self._families.setdefault(record.key, {})
        known = family.get((record.kind, record.name))
        if known is not None and known.uid == record.uid and known.version >= record.version:
            return False
        family[record.kind, record.name] = record
        return known is None or dataclasses.replace(known, version=record.version) != record

    def remove(self, record: Record) -> bool:
        """Forget an object that was deleted. Returns whether it was known."""
        if self._listings:
            self._gone.add(record.uid)
        family = self._families.get(record.key, {})
        known = family.get((record.kind, record.name))
        if known is None or known.uid != record.uid:
            return False
        del family[record.kind, record.name]
        if not family:
            del self._families[record.key]
        return True

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
    def listing(self) -> Iterator[None]:
        """While a list is read: what is deleted meanwhile stays deleted, even if the list still shows it."""
        self._listings += 1
        try:
            yield
        finally:
            self._listings -= 1
            if not self._listings:
                self._gone.clear()

    def retain(self, kind: Kind, namespace: str | None, listed: Collection[str], version: int) -> list[Record]:
        """Forget what a complete list did not show, unless it is newer than the list.

        Args:
            kind: What was listed.
            namespace: Where; None for everywhere.
            listed: The uids that the list showed.
            version: Resource version of the list.

        Returns:
            What was forgotten.
        """
        missing = [
            record for record in self.records(kind, namespace) if record.uid not in listed and record.version <= version
        ]
        return [record for record in missing if self.remove(record)]
