import asyncio
import socket
from pathlib import Path

import pytest

from mizzen_runtime.http import server
from mizzen_runtime.http.asgi import Receive, Scope, Send, respond
from mizzen_runtime.http.server import HttpServer, bind

pytestmark = pytest.mark.anyio
SIZE = 50_000_000
"""More than the buffers between two sockets hold."""


async def large_answer(_scope: Scope, _receive: Receive, send: Send) -> None:
    await respond(send, 200, bytes(SIZE), b"text/plain")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def until_open_files_are(count: int) -> None:
    async with asyncio.timeout(20):
        while open_files() != count:  # noqa: ASYNC110 - nobody tells when a file is closed
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("wish", [b"keep-alive", b"close"])
async def test_an_answer_that_is_not_read_is_cut_off_in_time(monkeypatch: pytest.MonkeyPatch, wish: bytes) -> None:
    monkeypatch.setattr(server, "_KEEP_ALIVE_SECONDS", 0.3)
    serving = HttpServer(large_answer, bind("127.0.0.1", 0), drain_grace=1)
    await serving.start()
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as client:
        before = open_files()
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: %b\r\n\r\n" % wish)
        await until_open_files_are(before + 1)
        await until_open_files_are(before)
        received = 0
        while piece := client.recv(1 << 20):
            received += len(piece)
    assert 0 < received < SIZE
    await serving.stop()
