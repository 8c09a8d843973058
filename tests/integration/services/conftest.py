from collections.abc import Iterator

import pytest

from tests.support.postgres import PostgresServer


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """On the event loop of the runtime."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for tests that leave it as it is but for tables of their own."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of a test's own, to be broken."""
    server = PostgresServer()
    yield server
    server.close()
