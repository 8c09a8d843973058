import asyncio
import gc
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pydantic_core  # noqa: F401 - what is loaded in a pod when requests come
import pytest

from mizzen_runtime import log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("mizzen")
    before = (root.handlers[:], root.level, ours.level)
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    yield
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
    logging.captureWarnings(capture=False)
    log.identify(namespace="", agent="", revision="")
    log.set_level("info")


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.usefixtures("restored_logging")
def test_a_line_is_json_with_what_the_caller_added_and_whose_it_is() -> None:
    stream = io.StringIO()
    log.configure(stream)
    log.identify(namespace="support", agent="triage", revision="r1")

    logging.getLogger("mizzen.requests").info("it took %d s", 3, extra={"request_id": "a\nb"})

    (line,) = lines(stream)
    time = line.pop("time")
    assert isinstance(time, str)
    assert time.endswith("Z")
    assert line == {
        "level": "info",
        "logger": "mizzen.requests",
        "message": "it took 3 s",
        "request_id": "a\nb",
        "namespace": "support",
        "agent": "triage",
        "revision": "r1",
    }


@pytest.mark.usefixtures("restored_logging")
def test_every_line_of_a_request_says_which_one_it_is_of_and_no_other_does() -> None:
    stream = io.StringIO()
    log.configure(stream)
    ours, own = logging.getLogger("mizzen.requests"), logging.getLogger("mizzen.own")

    async def tool() -> None:
        own.info("looking it up")
        await asyncio.to_thread(own.info, "in a thread")

    async def answer(name: str) -> None:
        log.begin_request(request_id=name, trace_id=f"trace of {name}")
        await asyncio.create_task(tool())
        log.begin_request(request_id=f"{name}.0")  # an item of a batch
        ours.info("answered")

    async def serve() -> None:
        await asyncio.gather(answer("a"), answer("b"))
        ours.info("idle")

    asyncio.run(serve())

    told = [(line["message"], line.get("request_id"), line.get("trace_id")) for line in lines(stream)]
    for name in ("a", "b"):
        assert [(message, request) for message, request, trace in told if trace == f"trace of {name}"] == [
            ("looking it up", name),
            ("in a thread", name),
            ("answered", f"{name}.0"),
        ]
    assert told[-1] == ("idle", None, None)


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize("reason", ['c"\n\u2028', "half a character: \ud800"], ids=["odd", "half"])
@pytest.mark.parametrize("loaded", [True, False], ids=["pydantic", "without pydantic"])
def test_what_a_caller_adds_cannot_break_a_line(monkeypatch: pytest.MonkeyPatch, reason: str, loaded: bool) -> None:
    if not loaded:
        monkeypatch.delitem(sys.modules, "pydantic_core")
    stream = io.StringIO()
    log.configure(stream)

    logging.getLogger("mizzen").info("a\nb", extra={"reason": reason, "odd": object(), "ratio": 0.5, "none": None})

    line = json.loads(stream.getvalue())
    assert (line["message"], line["reason"], line["ratio"], line["none"]) == ("a\nb", reason, 0.5, None)
    assert line["odd"].startswith("<object object at ")
    assert stream.getvalue().count("\n") == 1


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["ours debug", "ours info", "ours warning", "own debug", "own info", "own warning", "lib warning"]),
        ("info", ["ours info", "ours warning", "own info", "own warning", "lib warning"]),
        ("warning", ["ours warning", "own warning", "lib warning"]),
        ("error", []),
    ],
)
def test_a_level_holds_for_ours_and_own_code_and_libraries_never_say_more(level: log.Level, heard: list[str]) -> None:
    stream = io.StringIO()
    log.restore("acme_levels")  # as after its import
    log.configure(stream)

    log.set_level(level)

    for name, logger in (("ours", "mizzen.requests"), ("own", "acme_levels.tools"), ("lib", "some.library")):
        for each in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger(logger).log(each, "%s %s", name, logging.getLevelName(each).lower())
    assert [line["message"] for line in lines(stream)] == heard


@pytest.mark.usefixtures("restored_logging")
def test_a_level_that_own_code_has_set_stays() -> None:
    logging.getLogger("acme_stubborn").setLevel(logging.ERROR)
    log.restore("acme_stubborn")

    log.set_level("debug")

    assert logging.getLogger("acme_stubborn").level == logging.ERROR


