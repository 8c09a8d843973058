"""Fetching what a URL of unknown origin leads to. Names are looked up by the tests: see `Names`."""

import asyncio
import contextlib
import gzip
import ipaddress
import socket
import ssl
import subprocess
import time
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import psutil
import pytest

from mizzen_runtime.implementations.http_client import HttpProxy, ResponseTooLargeError
from mizzen_runtime.implementations.http_guard import GuardedFetcher, SourceRefusedError
from mizzen_runtime.implementations.http_urls import parse_url
from mizzen_runtime.services import ServiceError, ServiceUnavailableError
from tests.support.http_server import Asked, HttpServer, Reply, always, http_server

pytestmark = pytest.mark.anyio

PUBLIC = "127.0.0.1"
"""Stands for a public address: the tests allow it."""
INTERNAL = "127.0.0.2"
"""Loopback, and not allowed."""


class Names:
    """Stands in for the DNS, by the seam that `GuardedFetcher` has for it."""

    def __init__(self, **addresses: Sequence[str]) -> None:
        self.addresses = {name.replace("_", "."): found for name, found in addresses.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(f"{host}:{port}")
        if host not in self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.addresses[host]


@asynccontextmanager
async def fetcher_with(
    names: Any, hosts: Sequence[str] = ("*.example",), **settings: Any
) -> AsyncIterator[GuardedFetcher]:
    fetcher = GuardedFetcher(
        allowed_hosts=hosts,
        allowed_networks=[ipaddress.ip_network(PUBLIC), ipaddress.ip_network("::1/128")],
        resolver=names,
        **settings,
    )
    try:
        yield fetcher
    finally:
        await fetcher.close()


async def test_what_a_public_url_leads_to_is_fetched() -> None:
    names = Names(www_example=[PUBLIC])
    async with (
        http_server(always(Reply(201, b"hello", {"X-Kind": "a"}))) as server,
        fetcher_with(names) as fetcher,
    ):
        url = f"http://www.example:{server.port}/a/b?c=d"
        answer = await fetcher.fetch(f"{url}#e", {"Accept": "text/plain"})

        assert (answer.url, answer.status, answer.body, answer.headers["x-kind"]) == (url, 201, b"hello", "a")
        (asked,) = server.asked
        assert (asked.method, asked.target) == ("GET", "/a/b?c=d")
        assert asked.headers["host"] == f"www.example:{server.port}"
        assert asked.headers["accept"] == "text/plain"


async def test_a_connection_is_used_again() -> None:
    async with http_server(always(Reply())) as server, fetcher_with(Names(a_example=[PUBLIC])) as fetcher:
        for _ in range(5):
            await fetcher.fetch(f"http://a.example:{server.port}/")

        assert server.accepted == 1


@pytest.mark.parametrize(
    "found", [[INTERNAL], [PUBLIC, INTERNAL], [INTERNAL, PUBLIC], ["169.254.169.254"], ["fe80::1%lo"]]
)
async def test_a_name_that_stands_for_an_internal_address_is_refused(found: list[str]) -> None:
    async with (
        http_server(always(Reply()), PUBLIC, INTERNAL) as server,
        fetcher_with(Names(a_example=found)) as fetcher,
    ):
        url = f"http://a.example:{server.port}/"
        assert not await fetcher.allows(url)
        with pytest.raises(SourceRefusedError, match="it leads to an address that is "):
            await fetcher.fetch(url)

        assert server.accepted == 0


async def test_a_name_that_stands_for_something_else_a_moment_later_is_no_way_round() -> None:
    """DNS rebinding: each lookup answers something else; where a connection went was checked in the same lookup."""

    answers = cycle([[PUBLIC], [INTERNAL]])

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return next(answers)

    async with (
        http_server(always(Reply(headers={"Connection": "close"})), PUBLIC, INTERNAL) as server,
        fetcher_with(rebinding) as fetcher,
    ):
        url = f"http://a.example:{server.port}/"
        for _ in range(10):
            assert await fetcher.allows(url)
            with pytest.raises(SourceRefusedError, match="loopback"):
                await fetcher.fetch(url)
            await fetcher.fetch(url)
            assert not await fetcher.allows(url)

        assert {asked.peer for asked in server.asked} == {PUBLIC}


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate of a.example, with its key in the same file."""
    file = tmp_path / "a.example"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=x", "-addext", "subjectAltName=DNS:a.example"),
            *("-keyout", str(tmp_path / "key"), "-out", str(file)),
        ],
        check=True,
        capture_output=True,
    )
    file.write_text(file.read_text() + (tmp_path / "key").read_text())
    return file


async def test_the_connection_goes_to_the_address_and_tls_and_host_keep_the_name(certificate: Path) -> None:
    named: list[str | None] = []

    def note(connection: object, name: str | None, context: object) -> None:
        named.append(name)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    context.sni_callback = note
    names = Names(a_example=[PUBLIC], b_example=[PUBLIC])
    trusted = ssl.create_default_context(cafile=certificate)
    async with (
        http_server(always(Reply()), tls=context) as server,
        fetcher_with(names, trusted=trusted) as fetcher,
    ):
        await fetcher.fetch(f"https://a.example:{server.port}/")
        with pytest.raises(
            ServiceUnavailableError, match=r"hostname mismatch, certificate is not valid for 'b\.example'"
        ):
            await fetcher.fetch(f"https://b.example:{server.port}/")

        assert named == ["a.example", "b.example"]
        assert server.asked[0].headers["host"] == f"a.example:{server.port}"


async def test_a_redirect_from_https_to_http_is_refused(certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    trusted = ssl.create_default_context(cafile=certificate)
    reply = Reply(301, headers={"Location": "http://a.example/"})
    async with (
        http_server(always(reply), tls=context) as server,
        fetcher_with(Names(a_example=[PUBLIC]), trusted=trusted) as fetcher,
    ):
        with pytest.raises(SourceRefusedError, match="it leads from https to http"):
            await fetcher.fetch(f"https://a.example:{server.port}/")


async def test_a_server_that_does_not_speak_tls_is_told() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 X\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, PUBLIC)
    async with server, fetcher_with(Names(a_example=[PUBLIC])) as fetcher:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ServiceUnavailableError, match="TLS cannot be agreed on; is it a port for TLS"):
            await fetcher.fetch(f"https://a.example:{port}/")


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port of 127.0.0.1 that takes no connection and refuses none: its queue is full."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server((PUBLIC, 0), backlog=0))
        for _ in range(3):
            waiting = sockets.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_connecting_ends_in_time(black_hole: int) -> None:
    names = Names(a_example=[PUBLIC])
    async with fetcher_with(names, connect_timeout_seconds=0.3, call_timeout_seconds=60) as fetcher:
        start = time.monotonic()
        with pytest.raises(ServiceUnavailableError, match=r"cannot be reached within connect_timeout_seconds"):
            await fetcher.fetch(f"http://a.example:{black_hole}/")
        assert time.monotonic() - start < 10


async def test_a_second_address_is_tried_when_the_first_does_not_answer() -> None:
    async with http_server(always(Reply())) as server, fetcher_with(Names(a_example=["::1", PUBLIC])) as fetcher:
        assert (await fetcher.fetch(f"http://a.example:{server.port}/")).status == 200


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("http://internal.example:{port}/", "leads to an address that is loopback"),
        ("http://127.0.0.2:{port}/", "its host is not in allowed_hosts"),
        ("//internal.example:{port}/", "leads to an address that is loopback"),
        ("http://user@b.example:{port}/", "user name or a password"),
        ("http://b.example:{port}\\@internal.example/", "backslash"),
        ("file:///etc/passwd", "does not begin with http"),
        ("gopher://b.example/", "does not begin with http"),
        ("http://[::1/", "cannot be read"),
        ("http://elsewhere.test/", "its host is not in allowed_hosts"),
    ],
)
async def test_each_redirect_is_checked(location: str, told: str) -> None:
    names = Names(a_example=[PUBLIC], b_example=[PUBLIC], internal_example=[INTERNAL], elsewhere_test=[PUBLIC])

    def reply(asked: Asked) -> Reply:
        return Reply(302, headers={"Location": location.format(port=server.port)})

    async with http_server(reply, PUBLIC, INTERNAL) as server, fetcher_with(names) as fetcher:
        with pytest.raises(SourceRefusedError, match=told):
            await fetcher.fetch(f"http://a.example:{server.port}/")

        assert len(server.asked) == 1


async def test_redirects_are_followed_and_counted() -> None:
    names = Names(a_example=[PUBLIC], b_example=[PUBLIC])

    def reply(asked: Asked) -> Reply:
        left = int(asked.target.strip("/"))
        host = f"http://b.example:{server.port}" if left % 2 else ""
        return Reply(307, headers={"Location": f"{host}/{left - 1}"}) if left else Reply(200, b"there")

    async with http_server(reply) as server, fetcher_with(names) as fetcher:
        answer = await fetcher.fetch(f"http://a.example:{server.port}/5")
        assert (answer.body, answer.url) == (b"there", f"http://b.example:{server.port}/0")

        with pytest.raises(SourceRefusedError, match="more than 5 redirects"):
            await fetcher.fetch(f"http://a.example:{server.port}/6")


def bomb(size: int) -> bytes:
    return gzip.compress(b"\0" * size)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(200, b"x" * 100_001), ResponseTooLargeError),
        (Reply(200, b"", endless=(b"x" * 1000 for _ in iter(int, 1))), ResponseTooLargeError),
        (Reply(200, bomb(100_000_000), {"Content-Encoding": "gzip"}), ResponseTooLargeError),
        (Reply(200, b"", {"Content-Encoding": "gzip"}, endless=[bomb(100_000_000)]), ResponseTooLargeError),
        (Reply(200, zlib.compress(b"x"), {"Content-Encoding": "deflate"}), ServiceError),
        (Reply(200, b"x", {"Content-Encoding": "br"}), ServiceError),
        (Reply(200, gzip.compress(gzip.compress(b"x")), {"Content-Encoding": "gzip, gzip"}), ServiceError),
        (Reply(200, b"no gzip", {"Content-Encoding": "gzip"}), ServiceError),
        (Reply(200, gzip.compress(b"x") + b"more", {"Content-Encoding": "gzip"}), ServiceError),
        (Reply(200, gzip.compress(b"x" * 9999)[:-8], {"Content-Encoding": "gzip"}), ServiceUnavailableError),
        (Reply(200, b"half", breaks_off=True), ServiceUnavailableError),
        (Reply(200, b"", {"X-Large": "x" * 200_000}), ServiceUnavailableError),
    ],
)
async def test_an_answer_is_bounded_as_it_comes_and_decompressed(reply: Reply, error: type[ServiceError]) -> None:
    async with (
        http_server(always(reply)) as server,
        fetcher_with(Names(a_example=[PUBLIC]), max_response_bytes=100_000, pool_size=1) as fetcher,
    ):
        with pytest.raises(error):
            await fetcher.fetch(f"http://a.example:{server.port}/")

        server.handler = always(Reply(200, gzip.compress(b"x" * 100_000), {"Content-Encoding": "gzip"}))
        assert (await fetcher.fetch(f"http://a.example:{server.port}/")).body == b"x" * 100_000
        assert server.connections <= 1


async def test_a_fetch_ends_at_its_deadline_whoever_does_not_answer() -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60 if host == "slow.example" else 0)
        return [PUBLIC]

    release = asyncio.Event()

    async def wait(asked: Asked) -> Reply:
        await release.wait()
        return Reply()

    async with (
        http_server(wait) as server,
        fetcher_with(lookup, call_timeout_seconds=0.3, connect_timeout_seconds=9) as fetcher,
    ):
        for host in ("slow.example", "a.example"):
            start = time.monotonic()
            with pytest.raises(ServiceUnavailableError, match=r"there was no answer within 0\.3 s"):
                await fetcher.fetch(f"http://{host}:{server.port}/")
            assert time.monotonic() - start < 3
        assert not await fetcher.allows(f"http://slow.example:{server.port}/")
        release.set()
        assert (await fetcher.fetch(f"http://a.example:{server.port}/")).status == 200


async def test_a_lookup_counts_as_connecting() -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return [PUBLIC]

    async with fetcher_with(lookup, call_timeout_seconds=30, connect_timeout_seconds=0.2) as fetcher:
        with pytest.raises(
            ServiceUnavailableError, match=r"a\.example cannot be reached within connect_timeout_seconds"
        ):
            await fetcher.fetch("http://a.example/")


async def test_an_unknown_host_is_told() -> None:
    async with fetcher_with(Names()) as fetcher:
        assert not await fetcher.allows("http://a.example/")
        with pytest.raises(ServiceUnavailableError, match="the URL's host cannot be resolved"):
            await fetcher.fetch("http://a.example/")


def client_sockets(server: HttpServer) -> int:
    """Count this process's open connections to the server: the server itself notices an end later."""
    connections = psutil.Process().net_connections("tcp")
    return sum(bool(each.raddr) and each.raddr.port == server.port for each in connections)


async def test_connections_are_bounded_and_cancelled_fetches_leave_none() -> None:
    counts: list[int] = []

    async def reply(asked: Asked) -> Reply:
        counts.append(client_sockets(server))
        await asyncio.sleep(0.01)
        return Reply()

    async with http_server(reply) as server, fetcher_with(Names(a_example=[PUBLIC]), pool_size=3) as fetcher:
        url = f"http://a.example:{server.port}/"
        for pause in range(1, 20):
            fetches = [asyncio.create_task(fetcher.fetch(url)) for _ in range(10)]
            await asyncio.sleep(pause / 1000)
            for fetch in fetches:
                fetch.cancel()
            await asyncio.gather(*fetches, return_exceptions=True)
        answers = await asyncio.gather(*(fetcher.fetch(url) for _ in range(30)))

        assert {answer.status for answer in answers} == {200}
        assert max(counts) == 3
        await fetcher.close()
        assert client_sockets(server) == 0


def proxy_at(port: int, *credentials: str) -> HttpProxy:
    return HttpProxy(parse_url(f"http://127.0.0.1:{port}"), (credentials[0], credentials[1]))


async def test_through_a_proxy_only_the_list_counts() -> None:
    names = Names()
    async with http_server(always(Reply(200, b"by proxy"))) as server:
        proxy = proxy_at(server.port, "user", "pass")
        async with fetcher_with(names, ["a.example", "10.0.0.1"], proxy=proxy) as fetcher:
            assert await fetcher.allows("http://a.example/")
            assert (await fetcher.fetch("http://a.example/x")).body == b"by proxy"
            assert (await fetcher.fetch("http://10.0.0.1/")).body == b"by proxy"
            assert not await fetcher.allows("http://b.example/")
            for refused in ("http://b.example/", "http://10.0.0.2/"):
                with pytest.raises(SourceRefusedError, match="not in allowed_hosts"):
                    await fetcher.fetch(refused)

        assert names.asked == []
        assert [asked.target for asked in server.asked] == ["http://a.example/x", "http://10.0.0.1/"]
        assert server.asked[0].headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"


async def test_a_proxy_that_refuses_is_told_without_its_credentials() -> None:
    async with http_server(always(Reply(407))) as server:
        async with fetcher_with(Names(), proxy=proxy_at(server.port, "user", "s3cret")) as fetcher:
            with pytest.raises(ServiceUnavailableError, match="the proxy refuses the connection") as told:
                await fetcher.fetch("https://a.example/")

        assert "s3cret" not in str(told.value)
        assert (server.asked[0].method, server.asked[0].target) == ("CONNECT", "a.example:443")
