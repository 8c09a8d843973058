"""What every cache must do, as tests to run on an own one.

Example:
    class TestMyCache(CacheContract):
        @pytest.fixture
        async def cache(self) -> AsyncIterator[CacheService]:
            ...
"""

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any

import pytest

from mizzen_runtime.services import CacheService, ServiceError

VALUES: tuple[Any, ...] = (
    "text",
    "",
    'Grüße, 世界 🎈\n\x00"\\',
    0,
    -(2**63),
    2**100,
    0.1,
    1e300,
    True,
    False,
    [],
    {},
    [1, [2, [3, {"four": None}]]],
    {"": "", "a": {"b": ["c", 1.5, None]}},
)
"""Each comes back equal, and of the same type."""

KEYS = (
    "user:1",
    "user:2",
    "user:11",
    "user:1:name",
    "User:1",
    "user*1",
    "user?1",
    "user[1]",
    "user\\1",
    "grün",
    "日本",
)
MATCHES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("*", KEYS),
    ("user:1", ("user:1",)),
    ("user:*", ("user:1", "user:2", "user:11", "user:1:name")),
    ("user:?", ("user:1", "user:2")),
    ("user:??", ("user:11",)),
    ("user:[12]", ("user:1", "user:2")),
    ("user:[^1]", ("user:2",)),
    ("user:[0-1]", ("user:1",)),
    ("[Uu]ser:1", ("user:1", "User:1")),
    (r"user\*1", ("user*1",)),
    (r"user\?1", ("user?1",)),
    (r"user\[1]", ("user[1]",)),
    ("user[*]1", ("user*1",)),
    (r"user\\1", ("user\\1",)),
    ("user?1", ("user:1", "user*1", "user?1", "user\\1")),
    ("*name", ("user:1:name",)),
    ("*:*:*", ("user:1:name",)),
    ("gr?n", ("grün",)),
    ("gr[ö-ü]n", ("grün",)),
    ("??", ("日本",)),
    ("user", ()),
    ("", ()),
)
"""Patterns, and the keys of `KEYS` that they are about."""


NO_JSON: Mapping[str, object] = {
    "object": object(),
    "set": {1, 2},
    "bytes": b"bytes",
    "complex number": 1j,
    "object inside": {"a": [object()]},
    "number as key": {1: "a"},
    "tuple as key": {("a",): 1},
    "not a number": float("nan"),
    "infinity inside": [float("inf")],
    "half a character": "\ud800",
}
"""Values that no JSON has, by what a test is called."""


