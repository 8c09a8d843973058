"""What the gateway makes of answers that no API server gives: a proxy in between does."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient, Configuration

from mizzen_operator.cluster.errors import UnavailableError
from mizzen_operator.cluster.gateway import KubernetesCluster
from mizzen_operator.kinds import Kind


async def _sign_in(_: web.Request) -> web.Response:
    return web.Response(text="<html>Sign in</html>", content_type="text/html")


def test_an_answer_that_is_no_json_is_an_api_server_that_is_not_there() -> None:
    application = web.Application()
    application.router.add_get("/{path:.*}", _sign_in)

    async def ask() -> None:
        async with TestServer(application) as server:
            configuration = Configuration()
            configuration.host = str(server.make_url("")).rstrip("/")
            async with ApiClient(configuration) as client:
                await KubernetesCluster(client).get(Kind.SERVICE, "team", "hello")

    with pytest.raises(UnavailableError, match="GET /api/v1/namespaces/team/services/hello"):
        asyncio.run(ask())
