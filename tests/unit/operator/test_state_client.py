"""Asking pods for their state, against real servers on loopback that behave as no runtime would."""

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mizzen_operator.state_client import MAX_BYTES, READ_SECONDS, StateClient, StateUnreadableError
from tests.support.http_server import Asked, Handler, HttpServer, Reply, always, http_server

SLACK_SECONDS = 20.0
"""What a busy machine may take beyond the client's own limit."""


def read(handler: Handler, host: str = "127.0.0.1", **options: Any) -> tuple[bytes | str, HttpServer]:
    """Read the state of a server with this handler: give the answer, or why there is none."""

    async def main() -> tuple[bytes | str, HttpServer]:
        async with http_server(handler, host) as server, StateClient(1, port=server.port, **options) as client:
            try:
                return await client.read(host), server
            except StateUnreadableError as error:
                return str(error), server

    return asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_state_is_read_at_an_address_of_either_kind(host: str) -> None:
    answer, server = read(always(Reply(body=b'{"a": 1}')), host)
    assert answer == b'{"a": 1}'
    assert [(asked.method, asked.target) for asked in server.asked] == [("GET", "/state")]


def test_each_reading_has_a_connection_of_its_own() -> None:
    async def main() -> tuple[int, int]:
        async with http_server(always(Reply())) as server, StateClient(2, port=server.port) as client:
            for _ in range(5):
                await client.read("127.0.0.1")
            await server.wait_for_connections(0)
            return server.accepted, server.connections

    assert asyncio.run(main()) == (5, 0)


def test_a_proxy_in_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    assert read(always(Reply()))[0] == b"{}"


async def _never(_: Asked) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets that event")


ANSWERS: dict[str, tuple[Handler, str]] = {
    "not ready": (always(Reply(status=503)), "HTTP 503"),
    "a redirect": (always(Reply(status=302, headers={"Location": "http://127.0.0.1:1/state"})), "HTTP 302"),
    "too large": (
        always(Reply(body=b"x" * (MAX_BYTES + 1))),
        f"the answer has more than {MAX_BYTES} bytes",
    ),
    "endless": (
        lambda _: Reply(endless=itertools.repeat(b"x" * 1024)),
        f"the answer has more than {MAX_BYTES} bytes",
    ),
    "cut off": (always(Reply(breaks_off=True)), "Response payload is not completed"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_no_state_is_told(name: str) -> None:
    handler, expected = ANSWERS[name]
    answer, _ = read(handler, seconds=30.0)
    assert isinstance(answer, str)
    assert expected in answer


def test_what_is_packed_is_not_unpacked() -> None:
    packed = Reply(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert read(always(packed))[0] == b"\x1f\x8b"


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    begun = time.monotonic()

    async def main() -> str:
        server = HttpServer(_never)
        await server.listen(["127.0.0.1"])
        try:
            async with StateClient(1, port=server.port) as client:
                with pytest.raises(StateUnreadableError) as caught:
                    await client.read("127.0.0.1")
            return str(caught.value)
        finally:
            await server.end()

    assert asyncio.run(main()) == "no answer within 1 s"
    assert READ_SECONDS <= time.monotonic() - begun < READ_SECONDS + SLACK_SECONDS


def test_a_port_on_which_nobody_listens_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))

        async def main() -> None:
            async with StateClient(1, port=free.getsockname()[1]) as client:
                await client.read("127.0.0.1")

        with pytest.raises(StateUnreadableError, match="Cannot connect to host"):
            asyncio.run(main())


async def _raw(head: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> str:
    """Read from a server that writes what it likes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            with contextlib.suppress(OSError):  # the client has heard enough, which is what a test may be about
                await head(writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, StateClient(1, port=server.sockets[0].getsockname()[1]) as client:
        with pytest.raises(StateUnreadableError) as caught:
            await client.read("127.0.0.1")
    return str(caught.value)


async def _no_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await writer.drain()


async def _endless_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-A: 1\r\n" * 1000)
        await writer.drain()


@pytest.mark.parametrize("head", [_no_http, _endless_headers], ids=["no HTTP", "endless headers"])
def test_what_is_no_http_is_told(head: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> None:
    assert asyncio.run(_raw(head))
