"""Ends a start that own code holds up. Python cannot interrupt an import, nor an event loop that code blocks."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, Self

from mizzen_api.problems import Problem
from mizzen_runtime import log as logs
from mizzen_runtime.own_code.places import place_of_awaiting, place_of_thread, stacks

log = logging.getLogger("mizzen.start")


class StartWatch:
    """Watches what is inside, from a thread of its own."""

    def __init__(self, seconds: float, give_up: Callable[[Problem], NoReturn]) -> None:
        """Prepare to watch.

        Args:
            seconds: How long it may take in all.
            give_up: Ends the process; called from the watching thread.
        """
        self._seconds = seconds
        self._give_up = give_up
        self._field = ""
        self._package = ""
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._thread = 0
        self.doing = ""
        """What is being done, such as `importing acme.agents`."""
        self.awaited: tuple[object, int] | None = None
        """The coroutine that is waited for, and the thread of its event loop."""

    def __enter__(self) -> Self:
        """Be ready; the clock starts with the first own code."""
        return self

    def begin(self, doing: str, field: str, package: str) -> None:
        """Note what is being done from now on.

        Args:
            doing: Such as `importing acme.agents`.
            field: Where the resource names it.
            package: Top-level package of the own code.
        """
        self.doing, self._field, self._package = doing, field, package
        self._thread = threading.get_ident()
        if not self._timer.is_alive():
            self._timer.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._timer.cancel()

    def _expire(self) -> None:
        logs.restore(self._package)  # own code may have silenced it before it hung
        log.error("own code holds up the start; where every thread is:", extra={"stacks": stacks()})
        place = self._place()
        self._give_up(
            Problem(
                field=self._field,
                message=f"{self.doing} takes longer than {self._seconds:g} s{f'; it is at {place}' if place else ''}",
                remedy="do nothing at import and in a factory that may hang, or give it a time limit of its own",
            )
        )

    def _place(self) -> str | None:
        if self.awaited is None:
            return place_of_thread(self._thread, self._package)
        awaiting, loop_thread = self.awaited
        if getattr(awaiting, "cr_running", False):  # it blocks the event loop
            return place_of_thread(loop_thread, self._package)
        return place_of_awaiting(awaiting, self._package)
