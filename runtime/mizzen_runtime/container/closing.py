"""Closing services: the last that was opened first, each within its time, none kept from it by another's failure."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from mizzen_runtime.container.registration import Registration

GRACE_SECONDS = 1.0
"""What a service has for ending after it was cancelled; after that it is left behind."""

log = logging.getLogger("mizzen.services")

OnCloseFailure = Callable[[str], None]
"""Is told the name of a service, or else of its implementation, that failed to close."""
Opened = tuple[Callable[[], Awaitable[Any]], Registration]
"""How a service is closed, and which it is."""


class Closing:
    """Closes services in a task of its own, so that whoever waits for it may be cancelled as often as they are."""

    __slots__ = (
        "_began",
        "_current",
        "_finished",
        "_is_late",
        "_loop",
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
        loop = self._loop = asyncio.get_running_loop()
        self._opened = opened
        self._seconds = seconds
        self._on_failure = on_failure
        self._finished = finished
        self._current: Registration | None = None
        self._is_late = False
        self._began = 0.0
        self.done: asyncio.Future[None] = loop.create_future()
        """Done when all are closed or left behind."""
        self._task = loop.create_task(self._run())
        # One timer for all, which looks after whichever is being closed when it rings, and none if nobody has to wait:
        # this is called once the task has run to where it waits for the first time.
        self._timer: asyncio.Handle = loop.call_soon(self._ring)

    async def wait(self) -> None:
        """Wait until all are closed or left behind, also if whoever waits is cancelled meanwhile.

        Raises:
            asyncio.CancelledError: It was, in the end.
        """
        cancelled: asyncio.CancelledError | None = None
        while not self.done.done():
            try:
                await asyncio.wait({self.done})
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def _run(self) -> None:
        task = self._task
        while self._opened:
            close, self._current = self._opened.pop()
            self._began, self._is_late = self._loop.time(), False
            failure: BaseException | None = None
            try:
                await close()
            except BaseException as error:  # noqa: BLE001 - whatever it is, the others are to be closed
                failure = error
            if task is not self._task:
                return  # it was left behind, and another task goes on in its place
            if failure is not None:
                self._failed(self._current, failure)
        self._current = None
        self._timer.cancel()
        if self._finished is not None:
            self._finished()
        if not self.done.done():
            self.done.set_result(None)

    def _ring(self) -> None:
        """Cancel the one that is being closed if its time is over; leave it behind if that was to no avail."""
        if self._task.done():  # an event loop that ends cancels all, here what had not even begun
            self._task = self._loop.create_task(self._run())
        until = self._began + self._seconds + (GRACE_SECONDS if self._is_late else 0)
        if self._current is not None and self._loop.time() >= until:
            if self._is_late:
                self._tell(self._current, f"it did not end {GRACE_SECONDS:g} s after it was cancelled")
                self._task = self._loop.create_task(self._run())
                self._began, self._is_late = self._loop.time(), False
                until = self._began + self._seconds
            else:
                self._is_late = True
                self._task.cancel()
                until += GRACE_SECONDS
        self._timer = self._loop.call_at(until, self._ring)

    def _failed(self, registration: Registration, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError):
            self._tell(registration, "it raised", error)
            return
        self._task.uncancel()
        self._tell(registration, f"it took longer than {self._seconds:g} s" if self._is_late else "it was cancelled")

    def _tell(self, registration: Registration, reason: str, error: BaseException | None = None) -> None:
        log.warning(
            "a service failed to close", extra={"service": registration.label, "reason": reason}, exc_info=error
        )
        if self._on_failure is None:
            return
        try:
            self._on_failure(registration.short)
        except Exception:
            log.exception("what counts services that fail to close failed itself")
