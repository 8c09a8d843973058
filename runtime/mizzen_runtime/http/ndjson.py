"""Reads a body line by line while it arrives: NDJSON, of which only so much is held as one line may have."""

import asyncio
import time
from collections.abc import AsyncIterator

from mizzen_runtime.http.asgi import Message, Receive
from mizzen_runtime.http.body import ClientGone, too_slow

CONTENT_TYPE = b"application/x-ndjson"


class LineTooLong(Exception):  # noqa: N818 - stands for a line
    """A line had more bytes than a line may have; it was passed over."""


class NdjsonBody:
    """The lines of a body.

    It is read ahead up to the size of one line: a client that sends all of a small body before it reads does not wait
    for itself. One that sends more than that must read in between.
    """

    def __init__(self, receive: Receive, max_line_bytes: int) -> None:
        """Read nothing yet.

        Args:
            receive: Where the body comes from.
            max_line_bytes: What one line may have, and what is read ahead.
        """
        self._receive = receive
        self._limit = max_line_bytes
        self._read = bytearray()
        self._is_whole = False
        self._passes_over = False
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()

    async def receive(self) -> Message:
        """Give the next message as it came, and keep what it holds of the body. Waits while enough was read ahead."""
        while len(self._read) > self._limit:
            self._room.clear()
            await self._room.wait()
        message = await self._receive()
        if message["type"] == "http.request" and not self._is_whole:
            self._read += message.get("body", b"")
            self._is_whole = not message.get("more_body", False)
            self._arrived.set()
        return message

    async def begin(self) -> None:
        """Wait for the first bytes.

        Raises:
            ClientGone: The client left before.
        """
        if (await self.receive())["type"] == "http.disconnect":
            raise ClientGone

    async def lines(self, seconds: float, deadline: float) -> AsyncIterator[bytes | LineTooLong]:
        """Give the lines that are not empty, as somebody else calls `receive`.

        Args:
            seconds: How long they may take, for the message.
            deadline: When that is over (`time.perf_counter`).

        Raises:
            RequestRefused: They were not complete by then.
        """
        while True:
            while (line := self._next_line()) is not None:
                if isinstance(line, LineTooLong) or line.strip():
                    yield line
            if self._is_whole:
                return
            self._arrived.clear()
            try:
                async with asyncio.timeout(deadline - time.perf_counter()):
                    await self._arrived.wait()
            except TimeoutError as error:
                raise too_slow(seconds) from error

    def _next_line(self) -> bytes | LineTooLong | None:
        """Take a line of what was read; None if it holds no whole one."""
        end = self._read.find(b"\n")
        if end < 0:
            return self._last_line() if self._is_whole else self._unfinished_line()
        line = self._take(end + 1)
        if self._passes_over:  # this is the rest of one that was too long
            self._passes_over = False
            return self._next_line()
        return line if len(line) <= self._limit + 1 else LineTooLong()

    def _last_line(self) -> bytes | LineTooLong | None:
        line = self._take(len(self._read))
        if not line or self._passes_over:
            return None
        return line if len(line) <= self._limit else LineTooLong()

    def _unfinished_line(self) -> LineTooLong | None:
        if len(self._read) <= self._limit:
            return None
        self._take(len(self._read))
        was_told, self._passes_over = self._passes_over, True
        return None if was_told else LineTooLong()

    def _take(self, count: int) -> bytes:
        taken = bytes(self._read[:count])
        del self._read[:count]
        self._room.set()
        return taken
