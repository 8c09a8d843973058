"""A cache in the process: bounded, for one pod, gone with it."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from mizzen_runtime.implementations.cache_entries import (
    MAX_VALUE_BYTES,
    ValueTooLargeError,
    check_ttl,
    decode_value,
    encode_key,
    encode_value,
)
from mizzen_runtime.implementations.glob import parse_glob

ENTRY_BYTES = 400
"""What an entry takes beside its key and its value, at most: measured with 100,000 entries on CPython 3.11."""
KEYS_AT_A_TIME = 1000
"""How many keys `invalidate` compares before it lets others run: about a millisecond."""


class MemoryCacheSettings(BaseModel):
    """What `memory` takes."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    max_entries: int = Field(default=10_000, ge=1, le=10_000_000)
    """How many entries there may be; one more, and the least recently used goes."""
    max_bytes: int = Field(default=64 * 1024 * 1024, ge=1024, le=64 * 1024**3)
    """How many bytes of memory they may take, estimated rather too high; more, and the least recently used go."""
    max_value_bytes: int = Field(default=MAX_VALUE_BYTES, ge=1, le=512 * 1024 * 1024)
    """How many bytes a value may have as JSON."""


@dataclass(slots=True)
class _Entry:
    encoded: bytes
    expires: float


class MemoryCacheService:
    """Keeps values as JSON, so that nobody shares a value with the cache; the least recently used go first.

    Of one event loop. `get` and `set` take a time that does not depend on the number of entries.
    """

    def __init__(
        self,
        *,
        max_entries: int = 10_000,
        max_bytes: int = 64 * 1024 * 1024,
        max_value_bytes: int = MAX_VALUE_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make an empty cache.

        Args:
            max_entries: See `MemoryCacheSettings`.
            max_bytes: See `MemoryCacheSettings`.
            max_value_bytes: See `MemoryCacheSettings`.
            clock: Gives the time in seconds.
        """
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_value_bytes = max_value_bytes
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0

    @classmethod
    def from_settings(cls, settings: MemoryCacheSettings) -> Self:
        """Make an empty cache."""
        return cls(
            max_entries=settings.max_entries,
            max_bytes=settings.max_bytes,
            max_value_bytes=settings.max_value_bytes,
        )

    @property
    def entry_count(self) -> int:
        """How many entries there are, with those whose time is over and that nobody asked for since."""
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """How many bytes they take, see `max_bytes`."""
        return self._bytes

    async def get(self, key: str) -> Any:
        """Give a copy of the value of a key; None if it is not there, or no longer.

        Raises:
            InvalidKeyError: It is no key.
        """
        encode_key(key)
        if (entry := self._entries.get(key)) is None:
            return None
        if entry.expires <= self._clock():
            self._remove(key)
            return None
        self._entries.move_to_end(key)
        return decode_value(entry.encoded)

    async def set(self, key: str, value: Any, ttl: int = 3600) -> None:
        """Keep a copy of a value for `ttl` seconds, or until it is the least recently used and there are too many.

        Raises:
            InvalidKeyError: It is no key.
            InvalidTTLError: `ttl` is no time to live.
            UnstorableValueError: The value is no JSON.
            ValueTooLargeError: The value is larger than a value may be, or than all together.
        """
        key_bytes = len(encode_key(key))
        expires = self._clock() + check_ttl(ttl)
        encoded = encode_value(value, self._max_value_bytes)
        size = key_bytes + len(encoded) + ENTRY_BYTES
        if size > self._max_bytes:
            raise ValueTooLargeError(f"the entry takes {size} bytes, and max_bytes allows {self._max_bytes} in all")
        self._remove(key)
        self._entries[key] = _Entry(encoded, expires)
        self._bytes += size
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._remove(next(iter(self._entries)))

    async def invalidate(self, pattern: str) -> int:
        """Remove the keys that match a pattern, see `glob`.

        Others run in between: a key that is set meanwhile may stay or go.

        Returns:
            How many went, without those whose time was over.

        Raises:
            InvalidPatternError: It is no pattern.
        """
        glob = parse_glob(pattern)
        keys = list(self._entries)
        removed = 0
        for start in range(0, len(keys), KEYS_AT_A_TIME):
            now = self._clock()
            for key in keys[start : start + KEYS_AT_A_TIME]:
                if glob.matches(key) and (entry := self._remove(key)) is not None:
                    removed += entry.expires > now
            await asyncio.sleep(0)
        return removed

    async def health_check(self) -> bool:
        """Tell that it can be used."""
        return True

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._bytes = 0

    def _remove(self, key: str) -> _Entry | None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(key.encode()) + len(entry.encoded) + ENTRY_BYTES
        return entry
