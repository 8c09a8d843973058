"""What the operator needs of a cluster, as one small protocol."""

from collections.abc import AsyncIterator, Mapping
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

    async def create_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        """Create an Event of `events.k8s.io/v1`."""

    async def events_about(self, namespace: str, uid: str) -> tuple[RawObject, ...]:
        """List the Events of `events.k8s.io/v1` about an object, a hundred at most."""
