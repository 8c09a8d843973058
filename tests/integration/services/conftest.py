from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.redis import RedisServer

pytest.register_assert_rewrite("mizzen_runtime.testing.cache_contract", "mizzen_runtime.testing.external_api_contract")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may break."""
    server = RedisServer(tmp_path)
    yield server
    server.close()


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server of all tests of a module, which may empty it and nothing else."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.close()


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """The shared server, empty."""
    shared_redis.lines("FLUSHALL")
    return shared_redis
