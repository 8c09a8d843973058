"""PostgreSQL that ends, freezes, fills up or gets slow: what a caller is told, what is left, and how it comes back."""

import asyncio
import itertools
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from mizzen_runtime.implementations.postgres import PING_SECONDS, ProductionDatabaseService
from mizzen_runtime.services import ServiceError, ServiceUnavailableError
from tests.integration.services.cutting_proxy import CuttingProxy
from tests.integration.services.database import running
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.anyio

TABLE = "mizzen_results"
SLACK = 5.0
"""Seconds that a busy machine may add to a time limit."""
RECOVERY = 10.0
"""Seconds after which a service must work again."""


@contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds + SLACK


async def until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)


def rows(server: PostgresServer) -> int:
    return len(server.sql(f"TABLE {TABLE}").splitlines())


def waits_for_lock(server: PostgresServer, number: int = 1) -> bool:
    waiting = server.sql(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'mizzen' AND wait_event_type = 'Lock'"
    )
    return len(waiting.split()) == number


class Traffic:
    """Callers that save and read without a pause."""

    def __init__(self, service: ProductionDatabaseService, callers: int = 8) -> None:
        self._service = service
        self._tasks = [asyncio.create_task(self._call(caller)) for caller in range(callers)]
        self._stopping = False
        self.saved: dict[str, dict[str, Any]] = {}
        self.failures: list[tuple[float, Exception]] = []

    async def _call(self, caller: int) -> None:
        number = 0
        while not self._stopping:
            result = {"caller": caller, "number": number}
            number += 1
            try:
                result_id = await self._service.save_result(result)
                self.saved[result_id] = result
                found = await self._service.get_result(result_id)
            except Exception as error:  # noqa: BLE001 - a test looks at it
                self.failures.append((time.monotonic(), error))
            else:
                assert found == result

    async def more(self, number: int) -> None:
        """Wait until some more were saved."""
        goal = len(self.saved) + number
        await until(lambda: len(self.saved) >= goal, f"{number} more results", RECOVERY + SLACK)

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)


def stopped_and_started(mode: signal.Signals) -> Callable[[PostgresServer], None]:
    def restart(server: PostgresServer) -> None:
        server.stop(mode)
        server.start()

    return restart


def killed_and_started(server: PostgresServer) -> None:
    server.kill()
    server.start()


@pytest.mark.parametrize(
    "restart",
    [stopped_and_started(signal.SIGINT), stopped_and_started(signal.SIGQUIT), killed_and_started],
    ids=["stopped", "stopped at once", "killed"],
)
async def test_traffic_goes_on_after_a_restart(
    postgres: PostgresServer, restart: Callable[[PostgresServer], None]
) -> None:
    async with running(postgres.url, pool_size=4) as service:
        traffic = Traffic(service)
        await traffic.more(50)
        await asyncio.to_thread(restart, postgres)
        back = time.monotonic()
        await traffic.more(50)
        await traffic.stop()
        assert [error for _, error in traffic.failures if not isinstance(error, ServiceUnavailableError)] == []
        assert [at for at, _ in traffic.failures if at > back + RECOVERY] == []
        for result_id, result in traffic.saved.items():
            assert await service.get_result(result_id) == result
        assert rows(postgres) >= len(traffic.saved)
        assert postgres.connections() == service.pool.size <= 4
        assert service.pool.idle == service.pool.size
    await until(lambda: postgres.connections() == 0, "the server has no connection left")


async def test_no_call_notices_that_its_idle_connection_has_ended(postgres: PostgresServer) -> None:
    async with running(postgres.url) as service:
        result_id = await service.save_result({"a": 1})
        for _ in range(3):
            assert postgres.end_connections() == 1
            assert await service.get_result(result_id) == {"a": 1}
            assert postgres.end_connections() == 1
            assert await service.health_check() is True


async def test_a_frozen_server_holds_no_call_longer_than_its_deadline(postgres: PostgresServer) -> None:
    async with running(postgres.url, pool_size=4, call_timeout_seconds=2, connect_timeout_seconds=0.5) as service:
        result_id = await service.save_result({"a": 1})
        with postgres.frozen():
            with ends_within(2):
                calls: list[Awaitable[object]] = [service.get_result(result_id) for _ in range(10)]
                calls += [service.save_result({"b": 2}) for _ in range(10)]
                ended = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(error) for error in ended} == {ServiceUnavailableError}
            with ends_within(PING_SECONDS):
                assert await service.health_check() is False
        await until(lambda: postgres.connections() <= 4, "the server has ended what nobody uses")
        with ends_within(RECOVERY):
            assert await service.get_result(result_id) == {"a": 1}
            assert await service.health_check() is True
        await until(lambda: postgres.connections() == service.pool.size, "no connection is leaked")


