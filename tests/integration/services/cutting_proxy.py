"""Between a client and a server on the loopback: cuts the connection at a moment of the test's choice."""

import asyncio
from typing import Self


class CuttingProxy:
    """Hands on what both sides say, until the server says what it is told to wait for."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._marker: bytes | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.cuts = 0

    def cut_before(self, marker: bytes) -> None:
        """Cut, once, instead of handing on the answer that has this in it."""
        self._marker = marker

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._hand_on(reader, server_writer, marked=False))
                    both.create_task(self._hand_on(server_reader, writer, marked=True))
            finally:
                server_writer.close()
        except* (OSError, _Ended):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, marked: bool) -> None:
        while data := await reader.read(65536):
            if marked and self._marker is not None and self._marker in data:
                self._marker = None
                self.cuts += 1
                raise _Ended
            writer.write(data)
            await writer.drain()
        raise _Ended


class _Ended(Exception):  # noqa: N818 - no error
    """One side has closed, or it was cut."""
