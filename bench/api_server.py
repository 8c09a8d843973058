"""A cluster for benchmarks, and a client that asks its API server from many coroutines."""

import asyncio
import base64
import json
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp

from devcluster import DevCluster, DevClusterError, State
from mizzen_api.crd import custom_resource_definition

Object = dict[str, Any]
_NAMESPACES = "/api/v1/namespaces"


@contextmanager
def bench_cluster(name: str) -> Iterator[DevCluster]:
    """A cluster with the CRD and without an operator, gone afterwards unless it ran before."""
    cluster = DevCluster(name)
    try:
        ran_before = cluster.status().state is State.RUNNING
    except DevClusterError:
        ran_before = False
    cluster.up()
    try:
        cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(custom_resource_definition()))
        cluster.kubectl("wait", "--for=condition=Established", "crd/agentdeployments.mizzen.dev", "--timeout=60s")
        yield cluster
    finally:
        if not ran_before:
            cluster.down()


@dataclass(frozen=True)
class ApiServer:
    """Requests over a bounded number of connections, as many as the operator has."""

    session: aiohttp.ClientSession
    url: str

    async def request(self, method: str, path: str, body: Object | None = None, kind: str = "json") -> Any:
        """Send a request and give the answer.

        Args:
            method: HTTP's.
            path: With its query.
            body: What is sent, if anything.
            kind: The body's: `json`, `merge-patch+json`, `apply-patch+yaml`.

        Raises:
            RuntimeError: The API server refused.
        """
        return json.loads(await self.send(method, path, None if body is None else json.dumps(body), kind))

    async def send(self, method: str, path: str, body: str | None, kind: str) -> bytes:
        """Send a request as `request` does, with a body that is text already, and give the answer as it came."""
        headers = {"Content-Type": f"application/{kind}"}
        async with self.session.request(method, f"{self.url}{path}", data=body, headers=headers) as answer:
            content = await answer.read()
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise RuntimeError(f"{method} {path}: {answer.status} {content.decode()[:300]}")
            return content

    async def items(self, path: str) -> list[Object]:
        """Give the objects of a collection, each with its kind."""
        answer = await self.request("GET", path)
        own = {"apiVersion": answer["apiVersion"], "kind": answer["kind"].removesuffix("List")}
        return [{**own, **item} for item in answer["items"]]


@asynccontextmanager
async def api_server(cluster: DevCluster, *, connections: int) -> AsyncIterator[ApiServer]:
    """Connect as the cluster's administrator."""
    document = json.loads(cluster.kubeconfig.read_text())
    server, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    context = ssl.create_default_context(cadata=decoded(server["certificate-authority-data"]))
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(decoded(user["client-certificate-data"]) + decoded(user["client-key-data"]))
        file.flush()
        context.load_cert_chain(file.name)
    connector = aiohttp.TCPConnector(limit=connections, ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield ApiServer(session, server["server"])


def decoded(text: str) -> str:
    return base64.b64decode(text).decode()


async def all_of(work: Iterable[Awaitable[Any]]) -> None:
    """Wait for everything; the client's connections bound what happens at the same time."""
    await asyncio.gather(*work)


async def create_namespace(api: ApiServer, name: str) -> None:
    """Create an empty namespace; one that an interrupted run has left is removed first."""
    if name in await _namespaces(api):
        await delete_namespace(api, name)
    await api.request("POST", _NAMESPACES, {"metadata": {"name": name}})


async def delete_namespace(api: ApiServer, name: str) -> None:
    """Delete a namespace with all that is in it, and wait until it is gone."""

    async def gone() -> bool:
        return name not in await _namespaces(api)

    await api.request("DELETE", f"{_NAMESPACES}/{name}")
    await until(gone, f"namespace {name} to be gone", seconds=600)


async def _namespaces(api: ApiServer) -> set[str]:
    return {item["metadata"]["name"] for item in await api.items(_NAMESPACES)}


async def until(condition: Callable[[], Awaitable[bool]], what: str, *, seconds: float = 120) -> None:
    """Ask again until a condition holds.

    Raises:
        TimeoutError: It does not in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(f"waited {seconds:g} s for {what}")


def agent(name: str, instructions: str = "Be brief.") -> Object:
    """An agent without pods: what is measured is what the operator writes."""
    spec = {"agent": {"instructions": instructions}, "models": [{"model": "test"}], "replicas": 0}
    return {"apiVersion": "mizzen.dev/v1alpha1", "kind": "AgentDeployment", "metadata": {"name": name}, "spec": spec}


def agents_path(namespace: str) -> str:
    return f"/apis/mizzen.dev/v1alpha1/namespaces/{namespace}/agentdeployments"
