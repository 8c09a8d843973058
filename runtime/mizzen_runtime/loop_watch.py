"""Watches the event loop: how late it is, and where own code holds it up.

Code that blocks the loop stops everything: other requests, and the answer to `/livez`, by which kubelet restarts the
container in the end. A thread beside the loop sees it meanwhile, and says where the loop's thread is.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

from mizzen_runtime.own_code.places import place_of_thread

BEAT_SECONDS = 0.1
"""How often the loop is to show that it turns."""
BLOCKED_SECONDS = 0.5
"""From when on the loop counts as blocked, and the log says where."""
QUIET_SECONDS = 10.0
"""What is logged of it at most once in this time: code that blocks does so at each request."""
WINDOW_SECONDS = 30.0
"""Over which the lag is the largest: longer than Prometheus takes from one scrape to the next, mostly."""

log = logging.getLogger("mizzen.loop")


class LoopWatch:
    """Watches the loop in which it is entered."""

    def __init__(self, package: str) -> None:
        """Watch nothing yet.

        Args:
            package: Top-level package of own code, whose places are told before those of libraries.
        """
        self._package = package
        self._beat = time.monotonic()
        self._lags: deque[float] = deque([0.0], maxlen=round(WINDOW_SECONDS / BEAT_SECONDS))
        self._is_over = threading.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = float("-inf")

    @property
    def lag(self) -> float:
        """Seconds that the loop was late at most, over the last `WINDOW_SECONDS`."""
        return max(self._lags)

    def __enter__(self) -> Self:
        """Begin to watch; to be called in the loop's thread."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._show()
        threading.Thread(target=self._watch, name="loop-watch", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._is_over.set()
        if self._timer is not None:
            self._timer.cancel()

    def _show(self) -> None:
        """Show that the loop turns. Called by the loop."""
        now = time.monotonic()
        if self._timer is not None:
            self._lags.append(max(0.0, now - self._beat - BEAT_SECONDS))
        self._beat = now
        self._timer = self._loop.call_later(BEAT_SECONDS, self._show)

    def _watch(self) -> None:
        while not self._is_over.wait(BEAT_SECONDS):
            seconds = time.monotonic() - self._beat - BEAT_SECONDS
            if seconds >= BLOCKED_SECONDS and time.monotonic() - self._told_at >= QUIET_SECONDS:
                self._told_at = time.monotonic()
                place = place_of_thread(self._loop_thread, self._package)
                log.warning(
                    "the event loop is blocked, and with it every request: await what takes long, or make it a "
                    "function without async, which runs in a thread",
                    extra={"seconds": round(seconds, 3), "place": place},
                )
