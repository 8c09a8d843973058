"""The external API over HTTP: how it is asked, what its answers come to, and what is tried again."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from itertools import chain, repeat
from typing import Any

import pytest
from opentelemetry.context import attach, detach

from mizzen_runtime.implementations.http import HttpExternalAPIService, InvalidQueryError
from mizzen_runtime.implementations.http_client import ResponseTooLargeError
from mizzen_runtime.implementations.http_guard import SourceRefusedError
from mizzen_runtime.implementations.http_settings import HttpSettings
from mizzen_runtime.services import ExternalAPIService, ServiceError, ServiceUnavailableError
from mizzen_runtime.testing.external_api_contract import ExternalAPIContract
from mizzen_runtime.testing.external_api_double import TestExternalAPIService
from mizzen_runtime.trace_context import callers_context
from tests.support.http_server import Asked, Handler, HttpServer, Reply, always, http_server

pytestmark = pytest.mark.anyio


class TestHttp(ExternalAPIContract):
    @pytest.fixture
    async def external_api(self) -> AsyncIterator[ExternalAPIService]:
        async with api_with(always(Reply(200, b'{"found": [1, 2]}'))) as (api, _):
            yield api


class TestDouble(ExternalAPIContract):
    @pytest.fixture
    async def external_api(self) -> ExternalAPIService:
        return TestExternalAPIService()


@asynccontextmanager
async def api_with(handler: Handler, **settings: Any) -> AsyncIterator[tuple[HttpExternalAPIService, HttpServer]]:
    """A service and the API that it asks, which is internal: it is trusted."""
    async with http_server(handler) as server:
        given = {"base_url": f"http://127.0.0.1:{server.port}/v1/", "path": "/search", **settings}
        api = HttpExternalAPIService.from_settings(HttpSettings.model_validate(given))
        await api.initialize()
        try:
            yield api, server
        finally:
            await api.close()


def replies(*first: Reply) -> Handler:
    """Give these replies one after the other, and then one that says yes."""
    following = chain(first, repeat(Reply(200, b'{"yes": 1}')))

    def reply(asked: Asked) -> Reply:
        return next(following)

    return reply


async def test_a_query_goes_into_the_url() -> None:
    async with api_with(always(Reply(200, b'{"found": 1}')), query_parameter="q[]") as (api, server):
        assert await api.fetch_data("a b&c=ü#") == {"found": 1}

        (asked,) = server.asked
        assert (asked.method, asked.target) == ("GET", "/v1/search?q%5B%5D=a+b%26c%3D%C3%BC%23")
        assert asked.headers["accept"] == "application/json"
        assert asked.headers["host"] == f"127.0.0.1:{server.port}"


async def test_a_query_goes_into_the_body_of_a_post() -> None:
    async with api_with(always(Reply(200, b"{}")), method="POST", query_parameter="text") as (api, server):
        assert await api.fetch_data("ü") == {}

        (asked,) = server.asked
        assert (asked.method, asked.target, json.loads(asked.body)) == ("POST", "/v1/search", {"text": "ü"})
        assert asked.headers["content-type"] == "application/json"


async def test_the_api_is_told_which_trace_the_request_belongs_to() -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    context = callers_context([(b"traceparent", parent.encode())])
    assert context is not None
    async with api_with(always(Reply())) as (api, server):
        await api.fetch_data("outside of any trace")
        token = attach(context)
        try:
            await api.fetch_data("within one")
        finally:
            detach(token)

        assert [asked.headers.get("traceparent") for asked in server.asked] == [None, parent]


@pytest.mark.parametrize(
    ("settings", "header", "value"),
    [
        ({"bearer_token": "t0ken"}, "authorization", "Bearer t0ken"),
        (
            {"username": "user", "password": "pässword".encode("ascii", "ignore").decode()},
            "authorization",
            "Basic dXNlcjpwc3N3b3Jk",
        ),
        ({"header_name": "X-Api-Key", "header_value": "k3y"}, "x-api-key", "k3y"),
    ],
)
async def test_the_api_is_told_who_asks(settings: dict[str, str], header: str, value: str) -> None:
    async with api_with(always(Reply()), **settings) as (api, server):
        await api.fetch_data("x")

        assert server.asked[0].headers[header] == value


async def test_an_answer_without_content_is_empty() -> None:
    async with api_with(always(Reply(204, b""))) as (api, _):
        assert await api.fetch_data("x") == {}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'"text"', b"1", b"null", b"{", b'{"a": NaN}', b"\xff", b"[" * 100_000, b"<html>"]
)
async def test_an_answer_that_is_no_json_object_is_refused(body: bytes) -> None:
    async with api_with(always(Reply(200, body))) as (api, server):
        with pytest.raises(ServiceError, match=r"the answer of 127\.0\.0\.1 is no JSON object"):
            await api.fetch_data("x")

        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (400, "answers with status 400"),
        (401, r"refuses the credentials \(status 401\); correct them in the Secret"),
        (403, r"refuses the credentials \(status 403\); correct them in the Secret"),
        (404, "answers with status 404"),
        (304, "answers with status 304"),
    ],
)
async def test_a_status_that_will_not_pass_is_told_at_once(status: int, told: str) -> None:
    async with api_with(always(Reply(status, b'{"secret": "text"}')), bearer_token="t0ken") as (api, server):
        with pytest.raises(ServiceError, match=told) as refused:
            await api.fetch_data("x")

        assert not isinstance(refused.value, ServiceUnavailableError)
        assert "t0ken" not in str(refused.value)
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "failure", [Reply(429), Reply(500), Reply(502), Reply(503), Reply(504), Reply(200, b"{", breaks_off=True)]
)
async def test_a_failure_that_may_pass_is_tried_again(failure: Reply) -> None:
    async with api_with(replies(failure, failure)) as (api, server):
        assert await api.fetch_data("x") == {"yes": 1}

        assert len(server.asked) == 3


async def test_it_is_tried_again_no_more_often_than_set() -> None:
    async with api_with(always(Reply(503)), retries=1) as (api, server):
        with pytest.raises(ServiceUnavailableError, match="answers with status 503"):
            await api.fetch_data("x")

        assert len(server.asked) == 2


@pytest.mark.parametrize("failure", [Reply(503), Reply(200, b"{", breaks_off=True)])
async def test_what_may_change_something_is_never_sent_twice(failure: Reply) -> None:
    async with api_with(replies(failure), method="POST") as (api, server):
        with pytest.raises(ServiceUnavailableError):
            await api.fetch_data("x")

        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "when", [lambda: "2", lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)]
)
async def test_the_time_that_the_api_asks_for_is_waited(when: Callable[[], str]) -> None:
    def reply(asked: Asked) -> Reply:
        asked_at.append(time.monotonic())
        return Reply(200, b"{}") if len(asked_at) > 1 else Reply(429, headers={"Retry-After": when()})

    asked_at: list[float] = []
    async with api_with(reply, call_timeout_seconds=60) as (api, _):
        assert await api.fetch_data("x") == {}

        assert asked_at[1] - asked_at[0] > 1.5


@pytest.mark.parametrize("text", ["60", "9" * 400, "Fri, 31 Dec 2999 23:59:59 GMT"])
async def test_a_wait_beyond_the_deadline_is_not_begun(text: str) -> None:
    async with api_with(always(Reply(503, headers={"Retry-After": text})), call_timeout_seconds=20) as (api, server):
        start = time.monotonic()
        with pytest.raises(ServiceUnavailableError) as refused:
            await api.fetch_data("x")

        assert time.monotonic() - start < 10
        assert (refused.value.retry_after or 0) >= 60
        assert len(server.asked) == 1


@pytest.mark.parametrize("text", ["-1", "soon", "", "1.5", "Fri, 31 Dec 1999 23:59:59 GMT", "٣", "Fri, 99 Foo"])
async def test_a_wait_that_cannot_be_read_is_none(text: str) -> None:
    async with api_with(replies(Reply(503, headers={"Retry-After": text.encode().decode("latin-1")}))) as (api, _):
        assert await api.fetch_data("x") == {"yes": 1}


async def test_a_call_ends_at_its_deadline() -> None:
    release = asyncio.Event()

    async def wait(asked: Asked) -> Reply:
        await release.wait()
        return Reply()

    async with api_with(wait, call_timeout_seconds=0.3, pool_size=2) as (api, _):
        start = time.monotonic()
        calls = await asyncio.gather(*(api.fetch_data("x") for _ in range(20)), return_exceptions=True)
        assert {str(call) for call in calls} == {"127.0.0.1 did not answer within 0.3 s (call_timeout_seconds)"}
        assert all(isinstance(call, ServiceUnavailableError) for call in calls)
        assert not await api.health_check()
        assert time.monotonic() - start < 5
        release.set()

        assert await api.fetch_data("x") == {}


async def test_an_answer_that_never_ends_is_cut_off() -> None:
    async with api_with(always(Reply(200, endless=repeat(b"x" * 1000))), max_response_bytes=10_000) as (api, server):
        with pytest.raises(
            ResponseTooLargeError, match="more than 10000 bytes, which is what max_response_bytes allows"
        ):
            await api.fetch_data("x")

        await server.wait_for_connections(0)


@pytest.mark.parametrize("query", ["x" * 2001, "\ud800", 1])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_is_no_query_is_refused(query: Any, method: str) -> None:
    async with api_with(always(Reply()), method=method) as (api, server):
        with pytest.raises(InvalidQueryError):
            await api.fetch_data(query)

        assert server.asked == []


async def test_a_redirect_within_the_api_keeps_the_credentials() -> None:
    first = Reply(308, headers={"Location": "/v2/search?q=y"})
    async with api_with(replies(first), bearer_token="t0ken") as (api, server):
        assert await api.fetch_data("x") == {"yes": 1}

        assert [asked.target for asked in server.asked] == ["/v1/search?query=x", "/v2/search?q=y"]
        assert server.asked[1].headers["authorization"] == "Bearer t0ken"


async def lookup(host: str, port: int) -> Sequence[str]:
    if host == "elsewhere.example":
        return ["127.0.0.1"]
    if host == "internal.example":
        return ["127.0.0.2"]
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def test_a_redirect_to_elsewhere_is_checked_and_loses_the_credentials() -> None:
    def reply(asked: Asked) -> Reply:
        if asked.target.startswith("/v1"):
            return Reply(302, headers={"Location": f"http://elsewhere.example:{server.port}/there"})
        return Reply(200, b'{"there": 1}')

    async with http_server(reply) as server:
        api = HttpExternalAPIService(
            f"http://127.0.0.1:{server.port}/v1",
            headers={"Authorization": "Bearer t0ken"},
            allowed_hosts=["*.example"],
            allowed_networks=[ip_network("127.0.0.1")],
            resolver=lookup,
        )
        await api.initialize()
        assert await api.fetch_data("x") == {"there": 1}
        assert "authorization" in server.asked[0].headers
        assert "authorization" not in server.asked[1].headers

        assert await api.validate_source(f"http://elsewhere.example:{server.port}/")
        assert not await api.validate_source("http://internal.example/")
        assert not await api.validate_source("http://unknown.example/")
        assert not await api.validate_source(f"http://127.0.0.1:{server.port}/v1")
        await api.close()


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:1/", "http://169.254.169.254/latest", "http://localhost/", "ftp://x/", "http://[/"]
)
async def test_a_redirect_to_where_it_must_not_lead_is_refused(location: str) -> None:
    async with api_with(always(Reply(302, headers={"Location": location}))) as (api, server):
        with pytest.raises(SourceRefusedError):
            await api.fetch_data("x")

        assert len(server.asked) == 1


async def test_redirects_are_counted_and_not_followed_after_a_post() -> None:
    async with api_with(always(Reply(302, headers={"Location": "/v1/search"}))) as (api, server):
        with pytest.raises(ServiceError, match="answers with more than 5 redirects"):
            await api.fetch_data("x")
        assert len(server.asked) == 6
    async with api_with(always(Reply(307, headers={"Location": "/v1/search"})), method="POST") as (api, server):
        with pytest.raises(ServiceError, match="answers with status 307"):
            await api.fetch_data("x")
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("settings", "status", "healthy"),
    [
        ({}, 200, True),
        ({}, 404, True),
        ({}, 401, True),
        ({}, 500, False),
        ({"bearer_token": "t0ken"}, 401, False),
        ({"bearer_token": "t0ken"}, 403, True),
        ({"health_path": "/healthz"}, 200, True),
        ({"health_path": "/healthz"}, 404, False),
    ],
)
async def test_health_is_what_the_api_answers(settings: dict[str, str], status: int, healthy: bool) -> None:
    async with api_with(always(Reply(status)), **settings) as (api, server):
        assert await api.health_check() is healthy

        assert server.asked[0].target == ("/v1/healthz" if "health_path" in settings else "/v1/")


async def test_an_api_that_is_away_is_found_again() -> None:
    """It ends in mid-traffic and comes back on the same port: no wrong answer, and no connection left."""

    def echo(asked: Asked) -> Reply:
        return Reply(200, json.dumps({"echo": asked.target}).encode())

    server = HttpServer(echo)
    await server.listen(["127.0.0.1"])
    api = HttpExternalAPIService(f"http://127.0.0.1:{server.port}/", pool_size=5, retries=0)
    await api.initialize()
    failed: list[Exception] = []
    answered_at: list[float] = []
    stop = asyncio.Event()

    async def use(name: str) -> None:
        while not stop.is_set():
            try:
                assert await api.fetch_data(name) == {"echo": f"/?query={name}"}
                answered_at.append(time.monotonic())
            except ServiceUnavailableError as error:
                failed.append(error)
            await asyncio.sleep(0.001)

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - of what several tasks do
                await asyncio.sleep(0.01)

    users = [asyncio.create_task(use(f"user{index}")) for index in range(20)]
    await until(lambda: len(answered_at) > 100)
    await server.end()
    await until(lambda: len(failed) > 20)
    assert not await api.health_check()
    back = time.monotonic()
    await server.listen(["127.0.0.1"], port=server.port)
    await until(lambda: answered_at[-1] > back)
    assert answered_at[-1] - back < 10
    await until(lambda: len(answered_at) > 500)
    stop.set()
    await asyncio.gather(*users)
    assert server.connections <= 5
    await api.close()
    await server.close()
    await server.wait_for_connections(0)


async def test_a_service_must_be_initialised_and_is_closed_once_and_for_all() -> None:
    api = HttpExternalAPIService("http://127.0.0.1:1/")
    with pytest.raises(ServiceError, match="not initialised; await initialize"):
        await api.fetch_data("x")
    await api.initialize()
    await api.initialize()
    await api.close()
    await api.close()
    with pytest.raises(ServiceError, match="closed"):
        await api.fetch_data("x")
    assert not await api.health_check()


async def test_an_api_that_is_not_there_is_told() -> None:
    api = HttpExternalAPIService("http://127.0.0.1:1/", retries=0)
    await api.initialize()
    with pytest.raises(ServiceUnavailableError, match=r"127\.0\.0\.1 cannot be reached: connection refused"):
        await api.fetch_data("x")
    await api.close()


async def test_the_api_is_asked_through_the_proxy() -> None:
    async with http_server(always(Reply(200, b'{"by": "proxy"}'))) as proxy:
        given = {
            "base_url": "http://crm.example/v1",
            "proxy": f"http://user:p%40ss@127.0.0.1:{proxy.port}",
            "allowed_hosts": "docs.example",
        }
        api = HttpExternalAPIService.from_settings(HttpSettings.model_validate(given))
        await api.initialize()
        assert await api.fetch_data("x") == {"by": "proxy"}
        assert proxy.asked[0].target == "http://crm.example/v1?query=x"
        assert proxy.asked[0].headers["proxy-authorization"] == "Basic dXNlcjpwQHNz"
        assert await api.validate_source("https://docs.example/")
        assert not await api.validate_source("https://other.example/")
        await api.close()


async def test_the_double_answers_as_it_is_told() -> None:
    api = TestExternalAPIService({"a": {"found": [1]}}, allowed_hosts=["*.example"])
    api.set_answer("b", ServiceUnavailableError("away"))

    (await api.fetch_data("a"))["found"].append(2)
    assert await api.fetch_data("a") == {"found": [1]}
    assert await api.fetch_data("other") == {"query": "other"}
    with pytest.raises(ServiceUnavailableError, match="away"):
        await api.fetch_data("b")
    assert await api.validate_source("https://a.example/")
    assert not await api.validate_source("https://a.test/")
    assert await api.health_check()
    assert api.get_call_log() == [
        ("fetch", "a"),
        ("fetch", "a"),
        ("fetch", "other"),
        ("fetch", "b"),
        ("validate", "https://a.example/"),
        ("validate", "https://a.test/"),
    ]
