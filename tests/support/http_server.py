"""A real HTTP server on loopback, in the test's own event loop, that answers what the test says."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    target: str
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes
    peer: str
    """The address that the client connected to."""


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    endless: Iterable[bytes] = ()
    """Sent piece by piece, without a length, after the body."""
    breaks_off: bool = False
    """Whether the connection is closed before the body is complete."""


Handler = Callable[[Asked], Reply | Awaitable[Reply]]


def always(reply: Reply) -> Handler:
    """Answer everything the same way."""

    def answer(asked: Asked) -> Reply:
        return reply

    return answer


class HttpServer:
    """What was asked, and how many connections there are."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.asked: list[Asked] = []
        self.accepted = 0
        """How many there were."""
        self.port = 0
        self._servers: list[asyncio.Server] = []
        self._tls: ssl.SSLContext | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def listen(self, hosts: Iterable[str], tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        """Listen on the same port of several addresses."""
        self.port = port
        self._tls = tls
        for host in hosts:
            server = await asyncio.start_server(self._serve, host, self.port)
            self.port = server.sockets[0].getsockname()[1]
            self._servers.append(server)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._writers)

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        self._servers = []

    async def end(self) -> None:
        """End as a crash does: every connection breaks."""
        await self.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def wait_for_connections(self, count: int) -> None:
        """Wait until so many are open at most: the end of one is noticed when its request has been answered."""
        async with asyncio.timeout(20):
            while self.connections > count:  # noqa: ASYNC110 - of what another task counts
                await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.accepted += 1
        try:
            if self._tls is not None:
                await writer.start_tls(self._tls)
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has left
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = Asked(method, target, headers, body, writer.get_extra_info("sockname")[0])
        self.asked.append(asked)
        replied = self.handler(asked)
        reply = replied if isinstance(replied, Reply) else await replied
        length = {} if reply.endless else {"Content-Length": str(len(reply.body) + reply.breaks_off)}
        lines = (f"{name}: {value}\r\n" for name, value in {**length, **reply.headers}.items())
        writer.write(f"HTTP/1.1 {reply.status} X\r\n{''.join(lines)}\r\n".encode("latin-1") + reply.body)
        await writer.drain()
        for piece in reply.endless:
            writer.write(piece)
            await writer.drain()
        return not (reply.endless or reply.breaks_off)


@asynccontextmanager
async def http_server(handler: Handler, *hosts: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpServer]:
    """Run a server, on 127.0.0.1 unless other addresses are given; it ends with no connection open."""
    server = HttpServer(handler)
    await server.listen(hosts or ("127.0.0.1",), tls)
    try:
        yield server
    except BaseException:
        await server.end()
        raise
    await server.close()
    await server.wait_for_connections(0)
