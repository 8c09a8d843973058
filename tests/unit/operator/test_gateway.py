"""What the gateway makes of answers that a test cannot have from an API server at will."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient, Configuration

from mizzen_operator.cluster.errors import NamespaceTerminatingError, UnavailableError
from mizzen_operator.cluster.gateway import KubernetesCluster
from mizzen_operator.kinds import Kind


async def _sign_in(_: web.Request) -> web.Response:
    return web.Response(text="<html>Sign in</html>", content_type="text/html")


async def ask(answer: Callable[[web.Request], Awaitable[web.Response]]) -> None:
    """Read a Service from a server that answers like this."""
    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    async with TestServer(application) as server:
        configuration = Configuration()
        configuration.host = str(server.make_url("")).rstrip("/")
        async with ApiClient(configuration) as client:
            await KubernetesCluster(client).get(Kind.SERVICE, "team", "hello")


def test_an_answer_that_is_no_json_is_an_api_server_that_is_not_there() -> None:
    with pytest.raises(UnavailableError, match="GET /api/v1/namespaces/team/services/hello"):
        asyncio.run(ask(_sign_in))


async def _terminating(_: web.Request) -> web.Response:
    cause = {
        "reason": "NamespaceTerminating",
        "message": "namespace team is being terminated",
        "field": "metadata.namespace",
    }
    status = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no", "details": {"causes": [cause]}}
    return web.json_response(status, status=403)


def test_a_namespace_that_is_being_deleted_is_told_from_a_right_that_is_missing() -> None:
    with pytest.raises(NamespaceTerminatingError):
        asyncio.run(ask(_terminating))


def follow(*lines: str) -> list[str | None]:
    """Follow a Lease on a server that sends these lines and ends; give the holders that were seen."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.query["fieldSelector"] == "metadata.name=operator"
        assert request.query["watch"] == "true"
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(line.encode() + b"\n")
        return response

    async def holders() -> list[str | None]:
        application = web.Application()
        application.router.add_get("/apis/coordination.k8s.io/v1/namespaces/system/leases", answer)
        async with TestServer(application) as server:
            configuration = Configuration()
            configuration.host = str(server.make_url("")).rstrip("/")
            async with ApiClient(configuration) as client:
                changes = KubernetesCluster(client).changes(Kind.LEASE, "system", "operator")
                return [lease["spec"].get("holderIdentity") async for lease in changes]

    return asyncio.run(holders())


def event(kind: str, **spec: str) -> str:
    return json.dumps({"type": kind, "object": {"spec": spec}})


def test_an_object_is_followed_until_the_server_ends_it() -> None:
    events = [event("ADDED", holderIdentity="a"), event("MODIFIED", holderIdentity="b"), event("DELETED")]
    assert follow(*events, event("ADDED", holderIdentity="c")) == ["a", "b", "c"]


@pytest.mark.parametrize("line", ['{"type": "ERROR", "object": {"message": "too old"}}', "<html>", '{"type": "ADDED"'])
def test_a_stream_that_breaks_is_an_api_server_that_is_not_there(line: str) -> None:
    with pytest.raises(UnavailableError, match="GET /apis/coordination"):
        follow(event("ADDED", holderIdentity="a"), line)
