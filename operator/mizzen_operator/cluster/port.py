"""What the operator needs of a cluster, as one small protocol."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mizzen_operator.kinds import Kind

RawObject = Mapping[str, Any]
"""An object as the API server sends it. `records` parses it at once; it travels no further."""


@dataclass(frozen=True)
class Page:
    """A part of a list."""

    items: tuple[RawObject, ...]
    """The objects of this part."""
    version: int
    """Resource version of the whole list: the same in each of its parts."""


class Cluster(Protocol):
    """A Kubernetes API server. Each call is bounded in time and raises `ClusterError`."""

    async def get(self, kind: Kind, namespace: str, name: str) -> RawObject | None:
        """Read an object, past every cache; None if there is none."""

    def pages(self, kind: Kind, namespace: str | None) -> AsyncIterator[Page]:
        """List the objects of a kind that are ours, in one namespace or in all (None)."""

    async def apply(self, kind: Kind, manifest: Mapping[str, Any], *, force: bool) -> RawObject:
        """Apply an object on the server's side and give it as it is now.

        Args:
            kind: Its kind.
            manifest: All fields that the operator owns. A `metadata.uid` in it must be that of the object there.
            force: Take fields over from others; without it they are a `ConflictError`.
        """

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete an object if it still is the one with this uid; nothing happens if it is gone."""

    async def patch_status(self, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> RawObject:
        """Merge `status` into that of an AgentDeployment, if it still is the one with this uid.

        A null in `status` takes the field away.
        """

    async def scale(self, namespace: str, name: str, version: int, replicas: int) -> None:
        """Write `spec.replicas` of an AgentDeployment, by its scale subresource.

        Args:
            namespace: Its namespace.
            name: Its name.
            version: Resource version that the decision was made on; another one is a `ConflictError`.
            replicas: How many.
        """

    async def create_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        """Create an Event of `events.k8s.io/v1`."""

    async def events_about(self, namespace: str, uid: str) -> tuple[RawObject, ...]:
        """List the Events of `events.k8s.io/v1` about an object, a hundred at most."""


class LeaseStore(Protocol):
    """The calls that an election needs. Each but `changes` is bounded in time; all raise `ClusterError`."""

    async def get(self, kind: Kind, namespace: str, name: str) -> RawObject | None:
        """See `Cluster.get`."""

    async def create(self, kind: Kind, manifest: Mapping[str, Any]) -> RawObject:
        """Create an object and give it; a `ConflictError` if there is one of this name."""

    async def replace(self, kind: Kind, manifest: Mapping[str, Any]) -> RawObject:
        """Put an object in the place of the version that its metadata name; a `ConflictError` if that is not there."""

    def changes(self, kind: Kind, namespace: str, name: str) -> AsyncGenerator[RawObject]:
        """Give an object as it is, if it is there, and whenever it has changed; ends when the API server wants it."""
