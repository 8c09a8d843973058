"""TLS to PostgreSQL: what each mode checks, on a server with a certificate of the test's own authority."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mizzen_runtime.implementations.postgres_address import TlsMode
from mizzen_runtime.services import ServiceError
from tests.integration.services.database import running
from tests.support.authority import Authority
from tests.support.postgres import ADMIN, PASSWORD, PostgresServer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls_postgres(authority: Authority) -> Iterator[PostgresServer]:
    """A server that is called localhost, and lets nobody in without TLS."""
    server = PostgresServer()
    server.speak_tls(*authority.issue("DNS:localhost"))
    server.allow("hostssl all all 127.0.0.1/32 scram-sha-256")
    yield server
    server.close()


async def start(server: PostgresServer, mode: TlsMode | None, bundle: str | None, host: str = "localhost") -> None:
    url = server.url_of(ADMIN, PASSWORD, host=host, tls_mode=None)
    async with running(url, tls_mode=mode, ca_bundle=bundle):
        tls = server.sql(
            "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'mizzen'"
        )
        assert tls == "t"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("mode", ["require", "verify-ca"])
async def test_modes_that_ask_for_no_host_take_any(
    tls_postgres: PostgresServer, authority: Authority, mode: TlsMode, host: str
) -> None:
    await start(tls_postgres, mode, str(authority.bundle) if mode == "verify-ca" else None, host)


@pytest.mark.parametrize("mode", [None, "verify-full"])
async def test_a_full_check_takes_the_right_host(
    tls_postgres: PostgresServer, authority: Authority, mode: TlsMode | None
) -> None:
    await start(tls_postgres, mode, str(authority.bundle))


async def test_the_authorities_may_be_given_as_text(tls_postgres: PostgresServer, authority: Authority) -> None:
    await start(tls_postgres, None, authority.bundle.read_text())


async def test_a_full_check_refuses_another_host(tls_postgres: PostgresServer, authority: Authority) -> None:
    with pytest.raises(ServiceError) as refusal:
        await start(tls_postgres, "verify-full", str(authority.bundle), host="127.0.0.1")
    assert str(refusal.value) == (
        f"PostgreSQL at 127.0.0.1:{tls_postgres.port} has a certificate for another host than '127.0.0.1'; use the "
        "name in it, or tls_mode=verify-ca"
    )


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
async def test_a_certificate_of_another_authority_is_refused(
    tls_postgres: PostgresServer, mode: TlsMode, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "another authority")
    with pytest.raises(ServiceError) as refusal:
        await start(tls_postgres, mode, str(other.bundle))
    assert str(refusal.value) == (
        f"PostgreSQL at localhost:{tls_postgres.port} has a certificate that no authority in ca_bundle has signed; "
        "correct it"
    )


async def test_an_authority_that_the_system_does_not_trust_is_refused(tls_postgres: PostgresServer) -> None:
    with pytest.raises(ServiceError) as refusal:
        await start(tls_postgres, None, None)
    assert str(refusal.value) == (
        f"PostgreSQL at localhost:{tls_postgres.port} has a certificate of an authority that the system does not "
        "trust; set ca_bundle"
    )


async def test_a_server_that_asks_for_tls_is_told_of(tls_postgres: PostgresServer) -> None:
    with pytest.raises(ServiceError) as refusal:
        await start(tls_postgres, "disable", None)
    assert str(refusal.value) == (
        f"PostgreSQL at localhost:{tls_postgres.port} does not let in user 'admin' for database 'results' with "
        "tls_mode=disable; see pg_hba.conf (SQLSTATE 28000)"
    )


async def test_a_certificate_that_has_expired_is_refused(postgres: PostgresServer, authority: Authority) -> None:
    postgres.speak_tls(*authority.issue("DNS:localhost", days=-1))
    with pytest.raises(ServiceError) as refusal:
        await start(postgres, "verify-full", str(authority.bundle))
    assert str(refusal.value) == (
        f"PostgreSQL at localhost:{postgres.port} has a certificate that has expired; renew it"
    )
