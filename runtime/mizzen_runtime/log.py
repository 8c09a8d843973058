"""Structured logging: JSON lines, or a line for people on a terminal.

An exception is logged by its types and the places it passed through, never by its text: that may hold what a user
asked, what a model answered, or a password in a connection string.

The formatters are our own: a library's would be wrapped for the errors, the time and the level, costs more for each
line, and is imported before the first probe is answered (bench/RESULTS.md has the figures).
"""

import asyncio
import contextlib
import json
import logging
import sys
import threading
import time
import traceback
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Literal, TextIO

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_MAX_FRAMES = 12
_MAX_DEPTH = 8
"""Of what callers add; what is deeper, or holds itself, is written as its text."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

Level = Literal["debug", "info", "warning", "error"]
"""From which level on lines are written."""

_log = logging.getLogger("mizzen.log")


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Give what a caller added to a record by `extra=`, objects as their own text: that may hide what they hold."""
    return {key: _plain(value) for key, value in vars(record).items() if key not in _STANDARD}


def _plain(value: object, depth: int = 0) -> object:
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, dict) and depth < _MAX_DEPTH:
        return {str(key): _plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, (list, tuple)) and depth < _MAX_DEPTH:
        return [_plain(each, depth + 1) for each in value]
    return str(value)


def describe_error(error: BaseException) -> list[str]:
    """Give an exception and its causes, outermost first, as type and place: `KeyError at tools.py:12 in find`."""
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        kind = f"{type(current).__module__}.{type(current).__qualname__}".removeprefix("builtins.")
        lines.append(f"{kind}{_place_of(current.__traceback__)}")
        if isinstance(current, BaseExceptionGroup):
            lines.extend(f"| {line}" for inner in current.exceptions for line in describe_error(inner))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return lines


def _place_of(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)[-_MAX_FRAMES:] if trace else []
    return "".join(f" at {frame.filename}:{frame.lineno} in {frame.name}" for frame in reversed(frames))


class _Bearings:
    """What every line says of where it belongs."""

    def __init__(self) -> None:
        self.agent: dict[str, str] = {}
        """Whose log it is."""
        self.request: ContextVar[dict[str, str] | None] = ContextVar("request", default=None)
        """Of the request that is being answered. Each has a task of its own, and the tasks that it starts copy this."""

    def fields(self) -> dict[str, str]:
        """Give them."""
        return {**self.agent, **(self.request.get() or {})}


_bearings = _Bearings()


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, where it belongs, then what the caller added."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the record as JSON."""
        line: dict[str, object] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_bearings.fields(),
            **fields_of(record),
        }
        if record.exc_info and record.exc_info[1]:
            line["error"] = describe_error(record.exc_info[1])
        return _to_json(line)


def _to_json(line: dict[str, object]) -> str:
    """Write a line by pydantic's serializer where that is loaded: it takes half of the time, for each request.

    It is not imported here, since it would delay the first probe's answer; and it does not take half a character.
    """
    pydantic_core = sys.modules.get("pydantic_core")
    if pydantic_core is None:
        return _encode(line)
    try:
        return str(pydantic_core.to_json(line), "utf-8")
    except ValueError:
        return _encode(line)


