"""Waiting for a condition with a deadline, never for luck."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_for(probe: Callable[[], Found | None], what: str, *, seconds: float = 60, interval: float = 0.05) -> Found:
    """Give the first result of `probe` that is neither None nor False nor an empty list.

    Raises:
        AssertionError: There was none in time; the message says what was waited for and what was seen last.
    """
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        try:
            found = probe()
        except AssertionError as error:
            last = error
        else:
            if found is not None and found is not False and found != []:
                return found
            last = found
        time.sleep(interval)
    raise AssertionError(f"{what}: not within {seconds} s; last seen: {last}")
