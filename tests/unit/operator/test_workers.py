"""What the workers log and queue by how a reconcile ends, and how they are stopped."""

import asyncio
import logging

import pytest
from prometheus_client import CollectorRegistry

from mizzen_api.conditions import Reason
from mizzen_operator.errors import WaitForError
from mizzen_operator.keys import Key
from mizzen_operator.leadership import NotLeadingError
from mizzen_operator.workers import Workers
from tests.unit.operator.builders import KEY
from tests.unit.operator.queues import queue


def test_what_an_agent_waits_for_is_logged_when_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    keys = queue()
    obstacles = iter([*["Service a is there"] * 3, "Service b is there", None, "Service b is there"])

    async def reconcile(_: Key, failures: int) -> None:
        assert failures == 0
        if (obstacle := next(obstacles)) is not None:
            raise WaitForError(Reason.NAME_CONFLICT, obstacle, 30)

    async def work() -> None:
        workers = Workers(keys, reconcile, CollectorRegistry())
        for _ in range(6):
            await workers.attempt(KEY)

    with caplog.at_level(logging.DEBUG, logger="mizzen_operator.workers"):
        asyncio.run(work())
    said = [(line.levelname, line.getMessage().partition(";")[0]) for line in caplog.records]
    assert said == [
        ("INFO", "team/hello: Service a is there"),
        ("DEBUG", "team/hello: Service a is there"),
        ("DEBUG", "team/hello: Service a is there"),
        ("INFO", "team/hello: Service b is there"),
        ("INFO", "team/hello: Service b is there"),
    ]


def test_an_agent_of_which_time_alone_changes_something_is_looked_at_again() -> None:
    keys = queue()

    async def work(seconds: float | None) -> None:
        async def reconcile(_: Key, failures: int) -> float | None:
            return seconds

        await Workers(keys, reconcile, CollectorRegistry()).attempt(KEY)

    asyncio.run(work(None))
    assert keys.next_due() is None
    asyncio.run(work(30.0))
    assert keys.next_due() == 30.0


@pytest.mark.parametrize(("seconds", "has_ended"), [(5.0, True), (0.0, False)])
def test_who_stops_the_workers_is_told_whether_a_write_may_still_be_under_way(seconds: float, has_ended: bool) -> None:
    async def stop() -> bool:
        keys, begun = queue(), asyncio.Event()

        async def reconcile(_: Key, failures: int) -> None:
            assert failures == 0
            begun.set()
            await asyncio.sleep(0.01)

        workers = Workers(keys, reconcile, CollectorRegistry())
        workers.start()
        keys.add(KEY)
        await begun.wait()
        return await workers.stop(seconds)

    assert asyncio.run(stop()) is has_ended


def test_a_worker_that_may_not_write_ends_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> bool:
        keys, begun = queue(), asyncio.Event()

        async def reconcile(_: Key, failures: int) -> None:
            begun.set()
            raise NotLeadingError(f"after {failures} failures")

        workers = Workers(keys, reconcile, CollectorRegistry())
        workers.start()
        assert workers.are_alive()
        keys.add(KEY)
        await begun.wait()
        await asyncio.sleep(0)
        assert keys.working_seconds() == []
        alive = workers.are_alive()
        await workers.stop(5)
        return alive

    with caplog.at_level(logging.DEBUG):
        assert asyncio.run(work()) is False
    assert "trying again" not in caplog.text
