"""Who a request says it is from, what keeps it from being sent, and what becomes of one whose session is closed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from mizzen_operator.cluster.connection import Connection, WatchSession
from mizzen_operator.cluster.gateway import KubernetesCluster
from mizzen_operator.kinds import Kind
from mizzen_operator.leadership import NotLeadingError


class SlowToken(Configuration):
    """A token that takes so long that the session is closed before it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: list[WatchSession] = []

    async def get_api_key_with_prefix(self, identifier: str, alias: str | None = None) -> str | None:
        await self.sessions[0].session.close()
        return await super().get_api_key_with_prefix(identifier, alias)


def test_a_session_that_is_closed_under_a_request_is_a_lost_connection() -> None:
    async def ask() -> None:
        configuration = SlowToken()
        configuration.sessions.append(Connection(configuration, "me").watch_session(limit=1, on_request=lambda _: None))
        await configuration.sessions[0].session.get("http://127.0.0.1:9/")

    with pytest.raises(aiohttp.ClientConnectionError, match="refused its token"):
        asyncio.run(ask())


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Fence:
    """Lets requests pass until it falls."""

    def __init__(self) -> None:
        self.has_fallen = False

    def check(self) -> None:
        if self.has_fallen:
            raise NotLeadingError


@asynccontextmanager
async def cluster(answer: Handler, fence: Fence, connections: int = 10) -> AsyncIterator[KubernetesCluster]:
    """Give a fenced gateway to a server that answers like this."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as server:
        configuration = Configuration()
        configuration.host = str(server.make_url("")).rstrip("/")
        configuration.connection_pool_maxsize = connections
        async with Connection(configuration, "me").api_client(before_send=fence.check) as client:
            yield KubernetesCluster(client)


def test_a_request_says_which_process_it_is_from() -> None:
    agents = []

    async def answer(request: web.Request) -> web.Response:
        agents.append(request.headers["User-Agent"])
        return web.json_response({})

    async def ask() -> None:
        async with cluster(answer, Fence()) as gateway:
            await gateway.get(Kind.SERVICE, "team", "hello")

    asyncio.run(ask())
    assert agents == ["mizzen-operator (me)"]


def test_nothing_is_sent_once_the_fence_has_fallen() -> None:
    served = []

    async def answer(request: web.Request) -> web.Response:
        served.append(request.method)
        return web.json_response({})

    async def write() -> None:
        fence = Fence()
        async with cluster(answer, fence) as gateway:
            await gateway.delete(Kind.SERVICE, "team", "hello", "uid")
            fence.has_fallen = True
            with pytest.raises(NotLeadingError):
                await gateway.delete(Kind.SERVICE, "team", "hello", "uid")

    asyncio.run(write())
    assert served == ["DELETE"]


def test_a_write_that_waits_for_a_connection_is_not_sent_when_the_fence_falls_meanwhile() -> None:
    served = []

    async def write() -> None:
        fence, arrived, may_end = Fence(), asyncio.Event(), asyncio.Event()

        async def answer(request: web.Request) -> web.Response:
            served.append(request.method)
            arrived.set()
            await may_end.wait()
            return web.json_response({})

        async with cluster(answer, fence, connections=1) as gateway:
            first = asyncio.create_task(gateway.get(Kind.SERVICE, "team", "hello"))
            await arrived.wait()
            second = asyncio.create_task(gateway.delete(Kind.SERVICE, "team", "hello", "uid"))
            await asyncio.sleep(0)  # it asks for the one connection
            fence.has_fallen = True
            may_end.set()
            await first
            with pytest.raises(NotLeadingError):
                await second

    asyncio.run(write())
    assert served == ["GET"]


@pytest.mark.parametrize("falls", [False, True])
def test_a_delete_that_http_would_send_again_on_another_connection_is_not_when_the_fence_has_fallen(
    falls: bool,
) -> None:
    """A connection that the server closes under a request is no failure to an HTTP client: it asks again."""
    served = []

    async def write() -> None:
        fence = Fence()

        async def answer(request: web.Request) -> web.StreamResponse:
            served.append(request.method)
            if served.count("DELETE") == 1 and request.method == "DELETE":
                fence.has_fallen = falls
                assert request.transport is not None
                request.transport.close()
            return web.json_response({})

        async with cluster(answer, fence) as gateway:
            await gateway.get(Kind.SERVICE, "team", "hello")  # leaves a connection behind, to be used again
            try:
                await gateway.delete(Kind.SERVICE, "team", "hello", "uid")
            except NotLeadingError:
                assert falls

    asyncio.run(write())
    assert served == (["GET", "DELETE"] if falls else ["GET", "DELETE", "DELETE"])
