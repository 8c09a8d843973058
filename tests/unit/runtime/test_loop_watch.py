"""The watch beside the event loop."""

import asyncio
import logging
import time

import pytest

from mizzen_runtime.loop_watch import BEAT_SECONDS, BLOCKED_SECONDS, LoopWatch

pytestmark = pytest.mark.anyio


def hold_up(seconds: float) -> None:
    time.sleep(seconds)


async def test_a_loop_that_turns_is_hardly_late_and_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with LoopWatch("tests") as watch:
        await asyncio.sleep(3 * BEAT_SECONDS)
    assert watch.lag < BLOCKED_SECONDS
    assert caplog.messages == []


async def test_code_that_holds_it_up_is_named_once_in_a_while_and_the_lag_is_its_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with LoopWatch("tests") as watch:
        for _ in range(2):
            hold_up(2 * BLOCKED_SECONDS)
            await asyncio.sleep(2 * BEAT_SECONDS)
        lag = watch.lag
    assert lag >= 2 * BLOCKED_SECONDS - 2 * BEAT_SECONDS
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "test_loop_watch.py" in vars(record)["place"]
    assert vars(record)["place"].endswith("in hold_up")
    assert vars(record)["seconds"] >= BLOCKED_SECONDS
