"""Signals that ask to stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AT_ONCE = 130
"""What a shell says of a process that Ctrl-C has ended."""


class Stop:
    """What signals ask for."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.event = threading.Event()
        self._asked = 0

    def ask(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Note a signal."""
        self._asked += 1
        self.event.set()

    @property
    def asked(self) -> bool:
        """Whether it is to end."""
        return self._asked > 0

    @property
    def at_once(self) -> bool:
        """Whether it is to end without waiting for running requests."""
        return self._asked > 1


@contextmanager
def signals_noted(stop: Stop) -> Iterator[None]:
    """Have signals ask to stop; a SIGHUP that `nohup` has ignored stays so."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop.ask) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
