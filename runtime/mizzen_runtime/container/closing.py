"""Closing services: the last that was opened first, each within its time, none kept from it by another's failure."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

GRACE_SECONDS = 1.0
"""What a service has for ending after it was cancelled; after that it is left behind."""

log = logging.getLogger("mizzen.services")

OnCloseFailure = Callable[[str], None]
"""Is told the name of a service, as it is registered, that failed to close."""


class Opened:
    """A service that is to be closed."""

    __slots__ = ("close", "label", "name", "number")

    def __init__(self, close: Callable[[], Awaitable[Any]], name: str, label: str, number: int = 0) -> None:
        self.close = close
        self.name = name
        self.label = label
        self.number = number
        """When it was opened, among all of the container."""


class Closing:
    """Closes services in a task of its own, so that whoever waits for it may be cancelled as often as they are."""

    __slots__ = (
        "_began",
        "_current",
        "_finished",
        "_is_late",
        "_on_failure",
        "_opened",
        "_seconds",
        "_task",
        "_timer",
        "done",
    )

    def __init__(
        self,
        opened: list[Opened],
        seconds: float,
        on_failure: OnCloseFailure | None = None,
        finished: Callable[[], None] | None = None,
    ) -> None:
        """Begin to close services.

        Args:
            opened: In the order in which they were opened; it is emptied.
            seconds: What each has for it.
            on_failure: Is told of each that fails.
            finished: Is called when all are closed or left behind.
        """
        loop = asyncio.get_running_loop()
        self._opened = opened
        self._seconds = seconds
        self._on_failure = on_failure
        self._finished = finished
        self._current: Opened | None = None
        self._is_late = False
        self._began = loop.time()
        self.done: asyncio.Future[None] = loop.create_future()
        """Done when all are closed or left behind."""
        # One timer for all: it looks after whichever is being closed when it rings.
        self._timer = loop.call_later(seconds, self._ring)
        self._task = loop.create_task(self._run())

    async def _run(self) -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        while self._opened:
            opened = self._current = self._opened.pop()
            self._began, self._is_late = loop.time(), False
            failure: BaseException | None = None
            try:
                await opened.close()
            except BaseException as error:  # noqa: BLE001 - whatever it is, the others are to be closed
                failure = error
            if task is not self._task:
                return  # it was left behind, and another task goes on in its place
            if failure is not None:
                self._failed(opened, failure)
        self._current = None
        self._timer.cancel()
        if self._finished is not None:
            self._finished()
        if not self.done.done():
            self.done.set_result(None)

    def _ring(self) -> None:
        """Cancel the one that is being closed if its time is over; leave it behind if that was to no avail."""
        loop = asyncio.get_running_loop()
        until = self._began + self._seconds + (GRACE_SECONDS if self._is_late else 0)
        if self._current is not None and loop.time() >= until:
            if self._is_late:
                self._tell(self._current, f"it did not end {GRACE_SECONDS:g} s after it was cancelled")
                self._task = loop.create_task(self._run())
                self._began, self._is_late = loop.time(), False
                until = self._began + self._seconds
            else:
                self._is_late = True
                self._task.cancel()
                until += GRACE_SECONDS
        self._timer = loop.call_at(until, self._ring)

    def _failed(self, opened: Opened, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError):
            self._tell(opened, "it raised", error)
            return
        self._task.uncancel()
        self._tell(opened, f"it took longer than {self._seconds:g} s" if self._is_late else "it was cancelled")

    def _tell(self, opened: Opened, reason: str, error: BaseException | None = None) -> None:
        log.warning("a service failed to close", extra={"service": opened.label, "reason": reason}, exc_info=error)
        if self._on_failure is not None:
            self._on_failure(opened.name)
