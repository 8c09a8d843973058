"""The cache in memory: its bounds, and what it costs."""

import asyncio
import time
import tracemalloc

import pytest

from mizzen_runtime.implementations.cache_entries import ValueTooLargeError
from mizzen_runtime.implementations.memory import MemoryCacheService, MemoryCacheSettings
from mizzen_runtime.testing.cache_double import TestCacheService

pytestmark = pytest.mark.anyio


async def test_the_least_recently_used_entry_goes_first() -> None:
    cache = MemoryCacheService(max_entries=3)
    for key in ("a", "b", "c"):
        await cache.set(key, key)
    await cache.get("a")
    await cache.set("b", "again")
    await cache.set("d", "d")

    assert [await cache.get(key) for key in ("a", "b", "c", "d")] == ["a", "again", None, "d"]


async def test_the_bytes_are_bounded_too() -> None:
    cache = MemoryCacheService(max_bytes=100_000)
    for index in range(1000):
        await cache.set(f"key:{index}", "x" * 1000)
        assert cache.size_bytes <= 100_000

    assert cache.entry_count > 50
    assert await cache.get("key:999") == "x" * 1000
    assert await cache.get("key:0") is None


async def test_what_is_larger_than_all_together_is_refused_and_nothing_goes_for_it() -> None:
    cache = MemoryCacheService(max_bytes=5_000)
    await cache.set("key", "value")

    with pytest.raises(ValueTooLargeError, match="max_bytes allows 5000 in all"):
        await cache.set("large", "x" * 5_000)
    assert await cache.get("key") == "value"


async def test_the_count_of_bytes_returns_to_nothing() -> None:
    now = 0.0
    cache = MemoryCacheService(clock=lambda: now)
    for index in range(100):
        await cache.set(f"grün:{index}", index, ttl=1 if index % 2 else 100)
        await cache.set(f"grün:{index}", [index], ttl=1 if index % 2 else 100)
    now = 1.0
    assert await cache.get("grün:1") is None
    assert await cache.invalidate("*") == 50
    assert cache.size_bytes == cache.entry_count == 0


@pytest.mark.parametrize("value", ["", "x" * 1000])
async def test_the_memory_taken_is_within_what_is_counted(value: str) -> None:
    cache = MemoryCacheService(max_entries=100_000)
    tracemalloc.start()
    try:
        for index in range(50_000):
            await cache.set(f"session:{index}", value)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 0.5 * cache.size_bytes < taken <= cache.size_bytes


async def test_removing_many_keys_lets_others_run() -> None:
    cache = MemoryCacheService(max_entries=200_000, max_bytes=1024**3)
    for index in range(100_000):
        await cache.set(f"a:{index}", index)
    turns = 0
    longest = 0.0
    removal = asyncio.create_task(cache.invalidate("a:*"))
    while not removal.done():
        start = time.monotonic()
        await asyncio.sleep(0)
        longest = max(longest, time.monotonic() - start)
        turns += 1

    assert await removal == 100_000
    assert turns > 90
    assert longest < 0.5


async def test_closing_forgets_everything() -> None:
    cache = MemoryCacheService.from_settings(MemoryCacheSettings())
    await cache.set("key", "value")
    await cache.close()
    await cache.close()

    assert await cache.get("key") is None
    assert cache.size_bytes == 0


def test_settings_come_as_text() -> None:
    settings = MemoryCacheSettings.model_validate({"max_entries": "5", "max_bytes": "2048", "max_value_bytes": "100"})

    assert (settings.max_entries, settings.max_bytes, settings.max_value_bytes) == (5, 2048, 100)


async def test_the_double_tells_what_it_was_asked_for() -> None:
    cache = TestCacheService()
    given = [1]
    await cache.set("a", given, ttl=5)
    given.append(2)
    await cache.get("a")
    await cache.invalidate("*")

    assert cache.get_call_log() == [("set", "a", [1], 5), ("get", "a"), ("invalidate", "*")]
    assert await cache.health_check()


async def test_the_doubles_clock_stands_still_until_it_is_put_forward() -> None:
    cache = TestCacheService()
    await cache.set("a", 1, ttl=5)
    cache.advance(4.9)
    assert await cache.get("a") == 1
    cache.advance(0.1)
    assert await cache.get("a") is None
