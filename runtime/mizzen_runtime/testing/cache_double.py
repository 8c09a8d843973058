"""A cache for tests: in memory, with a log of its calls and a clock that tests can put forward."""

import copy
from typing import Any

from mizzen_runtime.implementations.memory import MemoryCacheService


class TestCacheService(MemoryCacheService):
    """Behaves as every cache does, is always healthy, and remembers what it was asked for."""

    __test__ = False

    def __init__(self) -> None:
        """Make an empty cache, whose clock stands still."""
        self._now = 0.0
        self._calls: list[tuple[Any, ...]] = []
        super().__init__(clock=lambda: self._now)

    def get_call_log(self) -> list[tuple[Any, ...]]:
        """Give the calls that did not raise, in their order.

        They are `("get", key)`, `("set", key, value, ttl)` and `("invalidate", pattern)`.
        """
        return list(self._calls)

    def advance(self, seconds: float) -> None:
        """Put the clock forward, so that entries expire."""
        self._now += seconds

    async def get(self, key: str) -> Any:
        """Give the value of a key; None if it is not there."""
        value = await super().get(key)
        self._calls.append(("get", key))
        return value

    async def set(self, key: str, value: Any, ttl: int = 3600) -> None:
        """Keep a value for `ttl` seconds of this clock."""
        await super().set(key, value, ttl)
        self._calls.append(("set", key, copy.deepcopy(value), ttl))

    async def invalidate(self, pattern: str) -> int:
        """Remove the keys that match, and give how many went."""
        removed = await super().invalidate(pattern)
        self._calls.append(("invalidate", pattern))
        return removed