class CacheContract:
    """The tests. Override `cache` to give an empty, initialised cache, closed afterwards."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Run on asyncio, as the runtime does."""
        return "asyncio"

    @pytest.fixture
    async def cache(self) -> Any:
        """Give the cache under test."""
        raise NotImplementedError("override the fixture `cache`")

    async def let_time_pass(self, cache: CacheService, seconds: float) -> None:
        """Wait; to be overridden for a cache with a clock of its own."""
        await asyncio.sleep(seconds)

    async def test_it_is_a_cache_service(self, cache: CacheService) -> None:
        """It has the methods of the interface."""
        assert isinstance(cache, CacheService)

    async def test_a_key_that_was_never_set_has_no_value(self, cache: CacheService) -> None:
        """`get` gives None."""
        assert await cache.get("absent") is None

    @pytest.mark.parametrize("value", VALUES, ids=repr)
    async def test_a_value_comes_back(self, cache: CacheService, value: Any) -> None:
        """It is equal, and of the same type."""
        await cache.set("key", value)

        found = await cache.get("key")

        assert found == value
        assert type(found) is type(value)

    async def test_none_can_be_kept(self, cache: CacheService) -> None:
        """It cannot be told from nothing, and is no error."""
        await cache.set("key", None)

        assert await cache.get("key") is None
        assert await cache.invalidate("key") == 1

    @pytest.mark.parametrize("key", [*KEYS, " ", "a b", "a\nb", "\x00", "k" * 1000])
    async def test_a_key_may_be_any_text(self, cache: CacheService, key: str) -> None:
        """Whatever characters it has, it is a key of its own."""
        await cache.set(key, "value")

        assert await cache.get(key) == "value"
        assert await cache.get(f"{key}x") is None

    @pytest.mark.parametrize("key", ["", "k" * 1025, "\ud800", None, 1, b"key"])
    async def test_what_is_no_key_is_refused(self, cache: CacheService, key: Any) -> None:
        """By each method, before anything happens."""
        with pytest.raises(ServiceError):
            await cache.get(key)
        with pytest.raises(ServiceError):
            await cache.set(key, "value")

    async def test_a_later_value_replaces_an_earlier_one(self, cache: CacheService) -> None:
        """Of whatever type the two are."""
        await cache.set("key", [1, 2, 3])
        await cache.set("key", "later")

        assert await cache.get("key") == "later"

    async def test_nobody_shares_a_value_with_the_cache(self, cache: CacheService) -> None:
        """Changing what was given or got changes nothing in the cache."""
        given = {"list": [1]}
        await cache.set("key", given)
        given["list"].append(2)
        (await cache.get("key"))["list"].append(3)

        assert await cache.get("key") == {"list": [1]}

    @pytest.mark.parametrize("value", NO_JSON.values(), ids=NO_JSON)
    async def test_a_value_that_is_no_json_is_refused(self, cache: CacheService, value: Any) -> None:
        """At `set`, and what was there before stays."""
        await cache.set("key", "before")

        with pytest.raises(ServiceError):
            await cache.set("key", value)

        assert await cache.get("key") == "before"

    async def test_a_value_that_holds_itself_is_refused(self, cache: CacheService) -> None:
        """It would never end."""
        value: list[Any] = []
        value.append(value)

        with pytest.raises(ServiceError):
            await cache.set("key", value)

    async def test_the_message_names_the_type_and_never_the_value(self, cache: CacheService) -> None:
        """What cannot be kept may be secret all the same."""

        class Card:
            def __repr__(self) -> str:
                return "4111-1111"

        with pytest.raises(ServiceError) as refused:
            await cache.set("key", {"card": Card()})

        assert "Card" in str(refused.value)
        assert "4111" not in str(refused.value)

    @pytest.mark.parametrize("ttl", [0, -1, True, 1.5, "60", None, 2**70])
    async def test_a_ttl_that_is_none_is_refused(self, cache: CacheService, ttl: Any) -> None:
        """At `set`, and what was there before stays."""
        await cache.set("key", "before")

        with pytest.raises(ServiceError):
            await cache.set("key", "value", ttl)

        assert await cache.get("key") == "before"

    async def test_an_entry_lives_as_long_as_it_was_given(self, cache: CacheService) -> None:
        """To the second: it is there before, and not after."""
        await cache.set("short", "value", ttl=2)
        await cache.set("long", "value", ttl=60)
        await self.let_time_pass(cache, 1)

        assert await cache.get("short") == "value"

        await self.let_time_pass(cache, 1.2)

        assert await cache.get("short") is None
        assert await cache.get("long") == "value"
        assert await cache.invalidate("*") == 1

    async def test_a_later_ttl_replaces_an_earlier_one(self, cache: CacheService) -> None:
        """A value lives as long as its own `set` says."""
        await cache.set("key", "first", ttl=1)
        await cache.set("key", "second", ttl=60)
        await self.let_time_pass(cache, 1.2)

        assert await cache.get("key") == "second"

    async def test_the_ttl_is_an_hour_if_none_is_given(self, cache: CacheService) -> None:
        """As the interface says."""
        assert inspect.signature(cache.set).parameters["ttl"].default == 3600

    @pytest.mark.parametrize(("pattern", "matches"), MATCHES)
    async def test_a_pattern_is_about_these_keys(
        self, cache: CacheService, pattern: str, matches: tuple[str, ...]
    ) -> None:
        """`invalidate` removes them and no others, and counts them."""
        for key in KEYS:
            await cache.set(key, key)

        assert await cache.invalidate(pattern) == len(matches)

        left = [key for key in KEYS if await cache.get(key) is not None]
        assert left == [key for key in KEYS if key not in matches]

    @pytest.mark.parametrize("pattern", ["[", "user:[1", "[^", "[]", "[^]", "[z-a]", "user\\", "[a\\", None, 1])
    async def test_half_a_pattern_is_refused(self, cache: CacheService, pattern: Any) -> None:
        """Rather than to guess which keys should go."""
        await cache.set("user:1", "value")

        with pytest.raises(ServiceError):
            await cache.invalidate(pattern)

        assert await cache.get("user:1") == "value"

    async def test_what_is_gone_is_not_counted_again(self, cache: CacheService) -> None:
        """A second `invalidate` finds nothing."""
        await cache.set("key", "value")

        assert await cache.invalidate("key") == 1
        assert await cache.invalidate("key") == 0

    async def test_many_keys_go_at_once(self, cache: CacheService) -> None:
        """More than fit into one batch, and the others stay."""
        for index in range(1500):
            await cache.set(f"{'even' if index % 2 == 0 else 'odd'}:{index}", index)

        assert await cache.invalidate("even:*") == 750
        assert await cache.get("odd:1499") == 1499
        assert await cache.invalidate("*") == 750

    async def test_calls_may_run_at_once(self, cache: CacheService) -> None:
        """More than there are connections, each with its own answer."""

        async def set_and_get(index: int) -> Any:
            await cache.set(f"key:{index}", index)
            return await cache.get(f"key:{index}")

        assert await asyncio.gather(*(set_and_get(index) for index in range(100))) == list(range(100))
