"""The start of the database service on PostgreSQL: its table, its user, and what is told when it cannot start."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from mizzen_runtime.implementations.postgres import ProductionDatabaseService
from mizzen_runtime.implementations.postgres_settings import PostgresSettings
from mizzen_runtime.implementations.results import ResultTooLargeError
from mizzen_runtime.services import ServiceError, ServiceUnavailableError
from tests.integration.services.database import made, running
from tests.support.postgres import ADMIN, DATABASE, PASSWORD, PostgresServer

pytestmark = pytest.mark.anyio

START_AND_SAVE = """
import asyncio, sys
from mizzen_runtime.implementations.postgres import ProductionDatabaseService

async def main() -> None:
    service = ProductionDatabaseService(sys.argv[1], table=sys.argv[2], call_timeout_seconds=60)
    print("ready", flush=True)
    sys.stdin.readline()
    await service.initialize()
    await service.save_result({"a": 1})

asyncio.run(main())
"""


@pytest.fixture
def table() -> str:
    return f"results_{uuid4().hex}"


def test_pods_that_start_at_once_make_one_table(shared_postgres: PostgresServer, table: str) -> None:
    pods = [
        subprocess.Popen(
            [sys.executable, "-c", START_AND_SAVE, shared_postgres.url, table],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for pod in pods:
        assert pod.stdout is not None
        assert pod.stdout.readline() == "ready\n"
    for pod in pods:
        assert pod.stdin is not None
        pod.stdin.write("\n")
        pod.stdin.flush()
    ended = [pod.communicate() for pod in pods]
    assert [pod.returncode for pod in pods] == [0, 0, 0], ended
    assert len(shared_postgres.sql(f"TABLE {table}").splitlines()) == 3


async def test_many_services_of_one_process_make_one_table(shared_postgres: PostgresServer, table: str) -> None:
    services = [ProductionDatabaseService(shared_postgres.url, table=table) for _ in range(20)]
    await asyncio.gather(*(service.initialize() for service in services))
    await asyncio.gather(*(service.save_result({"a": 1}) for service in services))
    await asyncio.gather(*(service.close() for service in services))
    assert len(shared_postgres.sql(f"TABLE {table}").splitlines()) == 20


async def test_a_result_is_a_row_with_an_id_and_a_time(shared_postgres: PostgresServer, table: str) -> None:
    async with running(shared_postgres.url, table=table) as service:
        result_id = await service.save_result({"answer": 42})
        kinds = shared_postgres.sql(f"SELECT pg_typeof(id), pg_typeof(created_at), pg_typeof(result) FROM {table}")
        assert kinds == "uuid|timestamp with time zone|jsonb"
        assert shared_postgres.sql(f"SELECT result->>'answer' FROM {table} WHERE id = '{result_id}'") == "42"
        saved = datetime.fromtimestamp(
            float(shared_postgres.sql(f"SELECT extract(epoch FROM created_at) FROM {table}")), UTC
        )
        assert abs(datetime.now(UTC) - saved) < timedelta(minutes=1)
        assert abs(datetime.fromtimestamp((UUID(result_id).int >> 80) / 1000, UTC) - saved) < timedelta(minutes=1)


async def test_the_order_of_ids_is_that_of_time(shared_postgres: PostgresServer, table: str) -> None:
    async with running(shared_postgres.url, table=table) as service:
        ids = []
        for _ in range(5):
            result_id = await service.save_result({})
            ids.append(result_id)
            await asyncio.sleep(0.002)  # ids of one millisecond have no order
        assert ids == sorted(ids)
        assert {UUID(result_id).version for result_id in ids} == {7}


async def test_a_result_may_have_just_so_many_bytes(shared_postgres: PostgresServer, table: str) -> None:
    async with running(shared_postgres.url, table=table, max_result_bytes=100) as service:
        await service.save_result({"text": "ä" * 44 + "x"})
        with pytest.raises(ResultTooLargeError) as refusal:
            await service.save_result({"text": "ä" * 44 + "xx"})
        assert str(refusal.value) == "the result has more than 100 bytes as JSON, which is what max_result_bytes allows"


async def test_parts_of_the_address_do_as_well_as_a_connection_string(
    shared_postgres: PostgresServer, table: str
) -> None:
    service = ProductionDatabaseService.from_settings(
        PostgresSettings.model_validate(
            {
                "host": "127.0.0.1",
                "port": str(shared_postgres.port),
                "database": DATABASE,
                "username": ADMIN,
                "password": PASSWORD,
                "tls_mode": "disable",
                "table": table,
                "pool_size": "2",
                "call_timeout_seconds": "10",
            }
        )
    )
    try:
        await service.initialize()
        assert await service.get_result(await service.save_result({"a": 1})) == {"a": 1}
        assert service.pool.limit == 2
    finally:
        await service.close()


async def test_nothing_is_taken_from_the_environment(
    shared_postgres: PostgresServer, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSSLMODE", "PGTARGETSESSIONATTRS"):
        monkeypatch.setenv(name, "nonsense")
    async with running(shared_postgres.url, table=table) as service:
        assert await service.health_check() is True


# Rights


async def test_a_user_without_rights_to_the_schema_is_told_what_to_grant(shared_postgres: PostgresServer) -> None:
    shared_postgres.sql("CREATE USER guest PASSWORD 'secret'")
    async with made(shared_postgres.url_of("guest", "secret"), table="guests") as service:
        with pytest.raises(ServiceError) as refusal:
            await service.initialize()
        assert str(refusal.value) == (
            f"PostgreSQL at 127.0.0.1:{shared_postgres.port} does not let user 'guest' do it; grant SELECT and INSERT "
            "on the table and USAGE on its schema (CREATE, to make the table) (SQLSTATE 42501)"
        )


async def test_a_second_user_uses_the_table_of_the_first(shared_postgres: PostgresServer, table: str) -> None:
    shared_postgres.create_user("first", "secret")
    shared_postgres.sql("CREATE USER second PASSWORD 'other'")
    async with running(shared_postgres.url_of("first", "secret"), table=table) as first:
        result_id = await first.save_result({"a": 1})
        async with made(shared_postgres.url_of("second", "other"), table=table) as second:
            with pytest.raises(ServiceError) as refusal:
                await second.initialize()
            assert str(refusal.value) == (
                f"the user may not use table {table!r}; GRANT SELECT, INSERT ON {table} TO the user"
            )
            shared_postgres.sql(f"GRANT SELECT, INSERT ON {table} TO second")
            await second.initialize()
            assert await second.get_result(result_id) == {"a": 1}
            assert await first.get_result(await second.save_result({"b": 2})) == {"b": 2}
            assert (shared_postgres.connections("first"), shared_postgres.connections("second")) == (1, 1)
    shared_postgres.sql("DROP OWNED BY first, second; DROP USER first, second")


async def test_a_table_of_something_else_is_left_alone(shared_postgres: PostgresServer, table: str) -> None:
    shared_postgres.sql(f"CREATE TABLE {table} (id integer PRIMARY KEY, result jsonb)")
    async with made(shared_postgres.url, table=table) as service:
        with pytest.raises(ServiceError) as refusal:
            await service.initialize()
        assert str(refusal.value) == (
            f"table {table!r} is no table of results: it has no column id uuid and no column created_at timestamp "
            "with time zone; set another name as table"
        )


# What cannot start


def unreachable(server: PostgresServer) -> str:
    return server.url.replace(f":{server.port}/", ":1/")


REFUSALS: dict[str, tuple[Callable[[PostgresServer], str], str]] = {
    "wrong password": (
        lambda server: server.url_of(ADMIN, "wrong"),
        "PostgreSQL at 127.0.0.1:{port} does not take the password of user 'admin'; correct it (SQLSTATE 28P01)",
    ),
    "unknown user": (
        lambda server: server.url_of("nobody", PASSWORD),
        "PostgreSQL at 127.0.0.1:{port} does not take the password of user 'nobody'; correct it (SQLSTATE 28P01)",
    ),
    "unknown database": (
        lambda server: server.url.replace(f"/{DATABASE}", "/absent"),
        "PostgreSQL at 127.0.0.1:{port} has no database 'absent'; create it, or correct the name (SQLSTATE 3D000)",
    ),
    "no TLS": (
        lambda server: server.url_of(ADMIN, PASSWORD, tls_mode="require"),
        (
            "PostgreSQL at 127.0.0.1:{port} speaks no TLS; turn it on there, or set tls_mode=disable (sslmode=disable) "
            "if nobody can listen on the network"
        ),
    ),
}
ABSENCES: dict[str, tuple[Callable[[PostgresServer], str], str]] = {
    "nothing there": (
        lambda server: server.url.replace(f":{server.port}/", ":1/"),
        "PostgreSQL at 127.0.0.1:1 did not answer within 1 s; last: PostgreSQL at 127.0.0.1:1 refuses connections",
    ),
    "unknown host": (
        lambda server: server.url_of(ADMIN, PASSWORD, host="no-such-host.invalid"),
        (
            "PostgreSQL at no-such-host.invalid:{port} did not answer within 1 s; "
            "last: PostgreSQL at no-such-host.invalid:{port} is not known by that name"
        ),
    ),
}


@pytest.mark.parametrize(("url", "text"), [*REFUSALS.values(), *ABSENCES.values()], ids=[*REFUSALS, *ABSENCES])
async def test_what_cannot_start_says_why(
    shared_postgres: PostgresServer, url: Callable[[PostgresServer], str], text: str
) -> None:
    async with made(url(shared_postgres), call_timeout_seconds=1) as service:
        with pytest.raises(ServiceError) as refusal:
            await service.initialize()
        assert str(refusal.value) == text.format(port=shared_postgres.port)
        may_pass = isinstance(refusal.value, ServiceUnavailableError)
        assert may_pass == (text in {told for _, told in ABSENCES.values()})
        assert refusal.value.__suppress_context__, "a log must not show what the library said"
        assert await service.health_check() is False


async def test_a_start_that_failed_is_made_good_later(postgres: PostgresServer) -> None:
    postgres.stop()
    async with made(postgres.url, call_timeout_seconds=1) as service:
        with pytest.raises(ServiceUnavailableError):
            await service.initialize()
        postgres.start()
        await service.initialize()
        assert await service.get_result(await service.save_result({"a": 1})) == {"a": 1}
        assert await service.health_check() is True


async def test_calls_out_of_turn_are_refused(shared_postgres: PostgresServer, table: str) -> None:
    async with made(shared_postgres.url, table=table) as service:
        with pytest.raises(ServiceError, match="is not initialized; await initialize"):
            await service.save_result({})
        with pytest.raises(ServiceError, match="is not initialized; await initialize"):
            await service.get_result("01a21e7e-1098-78ef-9fd1-cd3452edb91a")
        assert await service.health_check() is False
        await service.initialize()
        await service.close()
        await service.close()
        with pytest.raises(ServiceError, match="is closed"):
            await service.save_result({})
        assert await service.health_check() is False


async def test_no_password_is_in_what_a_service_shows(shared_postgres: PostgresServer) -> None:
    settings = PostgresSettings.model_validate({"connection_string": shared_postgres.url})
    service = ProductionDatabaseService.from_settings(settings)
    shown = f"{service!r} {settings!r} {settings!s} {vars(service)!r} {settings.model_dump()!r}"
    for secret in (PASSWORD, "%23"):
        assert secret not in shown


async def test_an_unreadable_bundle_of_authorities_is_told(shared_postgres: PostgresServer, tmp_path: Path) -> None:
    empty = str(tmp_path / "empty.pem")
    (tmp_path / "empty.pem").touch()
    absent = str(tmp_path / "absent.pem")
    texts = {
        empty: f"the file {empty!r} of ca_bundle holds no certificates in PEM; correct it",
        absent: f"the file {absent!r} of ca_bundle cannot be read: No such file or directory",
        "-----BEGIN CERTIFICATE-----": "ca_bundle holds no certificates in PEM; correct it",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----": (
            "ca_bundle holds no certificates in PEM; correct it"
        ),
    }
    for bundle, text in texts.items():
        url = shared_postgres.url_of(ADMIN, PASSWORD, tls_mode=None)
        async with made(url, ca_bundle=bundle) as service:
            with pytest.raises(ServiceError) as refusal:
                await service.initialize()
            assert str(refusal.value) == text
