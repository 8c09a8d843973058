"""Notices that a client leaves while its answer is being made: uvicorn tells it, but stops nothing."""

import asyncio
from types import TracebackType
from typing import Literal

from mizzen_runtime.http.asgi import Receive
from mizzen_runtime.http.body import ClientGone


class CancelWhenClientLeaves:
    """Cancels the task that entered it when the client leaves, and raises `ClientGone` out of it instead.

    To be entered when the body has been read: what `receive` gives after that is the disconnect.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request is answered in a task")
        self._task = task
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self._watcher.cancel()
        # It refers to us by its traceback: together they would wait for the garbage collector, after each request.
        del self._watcher
        # Somebody else's cancellation, counted beside ours, goes on as one.
        if self._gone and self._task.uncancel() == 0 and isinstance(error, asyncio.CancelledError):
            raise ClientGone from error
        return False