class ConsoleFormatter(logging.Formatter):
    """A line for people: time, level, message, what the caller added, and of which request it is."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the record as text."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        parts = [f"{clock} {record.levelname:<7} {record.getMessage()}"]
        fields = {**fields_of(record), **(_bearings.request.get() or {})}
        parts += [f"{key}={value}" for key, value in fields.items()]
        if record.exc_info and record.exc_info[1]:
            parts += [f"\n    {line}" for line in describe_error(record.exc_info[1])]
        return "  ".join(parts)


class _Levels:
    """From which level on the process logs."""

    def __init__(self) -> None:
        self.level = logging.INFO
        self._followers = {"mizzen"}
        """Loggers that have this level."""

    def follow(self, own: str) -> None:
        """Have the logger of own code follow, unless it has set a level itself."""
        if logging.getLogger(own).level == logging.NOTSET:
            self._followers.add(own)

    def apply(self) -> None:
        """Set all levels. Libraries speak from WARNING on even if more is asked for: what they add holds secrets."""
        logging.getLogger().setLevel(max(self.level, logging.WARNING))
        for name in self._followers:
            logging.getLogger(name).setLevel(self.level)


_levels = _Levels()


def set_level(level: Level) -> None:
    """Log from `level` on, from now on: our lines and own code's. Libraries' begin with `warning` at the earliest."""
    _levels.level = logging.getLevelNamesMapping()[level.upper()]
    _levels.apply()


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines; what cannot be written is told by its place, where logging's own would print what it holds."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Tell of a record whose arguments do not fit its text, or that cannot be turned into a text."""
        kind = type(sys.exc_info()[1]).__name__
        place = f"{record.pathname}:{record.lineno}"
        told = logging.makeLogRecord(
            {
                "name": record.name,
                "levelno": logging.ERROR,
                "levelname": "ERROR",
                "msg": "a line of the log could not be written",
                "at": place,
                "fault": kind,
            }
        )
        with contextlib.suppress(OSError, ValueError):  # nobody reads
            self.stream.write(self.format(told) + self.terminator)
            self.flush()


def configure(stream: TextIO = sys.stderr) -> None:
    """Send every log of the process to `stream`: ours from the level on that is set, libraries' from WARNING on."""
    handler = _Handler(stream)
    handler.setFormatter(ConsoleFormatter() if stream.isatty() else JsonFormatter())
    logging.basicConfig(handlers=[handler], force=True)
    _levels.apply()
    logging.captureWarnings(capture=True)
    # Nothing of this is written, and each record would be asked for it.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


_KEPT = ("mizzen", "uvicorn", "asyncio", "py")
"""Top names of the loggers that own code must not silence, as `dictConfig` does with all that it does not name."""


def restore(own: str) -> None:
    """Set the log up again after own code was imported, which may have done so in its own way.

    Args:
        own: Top-level package of the own code. What it logs is kept from the same level on as ours, unless it has set
            one itself.
    """
    logging.disable(logging.NOTSET)
    # A copy: own code's threads may add loggers at any time.
    for name, known in list(logging.getLogger().manager.loggerDict.items()):
        if isinstance(known, logging.Logger) and name.partition(".")[0] in _KEPT:
            known.disabled = False
            known.propagate = True
            known.handlers.clear()
    _levels.follow(own)
    configure()
    hook()


def hook() -> None:
    """Log what ends the process or a thread, or fails in a finalizer, instead of Python's printing it with its text."""
    sys.excepthook = lambda _kind, error, _trace: _log.critical("the process failed", exc_info=error)
    threading.excepthook = _log_threads_error
    sys.unraisablehook = lambda failure: _log.error("a finalizer failed", exc_info=failure.exc_value)


def _log_threads_error(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_type is not SystemExit:
        _log.error("a thread failed", exc_info=failure.exc_value)


def log_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what asyncio has nobody to raise to ; its own handler would add reprs that hold texts."""
    error = context.get("exception")
    _log.error("a background task failed" if error else context["message"], exc_info=error)


def identify(*, namespace: str, agent: str, revision: str) -> None:
    """Add whose log it is to every line from now on."""
    _bearings.agent = {"namespace": namespace, "agent": agent, "revision": revision}


def begin_request(**fields: str) -> None:
    """Add `fields` to every line of the request that the current task answers, and of the tasks that it starts.

    They take the place of those of the same name that the task has already, as from the call that a batch's item is of.
    """
    _bearings.request.set({**(_bearings.request.get() or {}), **fields})


def request_fields() -> dict[str, str] | None:
    """Give what is added to every line of the current task."""
    return _bearings.request.get()


def set_request_fields(fields: dict[str, str] | None) -> None:
    """Add what was added before: the request within another one has ended."""
    _bearings.request.set(fields)