@pytest.mark.usefixtures("restored_logging")
def test_an_exception_is_logged_by_its_types_and_places_alone() -> None:
    stream = io.StringIO()
    log.configure(stream)

    def connect() -> None:
        raise ConnectionError("postgres://user:SECRET@db")

    try:
        try:
            connect()
        except ConnectionError as error:
            raise RuntimeError("SECRET too") from error
    except RuntimeError:
        logging.getLogger("any.library").exception("it failed")

    (line,) = lines(stream)
    assert "SECRET" not in stream.getvalue()
    described = line["error"]
    assert isinstance(described, list)
    assert described[0].startswith("RuntimeError at ")
    assert described[1].startswith("ConnectionError at ")
    assert " in connect" in described[1]


def test_a_group_is_described_with_what_it_holds() -> None:
    group = ExceptionGroup("SECRET", [ValueError("SECRET"), OSError("SECRET")])

    assert log.describe_error(group) == ["ExceptionGroup", "| ValueError", "| OSError"]


@pytest.mark.usefixtures("restored_logging")
def test_people_on_a_terminal_get_a_plain_line() -> None:
    stream = Terminal()
    log.configure(stream)

    logging.getLogger("mizzen").info("serving", extra={"port": 8080})

    assert stream.getvalue().strip().endswith("INFO    serving  port=8080")


@pytest.mark.usefixtures("restored_logging")
def test_libraries_are_heard_from_warnings_on() -> None:
    stream = io.StringIO()
    log.configure(stream)

    logging.getLogger("httpx").info("POST http://model/?token=SECRET")
    logging.getLogger("httpx").warning("slow")

    assert [line["message"] for line in lines(stream)] == ["slow"]
    assert sys.stderr is not stream


@pytest.mark.usefixtures("restored_logging")
def test_a_background_task_that_fails_is_logged_without_its_text() -> None:
    stream = io.StringIO()
    log.configure(stream)

    async def background() -> None:
        raise ValueError("SECRET")

    async def serve() -> None:
        asyncio.get_running_loop().set_exception_handler(log.log_loop_error)
        task = asyncio.create_task(background())
        await asyncio.wait({task})
        del task
        gc.collect()

    asyncio.run(serve())

    (line,) = lines(stream)
    assert line["message"] == "a background task failed"
    assert "ValueError at " in str(line["error"])
    assert " in background" in str(line["error"])
    assert "SECRET" not in stream.getvalue()


class _Joined(logging.Logger):
    """A logger whose mending is the moment in which a thread adds another."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "propagate" and "disabled" in vars(self):
            logging.getLogger(f"added.while.restoring.{len(self.manager.loggerDict)}")


@pytest.mark.usefixtures("restored_logging")
def test_the_log_is_set_up_again_while_threads_add_loggers() -> None:
    known = logging.getLogger().manager.loggerDict
    before = dict(known)
    known["mizzen.joined"] = _Joined("mizzen.joined")
    try:
        log.restore("acme")
    finally:
        known.clear()
        known.update(before)


class _FailsToEnd:
    def __del__(self) -> None:
        raise ValueError("SECRET")


@pytest.mark.usefixtures("restored_logging")
def test_what_python_prints_by_itself_is_logged_without_its_text() -> None:
    stream = io.StringIO()
    log.configure(stream)
    log.hook()

    def fail() -> None:
        raise ValueError("SECRET")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    _FailsToEnd()
    gc.collect()
    try:
        fail()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)

    told = lines(stream)
    assert [line["message"] for line in told] == ["a thread failed", "a finalizer failed", "the process failed"]
    assert all("ValueError at " in str(line["error"]) for line in told)
    assert "SECRET" not in stream.getvalue()


@dataclass
class Settings:
    url: str
    password: str = field(repr=False)


@pytest.mark.usefixtures("restored_logging")
def test_an_object_is_written_as_its_own_text_which_may_hide_what_it_holds() -> None:
    stream = io.StringIO()
    log.configure(stream)
    settings = Settings("http://crm", "hunter2")
    itself: list[object] = []
    itself.append(itself)

    extra = {"settings": settings, "all": [settings], "more": {1: (settings,)}, "itself": itself}
    logging.getLogger("mizzen.requests").info("begun", extra=extra)

    (line,) = lines(stream)
    assert line["settings"] == line["all"][0] == line["more"]["1"][0] == repr(settings)  # type: ignore[index]
    assert "hunter2" not in stream.getvalue()


@pytest.mark.usefixtures("restored_logging")
def test_a_line_that_cannot_be_written_is_told_by_its_place_and_without_what_it_holds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = io.StringIO()
    log.configure(stream)

    logging.getLogger("mizzen.requests").info("it took %d s", "hunter2")

    (line,) = lines(stream)
    assert line["message"] == "a line of the log could not be written"
    assert "test_log.py:" in str(line["at"])
    assert line["fault"] == "TypeError"
    assert "hunter2" not in stream.getvalue() + capsys.readouterr().err
