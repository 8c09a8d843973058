"""What a person sees while something takes time: on standard error, so that results can be piped."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LINE_EVERY = 15.0  # seconds between lines when nobody watches a terminal

Report = Callable[[str], None]


def silent(_: str) -> None:
    """Report nothing."""


def say(message: str) -> None:
    """Report one line on standard error."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def step(report: Report, title: str) -> Iterator[None]:
    """Report a step with the seconds it took, once it has ended well."""
    begun = time.monotonic()
    yield
    report(f"  {title}: {time.monotonic() - begun:.1f} s")


class Ticker:
    """One line that is kept current: rewritten in place on a terminal, repeated every 15 s elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = time.monotonic()

    def update(self, message: str) -> None:
        """Show the message now, if it is time."""
        now = time.monotonic()
        if now - self._last < (0.2 if self._terminal else _LINE_EVERY):
            return
        self._last = now
        if self._terminal:
            print(f"\r\033[K  {message}", end="", file=sys.stderr, flush=True)
        else:
            say(f"  {message}")

    def close(self) -> None:
        """Clear the line."""
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
