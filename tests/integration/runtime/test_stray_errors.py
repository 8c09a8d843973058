"""Errors that nobody catches: they are logged by type and place, in the log's own form."""

import os
from pathlib import Path

from tests.integration.runtime.process import Start, config_of

LOOP_WITH_FAULTS = """
import asyncio, os, sys, threading
sys.path.remove(os.path.dirname(__file__))
del sys.modules["uvloop"]
import uvloop
make = uvloop.new_event_loop

def fail(*_):
    raise ValueError("SECRET")

async def background():
    fail()

def begin(loop):
    loop.create_task(background())
    threading.Thread(target=fail).start()
    loop.call_soon(fail, "SECRET too")

def new_event_loop():
    loop = make()
    loop.call_soon(begin, loop)
    return loop

uvloop.new_event_loop = new_event_loop
"""


def test_an_error_that_nobody_catches_is_logged_without_its_text(start: Start, tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text(LOOP_WITH_FAULTS)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    runtime = start(config_of(), PYTHONPATH=path)
    for message in ("serving", "a background task failed", "a thread failed"):
        runtime.wait_logged(message)
    runtime.terminate()
    assert runtime.exit_code() == 0

    errors = [line for line in runtime.log() if line["level"] == "error"]
    assert sorted(line["message"] for line in errors) == ["a background task failed"] * 2 + ["a thread failed"]
    assert all("ValueError at " in line["error"][0] and " in fail" in line["error"][0] for line in errors)
    assert "SECRET" not in runtime.log_text()
    assert len(runtime.log()) == len(runtime.log_text().splitlines()), "every line is JSON"
