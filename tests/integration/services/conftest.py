from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer


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


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that the test may break."""
    server = RedisServer(tmp_path)
    yield server
    server.close()


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of all tests of a module, which may empty it and nothing else."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.close()


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """The shared server, empty."""
    shared_redis.lines("FLUSHALL")
    return shared_redis
