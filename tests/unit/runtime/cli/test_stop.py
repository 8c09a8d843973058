"""Signals that ask to stop."""

import os
import signal

from mizzen_runtime.cli.stop import Stop, signals_noted


def test_a_hangup_that_is_ignored_stays_so() -> None:
    stop = Stop()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_noted(stop):
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.asked
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.asked
    finally:
        signal.signal(signal.SIGHUP, before)
