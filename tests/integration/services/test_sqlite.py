"""The database service on SQLite: what is on the disk, and what is told of a file that cannot be used."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from mizzen_runtime.implementations.results import ResultTooLargeError
from mizzen_runtime.implementations.sqlite import SqliteDatabaseService, SqliteSettings
from mizzen_runtime.services import ServiceError, ServiceUnavailableError
from tests.support.small_disk import small_disk

pytestmark = pytest.mark.anyio

SLACK = 5.0
"""Seconds that a busy machine may add to a time limit."""

SAVE_FOR_EVER = """
import asyncio, sys
from mizzen_runtime.implementations.sqlite import SqliteDatabaseService

async def main() -> None:
    service = SqliteDatabaseService(sys.argv[1])
    await service.initialize()
    number = 0
    while True:
        print(await service.save_result({"number": number}), flush=True)
        number += 1

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.db"


@asynccontextmanager
async def made(path: Path, **options: Any) -> AsyncIterator[SqliteDatabaseService]:
    service = SqliteDatabaseService(path, **options)
    try:
        yield service
    finally:
        await service.close()


@asynccontextmanager
async def running(path: Path, **options: Any) -> AsyncIterator[SqliteDatabaseService]:
    async with made(path, **options) as service:
        await service.initialize()
        yield service


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep everybody else from writing to the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as other:
        return len(other.execute("SELECT id FROM mizzen_results").fetchall())


async def test_results_outlive_the_service(path: Path) -> None:
    async with running(path) as service:
        result_id = await service.save_result({"a": 1})
    async with running(path) as service:
        assert await service.get_result(result_id) == {"a": 1}


def test_what_was_acknowledged_outlives_a_killed_process(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SAVE_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        ids = [process.stdout.readline().strip() for _ in range(200)]
        process.send_signal(signal.SIGKILL)
        ids += process.stdout.read().splitlines()
    assert process.returncode == -signal.SIGKILL

    async def read_all() -> list[dict[str, Any] | None]:
        async with running(path) as service:
            return [await service.get_result(result_id) for result_id in ids]

    assert asyncio.run(read_all()) == [{"number": number} for number in range(len(ids))]


async def test_two_services_share_a_file(path: Path) -> None:
    services = [SqliteDatabaseService(path) for _ in range(5)]
    await asyncio.gather(*(service.initialize() for service in services))
    ids = await asyncio.gather(*(service.save_result({"a": 1}) for service in services for _ in range(20)))
    assert await services[0].get_result(ids[-1]) == {"a": 1}
    await asyncio.gather(*(service.close() for service in services))
    assert rows(path) == len(set(ids)) == 100


async def test_a_row_has_a_time(path: Path) -> None:
    async with running(path, table="of_mine") as service:
        await service.save_result({})
    with closing(sqlite3.connect(path)) as other:
        ((age,),) = other.execute("SELECT unixepoch('now') - unixepoch(created_at) FROM of_mine").fetchall()
    assert abs(age) < 60


async def test_a_file_that_stays_locked_holds_no_call_longer_than_its_deadline(path: Path) -> None:
    async with running(path, call_timeout_seconds=0.5) as service:
        result_id = await service.save_result({"a": 1})
        with locked(path):
            began = time.monotonic()
            ended = await asyncio.gather(*(service.save_result({}) for _ in range(5)), return_exceptions=True)
            assert time.monotonic() - began < 0.5 + SLACK
            assert {type(error) for error in ended} == {ServiceUnavailableError}
        assert await service.get_result(result_id) == {"a": 1}
        await service.save_result({"b": 2})


async def test_the_event_loop_goes_on_while_a_call_waits(path: Path) -> None:
    async with running(path, call_timeout_seconds=30) as service:
        with locked(path):
            call = asyncio.create_task(service.save_result({"a": 1}))
            for _ in range(100):
                await asyncio.sleep(0)
            assert not call.done()
        assert await service.get_result(await call) == {"a": 1}


async def test_a_call_that_is_given_up_while_it_waits_its_turn_is_never_done(path: Path) -> None:
    async with running(path) as service:
        with locked(path):
            first = asyncio.create_task(service.save_result({"first": True}))
            second = asyncio.create_task(service.save_result({"second": True}))
            await asyncio.sleep(0)
            second.cancel()
        assert await service.get_result(await first) == {"first": True}
        assert rows(path) == 1


async def test_a_file_that_may_not_grow_is_told_and_over_when_it_may_again(path: Path) -> None:
    async with running(path) as service:
        result_id = await service.save_result({"a": 1})
        assert service._connection is not None
        limit = service._connection.execute
        await asyncio.get_running_loop().run_in_executor(service._thread, limit, "PRAGMA max_page_count = 4")
        with pytest.raises(ServiceUnavailableError) as refusal:
            await service.save_result({"text": "x" * 50_000})
        assert str(refusal.value) == f"SQLite at {str(path)!r} has no room left on its disk"
        assert rows(path) == 1
        assert await service.get_result(result_id) == {"a": 1}
        await asyncio.get_running_loop().run_in_executor(service._thread, limit, "PRAGMA max_page_count = 1000")
        await service.save_result({"text": "x" * 50_000})
        assert rows(path) == 2


async def test_a_full_disk_is_told_and_over_when_there_is_room_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", megabytes=1) as disk:
        path = disk.folder / "results.db"
        async with running(path) as service:
            saved: list[str] = []
            with pytest.raises(ServiceUnavailableError) as refusal:
                await fill(service, saved)
            assert str(refusal.value) == f"SQLite at {str(path)!r} has no room left on its disk"
            assert len(saved) > 1
            assert rows(path) == len(saved)
            assert [await service.get_result(result_id) for result_id in saved] == [TEXT] * len(saved)
            disk.resize(megabytes=8)
            assert await service.get_result(await service.save_result(TEXT)) == TEXT


TEXT = {"text": "x" * 50_000}


async def fill(service: SqliteDatabaseService, saved: list[str]) -> None:
    """Save results without end, and note their ids."""
    while True:
        result_id = await service.save_result(TEXT)
        saved.append(result_id)


def damage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


def take_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (damage, "is no database of SQLite; set another path"),
        (take_folder, "cannot be opened: make its folder, or correct path or the rights to it"),
        (Path.mkdir, "cannot be opened: make its folder, or correct path or the rights to it"),
    ],
    ids=["no database", "no folder", "a folder"],
)
async def test_a_file_that_cannot_be_used_is_told(path: Path, prepare: Callable[[Path], None], told: str) -> None:
    prepare(path)
    async with made(path) as service:
        with pytest.raises(ServiceError) as refusal:
            await service.initialize()
        assert str(refusal.value) == f"SQLite at {str(path)!r} {told}"
        assert await service.health_check() is False


