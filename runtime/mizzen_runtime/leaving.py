"""How the process ends: with its exit code, and in time, whatever threads own code has left behind."""

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn, TypeVar

EXIT_REFUSED = 78
"""`EX_CONFIG` of sysexits.h: a restart does not help, somebody must act."""
EXIT_FAILED = 70
"""`EX_SOFTWARE`: a fault of the runtime itself or of a library."""
LAST_CALL_SECONDS = 1.0
"""How long a connection that was open before is answered when no new ones are accepted any more."""
_LAST_ANSWER_SECONDS = 1.0
"""What an answer that used up its time has for its way out."""
EXIT_SECONDS = 1.0
"""What threads, of the event loop's pool and others that are no daemons, and functions registered with atexit have for
ending after all else has."""

logger = logging.getLogger("mizzen.server")

Result = TypeVar("Result")


def drain_grace(request_timeout: float) -> float:
    """Give the seconds that requests may take to end once no new connections are accepted.

    Args:
        request_timeout: Seconds that a request may take.
    """
    return LAST_CALL_SECONDS + request_timeout + _LAST_ANSWER_SECONDS


def leave(code: int) -> NoReturn:
    """End the process as Python does, and if that takes longer than `EXIT_SECONDS`, without waiting any more."""
    bound_end(code)
    sys.exit(code)


def bound_end(code: int) -> None:
    """End the process after `EXIT_SECONDS`, if it has not ended by then.

    An event loop that is closed waits for the threads of `asyncio.to_thread`: to be called before that.
    """
    bound = threading.Timer(EXIT_SECONDS, _leave_behind, [code])
    bound.daemon = True
    bound.start()


def _leave_behind(code: int) -> None:
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    threads = [thread.name for thread in others if not thread.daemon and thread.is_alive()]
    logger.warning("the process ends without waiting for its threads", extra={"threads": threads})
    leave_at_once(code)


def leave_at_once(code: int) -> NoReturn:
    """End the process from whatever thread, whatever the others do."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    os._exit(code)


def in_abandonable_thread(work: Callable[[], Result]) -> asyncio.Future[Result]:
    """Run `work` in a thread that does not keep the process from ending, unlike those of `asyncio.to_thread`.

    The future is cancelled if what the work waits for is: by then there may be nobody who would look at an error.
    """
    outcome: concurrent.futures.Future[Result] = concurrent.futures.Future()

    def run() -> None:
        with contextlib.suppress(concurrent.futures.InvalidStateError):  # nobody waits for it any more
            try:
                outcome.set_result(work())
            except concurrent.futures.CancelledError:
                outcome.cancel()
            except BaseException as error:  # noqa: BLE001 - it goes to who waits for the outcome
                outcome.set_exception(error)

    threading.Thread(target=run, name="build", daemon=True).start()
    return asyncio.wrap_future(outcome)
