"""The `Cluster` on the Kubernetes client's asyncio dynamic client.

The client is used without its models (2 s of import and 120 MiB more) and without discovery (a dozen requests at
start): the paths of nine kinds are known.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.dynamic.exceptions import DynamicApiError
from kubernetes.aio.dynamic.resource import Resource

from mizzen_operator.cluster.errors import (
    ClusterError,
    ConflictError,
    ForbiddenError,
    NamespaceTerminatingError,
    NotFoundError,
    RejectedError,
    UnauthorizedError,
    UnavailableError,
)
from mizzen_operator.cluster.port import Page, RawObject
from mizzen_operator.kinds import Kind

FIELD_MANAGER = "mizzen-operator"
REQUEST_SECONDS = 10.0
"""Bound on one call, connecting included."""
LIST_SECONDS = 60.0
"""Bound on one page of a list."""
FOLLOW_SECONDS = 300
"""How long the API server lets somebody follow one object; then it is asked anew."""
PAGE_SIZE = 100
"""Objects in one part of a list: a part is in memory as a whole, and what that took is never given back."""

_MERGE_PATCH = "application/merge-patch+json"
_ERRORS: dict[int, type[ClusterError]] = {
    400: RejectedError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    413: RejectedError,
    415: RejectedError,
    422: RejectedError,
}

_REJECTIONS = ("failed to create typed patch object", "failed to convert new object")
"""How an apply tells, by 500, that a field is unknown, of a wrong type or cannot be read."""


class KubernetesCluster:
    """See `Cluster` and `LeaseStore`."""

    def __init__(self, client: ApiClient) -> None:
        """Speak through `client`, which the caller closes."""
        self._client = DynamicClient(client)  # type: ignore[no-untyped-call]
        self._resources = {kind: _resource(kind) for kind in Kind}

    async def get(self, kind: Kind, namespace: str, name: str) -> RawObject | None:
        """See `Cluster.get`."""
        try:
            return await self._call("get", self._path(kind, namespace, name))
        except NotFoundError:
            return None

    async def pages(self, kind: Kind, namespace: str | None) -> AsyncIterator[Page]:
        """See `Cluster.pages`."""
        path, token = self._path(kind, namespace), None
        while True:
            answer = await self._call(
                "get", path, seconds=LIST_SECONDS, label_selector=kind.selector, limit=PAGE_SIZE, _continue=token
            )
            metadata = answer["metadata"]
            yield Page(tuple(answer["items"]), int(metadata["resourceVersion"]))
            token = metadata.get("continue")
            if not token:
                return

    async def apply(self, kind: Kind, manifest: Mapping[str, Any], *, force: bool) -> RawObject:
        """See `Cluster.apply`."""
        metadata = manifest["metadata"]
        return await self._call(
            "patch",
            self._path(kind, metadata["namespace"], metadata["name"]),
            body=manifest,
            content_type="application/apply-patch+yaml",
            field_manager=FIELD_MANAGER,
            force_conflicts=force,
        )

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """See `Cluster.delete`."""
        try:
            await self._call("delete", self._path(kind, namespace, name), body={"preconditions": {"uid": uid}})
        except NotFoundError:
            return

    async def patch_status(self, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> RawObject:
        """See `Cluster.patch_status`."""
        return await self._call(
            "patch",
            f"{self._path(Kind.AGENT, namespace, name)}/status",
            body={"metadata": {"uid": uid}, "status": status},
            content_type=_MERGE_PATCH,
            field_manager=FIELD_MANAGER,
        )

    async def scale(self, namespace: str, name: str, version: int, replicas: int) -> None:
        """See `Cluster.scale`."""
        await self._call(
            "patch",
            f"{self._path(Kind.AGENT, namespace, name)}/scale",
            body={"metadata": {"resourceVersion": str(version)}, "spec": {"replicas": replicas}},
            content_type=_MERGE_PATCH,
            field_manager=FIELD_MANAGER,
        )

    async def create_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        """See `Cluster.create_event`."""
        await self._call("post", self._path(Kind.EVENT, namespace), body=event, field_manager=FIELD_MANAGER)

    async def events_about(self, namespace: str, uid: str) -> tuple[RawObject, ...]:
        """See `Cluster.events_about`."""
        path, selector = self._path(Kind.EVENT, namespace), f"regarding.uid={uid}"
        answer = await self._call("get", path, field_selector=selector, limit=PAGE_SIZE)
        return tuple(answer["items"])

    async def create(self, kind: Kind, manifest: Mapping[str, Any]) -> RawObject:
        """See `LeaseStore.create`."""
        path = self._path(kind, manifest["metadata"]["namespace"])
        return await self._call("post", path, body=manifest, field_manager=FIELD_MANAGER)

    async def replace(self, kind: Kind, manifest: Mapping[str, Any]) -> RawObject:
        """See `LeaseStore.replace`."""
        metadata = manifest["metadata"]
        path = self._path(kind, metadata["namespace"], metadata["name"])
        return await self._call("put", path, body=manifest, field_manager=FIELD_MANAGER)

    async def changes(self, kind: Kind, namespace: str, name: str) -> AsyncGenerator[RawObject]:
        """See `LeaseStore.changes`."""
        path = self._path(kind, namespace)
        bound = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS)
        with _translating("get", path):
            response = await self._request(
                "get",
                path,
                bound,
                field_selector=f"metadata.name={name}",
                watch="true",
                timeout_seconds=FOLLOW_SECONDS,
            )
            async with response:
                async for line in response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise UnavailableError(f"GET {path}: {event['object'].get('message')}")
                    if event["type"] != "DELETED":
                        yield event["object"]

    def _path(self, kind: Kind, namespace: str | None, name: str | None = None) -> str:
        return str(self._resources[kind].path(name=name, namespace=namespace))  # type: ignore[no-untyped-call]

    async def _call(self, method: str, path: str, *, seconds: float = REQUEST_SECONDS, **parameters: Any) -> RawObject:
        """Make one call and give the object that came back.

        Raises:
            ClusterError: It failed, in one of the ways of `cluster.errors`.
        """
        with _translating(method, path):
            response = await self._request(method, path, aiohttp.ClientTimeout(total=seconds), **parameters)
            answer: RawObject = await response.json()
        return answer

    async def _request(
        self, method: str, path: str, bound: aiohttp.ClientTimeout, **parameters: Any
    ) -> aiohttp.ClientResponse:
        response: aiohttp.ClientResponse = await self._client.request(
            method, path, serialize=False, query_params=[], _request_timeout=bound, **parameters
        )
        return response


@contextmanager
def _translating(method: str, path: str) -> Iterator[None]:
    """Raise what goes wrong as one of `cluster.errors`."""
    try:
        yield
    except DynamicApiError as error:
        raise _translated(error) from error
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: no JSON
        raise UnavailableError(f"{method.upper()} {path}: {str(error) or type(error).__name__}") from error


def _resource(kind: Kind) -> Resource:
    prefix = "apis" if kind.group else "api"
    return Resource(  # type: ignore[no-untyped-call]
        prefix=prefix,
        group=kind.group,
        api_version=kind.version,
        kind=kind.kind_name,
        namespaced=True,
        name=kind.plural,
    )


def _translated(error: DynamicApiError) -> ClusterError:
    status = _status(error)
    message = str(status.get("message") or f"HTTP {error.status} {error.reason}")
    causes = (status.get("details") or {}).get("causes") or ()
    if any(cause.get("field") == "metadata.uid" for cause in causes):
        return ConflictError(message)  # an apply tells so, by 422, that the object was replaced by another
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        return NamespaceTerminatingError(message)
    if message.startswith(_REJECTIONS):
        return RejectedError(message)
    if error.status in _ERRORS:
        return _ERRORS[error.status](message)
    wait = (error.headers or {}).get("Retry-After", "")
    return UnavailableError(message, float(wait) if wait.isdigit() else None)


def _status(error: DynamicApiError) -> Mapping[str, Any]:
    """Give the `Status` object that the API server sent, empty if something else answered."""
    try:
        status = json.loads(error.body or "")
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}
