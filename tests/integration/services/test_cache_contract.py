"""Every cache that ships, the double too, does what the contract says."""

from collections.abc import AsyncIterator

import pytest

from mizzen_runtime.implementations.memory import MemoryCacheService
from mizzen_runtime.implementations.redis import RedisCacheService
from mizzen_runtime.services import CacheService
from mizzen_runtime.testing.cache_contract import CacheContract
from mizzen_runtime.testing.cache_double import TestCacheService
from tests.support.redis import RedisServer


class TestRedis(CacheContract):
    @pytest.fixture
    async def cache(self, redis_server: RedisServer) -> AsyncIterator[CacheService]:
        cache = RedisCacheService("127.0.0.1", redis_server.port)
        await cache.initialize()
        yield cache
        await cache.close()
        redis_server.wait_for_clients(0)


class TestMemory(CacheContract):
    @pytest.fixture
    async def cache(self) -> CacheService:
        return MemoryCacheService()


class TestDouble(CacheContract):
    @pytest.fixture
    async def cache(self) -> CacheService:
        return TestCacheService()

    async def let_time_pass(self, cache: CacheService, seconds: float) -> None:
        assert isinstance(cache, TestCacheService)
        cache.advance(seconds)