async def test_closing_does_not_wait_for_a_frozen_server(postgres: PostgresServer) -> None:
    async with running(postgres.url, call_timeout_seconds=1) as service:
        with postgres.frozen():
            call = asyncio.create_task(service.save_result({}))
            await asyncio.sleep(0)
            with ends_within(1):
                await service.close()
                await service.close()
            with pytest.raises(ServiceUnavailableError):
                await call
    await until(lambda: postgres.connections() == 0, "no connection is leaked")


async def test_a_backend_that_is_killed_in_mid_transaction_leaves_nothing_half_written(
    postgres: PostgresServer,
) -> None:
    async with running(postgres.url, call_timeout_seconds=30, statement_timeout_seconds=30) as service:
        with postgres.locked(TABLE):
            call = asyncio.create_task(service.save_result({"a": 1}))
            await until(lambda: waits_for_lock(postgres), "the statement is in its transaction")
            assert postgres.end_connections() == 1
            await until(lambda: waits_for_lock(postgres), "it is tried again on a new connection")
        assert await service.get_result(await call) == {"a": 1}
        assert rows(postgres) == 1
        assert postgres.connections() == 1


async def test_a_transaction_that_is_given_up_is_undone(postgres: PostgresServer) -> None:
    async with running(postgres.url, call_timeout_seconds=1, statement_timeout_seconds=1) as service:
        with postgres.locked(TABLE):
            with ends_within(1), pytest.raises(ServiceUnavailableError):
                await service.save_result({"a": 1})
            await until(lambda: waits_for_lock(postgres, 0), "the server has ended the statement")
        assert rows(postgres) == 0
        await service.save_result({"b": 2})
        assert rows(postgres) == 1


async def test_a_result_whose_acknowledgement_got_lost_is_there_once(postgres: PostgresServer) -> None:
    async with CuttingProxy(postgres.port) as proxy:
        url = postgres.url.replace(f":{postgres.port}/", f":{proxy.port}/")
        async with running(url) as service:
            proxy.cut_before(b"INSERT 0 1")
            result_id = await service.save_result({"a": 1})
            assert proxy.cuts == 1
            assert rows(postgres) == 1
            assert await service.get_result(result_id) == {"a": 1}


async def test_calls_that_are_given_up_leave_no_connection_that_harms_others(postgres: PostgresServer) -> None:
    # Deadlines that nobody meets, and a server that sees by itself that a client has left: else the first statement's
    # time may be over before the third one's has begun.
    postgres.restart(client_connection_check_interval="100ms")
    patient = {"call_timeout_seconds": 120, "statement_timeout_seconds": 120, "connect_timeout_seconds": 60}
    async with running(postgres.url, pool_size=3, **patient) as service:
        result_id = await service.save_result({"a": 1})
        with postgres.locked(TABLE):
            for _ in range(5):
                calls = [asyncio.create_task(service.save_result({"b": number})) for number in range(3)]
                await until(lambda: waits_for_lock(postgres, 3), "all connections are in a transaction", 60)
                for call in calls:
                    call.cancel()
                ended = await asyncio.gather(*calls, return_exceptions=True)
                assert {type(error) for error in ended} == {asyncio.CancelledError}
                await until(lambda: waits_for_lock(postgres, 0), "the server has ended the statements", 60)
        assert await asyncio.gather(*(service.get_result(result_id) for _ in range(20))) == [{"a": 1}] * 20
        assert rows(postgres) == 1
        assert postgres.connections() == service.pool.size <= 3


async def test_calls_wait_only_so_long_for_a_connection_that_is_in_use(postgres: PostgresServer) -> None:
    async with running(postgres.url, pool_size=1, acquire_timeout_seconds=0.5, statement_timeout_seconds=20) as service:
        with postgres.locked(TABLE):
            save = asyncio.create_task(service.save_result({"a": 1}))
            await until(lambda: waits_for_lock(postgres), "the connection is in use")
            read = asyncio.create_task(service.get_result("01a21e7e-1098-78ef-9fd1-cd3452edb91a"))
            await asyncio.sleep(0)
            assert (service.pool.size, service.pool.idle, service.pool.waiting) == (1, 0, 1)
            with ends_within(0.5), pytest.raises(ServiceUnavailableError) as refusal:
                await read
            assert str(refusal.value) == (
                "all 1 connections of the pool stayed in use for 0.5 s; raise pool_size, "
                "or see what their statements wait for"
            )
            assert await service.health_check() is True
        await save
        assert (service.pool.size, service.pool.idle, service.pool.waiting) == (1, 1, 0)
        assert postgres.connections() == 1


async def test_a_table_that_was_dropped_is_told_and_made_again(postgres: PostgresServer) -> None:
    async with running(postgres.url) as service:
        result_id = await service.save_result({"a": 1})
        postgres.sql(f"DROP TABLE {TABLE}")
        with pytest.raises(ServiceError) as refusal:
            await service.save_result({"b": 2})
        assert str(refusal.value) == (
            f"PostgreSQL at 127.0.0.1:{postgres.port} has lost the table of results; start the service again, which "
            "makes it (SQLSTATE 42P01)"
        )
        await service.initialize()
        assert await service.get_result(result_id) is None
        assert await service.get_result(await service.save_result({"c": 3})) == {"c": 3}


