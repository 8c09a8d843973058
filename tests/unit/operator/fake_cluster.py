"""An API server in memory, as far as the operator asks one: uids, versions, generations and preconditions are real."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from copy import deepcopy
from typing import Any

from mizzen_operator.cluster.errors import ConflictError, NotFoundError
from mizzen_operator.cluster.port import Page, RawObject
from mizzen_operator.kinds import Kind, kind_named
from tests.unit.operator.builders import KEY, Object

Place = tuple[Kind, str, str]


class FakeCluster:
    """See `Cluster`. Failures and what other people do meanwhile are put in by the tests."""

    def __init__(self) -> None:
        self.objects: dict[Place, Object] = {}
        self.writes: list[str] = []
        """Each write as `verb Kind/name`."""
        self.events: list[Mapping[str, Any]] = []
        self.told: dict[str, list[Object]] = {}
        """By the uid of an object: what Events say about it."""
        self.asked: list[str] = []
        """The uids of which the Events were read, in order."""
        self.before: dict[str, Callable[[], None]] = {}
        """By write: what happens once, right before it; it may raise."""
        self.after: dict[str, Callable[[], None]] = {}
        """The same, when the answer is on its way."""
        self.failures: dict[str, Exception] = {}
        """By `verb Kind/name`: what the call raises each time."""
        self._versions = itertools.count(100)

    def store(self, kind: Kind, raw: Object) -> Object:
        """Put an object as it is, with a new version."""
        raw = deepcopy(raw)
        metadata = raw["metadata"]
        metadata["resourceVersion"] = str(next(self._versions))
        metadata.setdefault("uid", f"uid-{metadata['resourceVersion']}")
        self.objects[kind, metadata["namespace"], metadata["name"]] = raw
        return deepcopy(raw)

    def change(self, kind: Kind, name: str, change: Callable[[Object], None]) -> Object:
        """Do what a person with `kubectl edit` does: a changed spec counts a generation."""
        raw = deepcopy(self.objects[kind, "team", name])
        spec = deepcopy(raw.get("spec"))
        change(raw)
        if raw.get("spec") != spec:
            raw["metadata"]["generation"] = raw["metadata"].get("generation", 0) + 1
        return self.store(kind, raw)

    def take_away(self, kind: Kind, name: str) -> Object:
        """Delete an object and give it as the watch would."""
        raw = self.objects.pop((kind, "team", name))
        return {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(next(self._versions))}}

    def names(self, kind: Kind) -> list[str]:
        """Give the names of what is there."""
        return sorted(name for other, _, name in self.objects if other is kind)

    async def get(self, kind: Kind, namespace: str, name: str) -> RawObject | None:
        """See `Cluster.get`."""
        await self._called(f"get {kind.kind_name}/{name}")
        return deepcopy(self.objects.get((kind, namespace, name)))

    async def pages(self, kind: Kind, namespace: str | None) -> AsyncIterator[Page]:
        """See `Cluster.pages`: one object in each."""
        await self._called(f"list {kind.kind_name}/{namespace or ''}")
        version = next(self._versions)
        items = [raw for (other, place, _), raw in self.objects.items() if other is kind and namespace in {None, place}]
        for number in range(max(1, len(items))):
            yield Page(tuple(deepcopy(items[number : number + 1])), version)

    async def apply(self, kind: Kind, manifest: Mapping[str, Any], *, force: bool) -> RawObject:
        """See `Cluster.apply`. Nobody else owns a field: there is nothing to force."""
        del force
        metadata = manifest["metadata"]
        write = f"apply {kind.kind_name}/{metadata['name']}"
        await self._called(write)
        there = self.objects.get((kind, metadata["namespace"], metadata["name"]))
        if "uid" in metadata and (there is None or there["metadata"]["uid"] != metadata["uid"]):
            raise ConflictError("another uid")
        kept = {"generation": 1}
        if there is not None:
            changed = there.get("spec") != manifest.get("spec")
            kept = {"uid": there["metadata"]["uid"], "generation": there["metadata"].get("generation", 0) + changed}
        self.store(kind_named(manifest["kind"]), {**(there or {}), **manifest, "metadata": {**metadata, **kept}})
        return self._answer(write, (kind, metadata["namespace"], metadata["name"]))

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """See `Cluster.delete`."""
        await self._called(f"delete {kind.kind_name}/{name}")
        self.writes.append(f"delete {kind.kind_name}/{name}")
        there = self.objects.get((kind, namespace, name))
        if there is not None and there["metadata"]["uid"] != uid:
            raise ConflictError("another uid")
        self.objects.pop((kind, namespace, name), None)

    async def patch_status(self, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> RawObject:
        """See `Cluster.patch_status`."""
        write = f"status {Kind.AGENT.kind_name}/{name}"
        await self._called(write)
        there = self.objects.get((Kind.AGENT, namespace, name))
        if there is None:
            raise NotFoundError(f"{name} not found")
        if there["metadata"]["uid"] != uid:
            raise ConflictError("another uid")
        merged = {key: value for key, value in {**there.get("status", {}), **status}.items() if value is not None}
        self.store(Kind.AGENT, {**there, "status": merged})
        return self._answer(write, (Kind.AGENT, namespace, name))

    async def scale(self, namespace: str, name: str, version: int, replicas: int) -> None:
        """See `Cluster.scale`."""
        await self._called(f"scale {Kind.AGENT.kind_name}/{name}")
        there = self.objects.get((Kind.AGENT, namespace, name))
        if there is None:
            raise NotFoundError(f"{name} not found")
        if there["metadata"]["resourceVersion"] != str(version):
            raise ConflictError("another version")
        self.writes.append(f"scale {Kind.AGENT.kind_name}/{name} to {replicas}")
        self.change(Kind.AGENT, name, lambda raw: raw["spec"].update(replicas=replicas))

    async def create_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        """See `Cluster.create_event`."""
        assert event["metadata"]["namespace"] == namespace
        self.events.append(event)

    async def events_about(self, namespace: str, uid: str) -> tuple[RawObject, ...]:
        """See `Cluster.events_about`."""
        assert namespace == KEY.namespace
        self.asked.append(uid)
        await self._called(f"events {uid}")
        return tuple(deepcopy(self.told.get(uid, [])))

    async def _called(self, call: str) -> None:
        await asyncio.sleep(0)
        if (happens := self.before.pop(call, None)) is not None:
            happens()
        if call in self.failures:
            raise self.failures[call]

    def _answer(self, write: str, place: Place) -> RawObject:
        answer = deepcopy(self.objects[place])
        self.writes.append(write)
        if (happens := self.after.pop(write, None)) is not None:
            happens()
        return answer
