"""Where code is: of an exception, of a thread, of a coroutine that waits. Own code's places come before libraries'."""

import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from types import FrameType, TracebackType

_Place = tuple[FrameType, int]
"""A frame, and the line in it."""
_OURS = __name__.partition(".")[0]


def own_part(trace: TracebackType | None) -> TracebackType | None:
    """Give a traceback without the frames of the runtime at its beginning."""
    while trace is not None and _package_of(trace.tb_frame) == _OURS:
        trace = trace.tb_next
    return trace


def place_of_error(error: BaseException, package: str) -> str | None:
    """Give the place that an exception came from, as `file.py:12 in name`.

    Args:
        error: The exception.
        package: Top-level package of the own code: its innermost place is given, if the exception passed through it.
    """
    return _innermost(traceback.walk_tb(error.__traceback__), package)


def place_of_thread(identifier: int, package: str) -> str | None:
    """Give the place where a thread is."""
    return _innermost(_frames_of_thread(sys._current_frames().get(identifier)), package)  # noqa: SLF001 - documented


def place_of_awaiting(awaiting: object, package: str) -> str | None:
    """Give the place where a coroutine waits for something."""
    return _innermost(_frames_of_awaiting(awaiting), package)


def stacks() -> dict[str, list[str]]:
    """Give the stack of each thread by its name, innermost first, as places alone."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return {
        names.get(identifier, str(identifier)): [
            f"{each.f_code.co_filename}:{line} in {each.f_code.co_name}" for each, line in traceback.walk_stack(frame)
        ]
        for identifier, frame in sys._current_frames().items()  # noqa: SLF001 - documented
    }


def _innermost(places: Iterable[_Place], package: str) -> str | None:
    found = [place for place in places if not place[0].f_code.co_filename.startswith("<frozen ")]
    own = [place for place in found if _package_of(place[0]) == package]
    foreign = [place for place in found if _package_of(place[0]) not in {_OURS, "importlib"}]
    for frame, line in reversed(own or foreign):
        return f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"
    return None


def _package_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _frames_of_thread(frame: FrameType | None) -> list[_Place]:
    return list(traceback.walk_stack(frame))[::-1] if frame else []


def _frames_of_awaiting(awaiting: object) -> Iterator[_Place]:
    """Give the frames of a coroutine and of what it awaits, outermost first."""
    while awaiting is not None:
        frame = _first(awaiting, "cr_frame", "gi_frame", "ag_frame")
        if isinstance(frame, FrameType):
            yield frame, frame.f_lineno
        awaiting = _first(awaiting, "cr_await", "gi_yieldfrom", "ag_await")


def _first(owner: object, *names: str) -> object:
    return next((getattr(owner, name) for name in names if hasattr(owner, name)), None)