async def test_a_statement_that_takes_too_long_ends(postgres: PostgresServer) -> None:
    async with running(postgres.url, statement_timeout_seconds=0.2) as service:
        with postgres.locked(TABLE), pytest.raises(ServiceUnavailableError) as refusal:
            await service.save_result({"a": 1})
        assert str(refusal.value) == (
            f"PostgreSQL at 127.0.0.1:{postgres.port} ended the statement: it took longer than "
            "statement_timeout_seconds (SQLSTATE 57014)"
        )
        await service.save_result({"b": 2})
        assert rows(postgres) == 1


async def test_a_server_that_takes_no_writes_is_told_and_left_when_it_does_again(postgres: PostgresServer) -> None:
    async with running(postgres.url) as service:
        result_id = await service.save_result({"a": 1})
        postgres.sql("ALTER DATABASE results SET default_transaction_read_only = on")
        postgres.end_connections()
        with pytest.raises(ServiceUnavailableError) as refusal:
            await service.save_result({"b": 2})
        assert str(refusal.value) == (
            f"PostgreSQL at 127.0.0.1:{postgres.port} takes no writes now: it is a replica, or read only "
            "(SQLSTATE 25006)"
        )
        assert await service.get_result(result_id) == {"a": 1}
        assert await service.health_check() is False
        postgres.sql("SET transaction_read_only = off; ALTER DATABASE results RESET default_transaction_read_only")
        with pytest.raises(ServiceUnavailableError):
            await service.save_result({"b": 2})  # on a connection of before, which goes with it
        await service.save_result({"b": 2})
        assert await service.health_check() is True
        assert rows(postgres) == 2


async def test_a_replica_is_told_and_used_for_all_once_it_is_the_primary(postgres: PostgresServer) -> None:
    async with running(postgres.url) as service:
        result_id = await service.save_result({"a": 1})
    with closing(PostgresServer(primary=postgres)) as replica:
        async with running(replica.url) as service:
            assert await service.get_result(result_id) == {"a": 1}
            assert await service.health_check() is False
            with pytest.raises(ServiceUnavailableError, match="takes no writes now: it is a replica, or read only"):
                await service.save_result({"b": 2})
            postgres.kill()
            replica.sql("SELECT pg_promote()")
            assert await service.get_result(await service.save_result({"b": 2})) == {"b": 2}
            assert await service.health_check() is True


async def test_a_full_disk_is_told_and_over_when_there_is_room_again(postgres: PostgresServer) -> None:
    with postgres.small_disk("small", megabytes=4) as disk:
        postgres.sql(f"CREATE TABLESPACE small LOCATION '{disk.folder}'", database="postgres")
        postgres.sql("ALTER DATABASE results SET default_tablespace = small")
        async with running(postgres.url) as service:
            saved: list[str] = []
            with pytest.raises(ServiceUnavailableError) as refusal:
                await fill(service, saved)
            assert str(refusal.value) == (
                f"PostgreSQL at 127.0.0.1:{postgres.port} has no room left on its disk (SQLSTATE 53100)"
            )
            assert len(saved) > 1
            assert rows(postgres) == len(saved)
            for number, result_id in enumerate(saved):
                assert await service.get_result(result_id) == incompressible(number)
            disk.resize(megabytes=32)
            result_id = await service.save_result(incompressible(100))
            assert await service.get_result(result_id) == incompressible(100)
            assert postgres.connections() == 1
        postgres.sql(f"DROP TABLE {TABLE}")
        postgres.sql("ALTER DATABASE results RESET default_tablespace", database="postgres")
        postgres.sql("DROP TABLESPACE small", database="postgres")


async def test_a_server_with_too_few_connections_serves_all_calls_with_those(postgres: PostgresServer) -> None:
    postgres.create_user("agent", "secret")
    postgres.sql("ALTER USER agent CONNECTION LIMIT 2")
    async with running(postgres.url_of("agent", "secret"), pool_size=10, call_timeout_seconds=20) as service:
        results = [{"number": number} for number in range(30)]
        ids = await asyncio.gather(*(service.save_result(result) for result in results))
        assert list(await asyncio.gather(*(service.get_result(result_id) for result_id in ids))) == results
        assert postgres.connections("agent") <= 2


async def fill(service: ProductionDatabaseService, saved: list[str]) -> None:
    """Save results without end, and note their ids."""
    for number in itertools.count():
        result_id = await service.save_result(incompressible(number))
        saved.append(result_id)


def incompressible(number: int) -> dict[str, Any]:
    """Some 200 kB that PostgreSQL cannot make smaller."""
    digits = random.Random(number).randbytes(100_000).hex()  # noqa: S311 - no secret
    return {"number": number, "digits": digits}