async def test_a_database_in_memory_is_refused() -> None:
    async with made(Path(":memory:")) as service:
        with pytest.raises(ServiceError) as refusal:
            await service.initialize()
    assert str(refusal.value) == "path ':memory:' is no file on a disk, where SQLite can keep its log beside it"


async def test_a_start_that_failed_is_made_good_later(tmp_path: Path) -> None:
    async with made(tmp_path / "later" / "results.db") as service:
        with pytest.raises(ServiceError):
            await service.initialize()
        (tmp_path / "later").mkdir()
        await service.initialize()
        assert await service.health_check() is True


async def test_calls_out_of_turn_are_refused(path: Path) -> None:
    service = SqliteDatabaseService(path)
    with pytest.raises(ServiceError, match="is not initialized; await initialize"):
        await service.save_result({})
    assert await service.health_check() is False
    await service.initialize()
    await service.close()
    await service.close()
    with pytest.raises(ServiceError, match="is closed"):
        await service.save_result({})
    assert await service.health_check() is False


async def test_its_thread_ends_with_it(path: Path) -> None:
    async with running(path):
        assert [thread for thread in threading.enumerate() if thread.name.startswith("sqlite")] != []
    deadline = time.monotonic() + SLACK
    while [thread for thread in threading.enumerate() if thread.name.startswith("sqlite")]:
        assert time.monotonic() < deadline, "the thread has not ended"
        await asyncio.sleep(0.01)
    assert not any(file.path == str(path) for file in psutil.Process().open_files())
    assert os.listdir(path.parent) == [path.name], "SQLite's log is part of the file again"  # noqa: PTH208 - short


async def test_settings_are_texts(path: Path) -> None:
    settings = SqliteSettings.model_validate({"path": str(path), "max_result_bytes": "10", "call_timeout_seconds": "1"})
    service = SqliteDatabaseService.from_settings(settings)
    await service.initialize()
    with pytest.raises(ResultTooLargeError):
        await service.save_result({"a": "x" * 10})
    await service.close()
    with pytest.raises(ValidationError, match="table"):
        SqliteSettings.model_validate({"path": str(path), "table": "a b"})
