"""A server that answers as an agent does, and fails one request in so many."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

_KEPT = b"HTTP/1.1 200 OK\r\n"


class Answer:
    """One request, and the ways to answer it."""

    def __init__(self, writer: asyncio.StreamWriter, question: str, *, streamed: bool) -> None:
        self.question = question
        self.streamed = streamed
        self.writer = writer

    def result(self, output: str) -> bytes:
        return json.dumps({"output": output, "revision": "abc"}).encode()

    def head(self, length: int | None) -> bytes:
        if length is None:
            return _KEPT + b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        return _KEPT + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % length

    async def whole(self, output: str) -> None:
        """Answer, with `output`, as it was asked for: in one piece or as a stream."""
        if self.streamed:
            self.writer.write(self.head(None) + self.events(output) + _chunk(b""))
        else:
            body = self.result(output)
            self.writer.write(self.head(len(body)) + body)
        await self.writer.drain()

    def events(self, output: str) -> bytes:
        first, _, rest = output.partition(" ")
        deltas = b"".join(
            _chunk(b"event: delta\ndata: %b\n\n" % json.dumps({"text": text}).encode()) for text in (first, f" {rest}")
        )
        return deltas + _chunk(b"event: result\ndata: %b\n\n" % self.result(output))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


Fault = Callable[[Answer], Awaitable[None]]
"""What is done instead of an answer."""


async def drops(answer: Answer) -> None:
    """Close without a word."""
    answer.writer.close()


async def closes_unannounced(answer: Answer) -> None:
    """Answer, and close behind it without having said so: the next request may be on its way already."""
    await answer.whole(answer.question)
    answer.writer.close()


async def cuts_the_body(answer: Answer) -> None:
    """Close in the middle of the answer."""
    answer.writer.write(answer.head(1000) + b'{"output":')
    answer.writer.close()


async def cuts_the_stream(answer: Answer) -> None:
    """Close in the middle of the events, which HTTP knows as broken off."""
    answer.writer.write(answer.head(None) + answer.events(answer.question)[:-60])
    answer.writer.close()


async def leaves_the_result_out(answer: Answer) -> None:
    """End the stream behind its first event, in a way that HTTP takes for its end."""
    event = b'event: delta\ndata: {"text": "Once"}\n\n'
    answer.writer.write(answer.head(None) + _chunk(event) + _chunk(b""))


async def loses_a_piece(answer: Answer) -> None:
    """Stream a result that is more than the pieces before it."""
    events = answer.events(answer.question)
    answer.writer.write(answer.head(None) + events[events.index(b"\r\n", 10) + 2 :] + _chunk(b""))


async def answers_another(answer: Answer) -> None:
    """Give somebody else's answer."""
    await answer.whole("somebody else's")


async def says_no(answer: Answer) -> None:
    """Answer 503."""
    answer.writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")


async def hangs(answer: Answer) -> None:
    """Say nothing, for longer than anybody waits."""
    await asyncio.sleep(30)


class FaultyAgent:
    """The server on a free port of loopback, in a thread of its own, from entering to leaving."""

    def __init__(self, fault: Fault, *, every: int) -> None:
        self._fault = fault
        self._every = every
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: asyncio.Server | None = None
        self.received = 0
        """Requests."""
        self.faults = 0
        """How many of them were not answered as they should be."""

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1/run"

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            while head := await _read_head(reader):
                length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
                body = json.loads(await reader.readexactly(int(length)))
                self.received += 1
                answer = Answer(writer, body["input"], streamed=body["stream"])
                if self.received % self._every == 0:
                    self.faults += 1
                    await self._fault(answer)
                else:
                    await answer.whole(answer.question)


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
