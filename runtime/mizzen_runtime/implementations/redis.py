"""A cache in Redis: shared by all pods, within one prefix of its keys.

An ACL user needs `~PREFIX* +getrange +set +scan +unlink +ping`, and `+select` for a database other than 0.
"""

import asyncio
import contextlib
import random
import re
import ssl
from typing import Any, Self

from redis.asyncio import Connection, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from mizzen_runtime.implementations.cache_entries import (
    MAX_VALUE_BYTES,
    ForeignValueError,
    check_ttl,
    decode_value,
    encode_key,
    encode_value,
)
from mizzen_runtime.implementations.connecting import trusting
from mizzen_runtime.implementations.glob import parse_glob
from mizzen_runtime.implementations.redis_faults import service_error_of
from mizzen_runtime.implementations.redis_settings import RedisSettings
from mizzen_runtime.services import ServiceError, ServiceUnavailableError

RECONNECT_PAUSES = (0.05, 0.2)
"""Seconds before a command whose connection broke is sent again: twice, half of it to all of it, within its deadline.
Every command may be sent twice, except the one whose answer is a count."""


class RedisCacheService:
    """Keeps values as JSON in Redis. Each call has a deadline; a broken connection is replaced within it."""

    def __init__(
        self,
        host: str,
        port: int = 6379,
        *,
        db: int = 0,
        username: str | None = None,
        password: str | None = None,
        tls: bool = False,
        ca_bundle: str | None = None,
        prefix: str = "mizzen:",
        pool_size: int = 10,
        call_timeout_seconds: float = 2.0,
        connect_timeout_seconds: float = 1.0,
        invalidate_timeout_seconds: float = 30.0,
        max_value_bytes: int = MAX_VALUE_BYTES,
        scan_batch: int = 200,
    ) -> None:
        """Say where the server is; nothing is connected yet. For each argument, see `RedisSettings`."""
        self._tls = tls
        self._ca_bundle = ca_bundle
        self._prefix = prefix.encode()
        self._pool_size = pool_size
        self._timeout = call_timeout_seconds
        self._invalidate_timeout = invalidate_timeout_seconds
        self._max_value_bytes = max_value_bytes
        self._scan_batch = scan_batch
        self._address = f"{host}:{port}"
        self._connection: dict[str, Any] = {
            "host": host,
            "port": port,
            "db": db,
            "username": username,
            "password": password,
            "socket_connect_timeout": connect_timeout_seconds,
            "socket_timeout": None,  # a call has one deadline; one for each step would add up
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,  # the newer one adds commands that a bare ACL user may not call, and nothing that is used
            "driver_info": None,
        }
        # redis-py's blocking pool loses a wake-up when the call that it was for is cancelled; a semaphore does not.
        self._permits = asyncio.Semaphore(pool_size)
        self._redis: Redis | None = None
        self._is_closed = False

    @classmethod
    def from_settings(cls, settings: RedisSettings) -> Self:
        """Say where the server is; nothing is connected yet."""
        beside = {"url", "host", "port", "db", "username", "password", "tls"}
        return cls(**settings.server(), **settings.model_dump(exclude=beside))

    async def initialize(self) -> None:
        """Connect, and see that the server answers.

        After an error the service may be kept: each call tries again.

        Raises:
            ServiceUnavailableError: It cannot be reached, or did not answer in time.
            CacheRefusedError: It refuses the user.
            ServiceError: It refuses otherwise.
        """
        if self._redis is None:
            kind: type[Connection] = Connection
            if self._tls:
                kind, self._connection["context"] = _TLSConnection, await asyncio.to_thread(trusting, self._ca_bundle)
            self._redis = Redis(
                connection_pool=ConnectionPool(kind, max_connections=self._pool_size, **self._connection)
            )
        await self._command("PING")

    async def get(self, key: str) -> Any:
        """Give the value of a key; None if it is not there, or no longer.

        Raises:
            InvalidKeyError: It is no key.
            ForeignValueError: Something else has written what is there.
            ServiceUnavailableError: The server cannot be reached, or did not answer in time.
            CacheRefusedError: The server refuses the user.
            ServiceError: The server refuses otherwise.
        """
        name = self._prefix + encode_key(key)
        # A part, since whatever somebody else wrote there may be of any size. No value of ours is empty.
        encoded: bytes = await self._command("GETRANGE", name, 0, self._max_value_bytes)
        if len(encoded) > self._max_value_bytes:
            raise ForeignValueError(f"the value has more bytes than max_value_bytes allows, {self._max_value_bytes}")
        return decode_value(encoded) if encoded else None

    async def set(self, key: str, value: Any, ttl: int = 3600) -> None:
        """Keep a value for `ttl` seconds, or until Redis evicts it.

        Raises:
            InvalidKeyError: It is no key.
            InvalidTTLError: `ttl` is no time to live.
            UnstorableValueError: The value is no JSON.
            ValueTooLargeError: The value is larger than `max_value_bytes` allows.
            CacheFullError: The server has no memory left.
            ServiceUnavailableError: The server cannot be reached, or did not answer in time: the value may be there.
            CacheRefusedError: The server refuses the user.
            ServiceError: The server refuses otherwise, such as a replica, which cannot be written to.
        """
        name = self._prefix + encode_key(key)
        seconds = check_ttl(ttl)
        await self._command("SET", name, encode_value(value, self._max_value_bytes), "EX", seconds)

    async def invalidate(self, pattern: str) -> int:
        """Remove the keys that match a pattern, see `glob`.

        Batch by batch, so that the server serves others in between: a key that is set meanwhile may stay or go.

        Returns:
            How many went.

        Raises:
            InvalidPatternError: It is no pattern.
            ServiceUnavailableError: The server cannot be reached, or it took too long: some may have gone.
            CacheRefusedError: The server refuses the user.
            ServiceError: The server refuses otherwise.
        """
        glob = parse_glob(pattern)
        begin = self._prefix + glob.head.encode("utf-8", "surrogateescape")
        match = re.sub(rb"([*?\[\]\\])", rb"\\\1", begin) + b"*"
        cursor, removed = b"0", 0
        try:
            async with asyncio.timeout(self._invalidate_timeout):
                while True:
                    cursor, names = await self._command("SCAN", cursor, "MATCH", match, "COUNT", self._scan_batch)
                    matching = [name for name in names if name.startswith(begin) and glob.matches(self._key_of(name))]
                    for start in range(0, len(matching), self._scan_batch):
                        batch = matching[start : start + self._scan_batch]
                        removed += await self._command("UNLINK", *batch, pauses=())
                    if not int(cursor):
                        return removed
        except TimeoutError:
            raise ServiceUnavailableError(
                f"removing took longer than {self._invalidate_timeout:g} s (invalidate_timeout_seconds); some are gone"
            ) from None

    async def health_check(self) -> bool:
        """Tell whether the server answers, within `call_timeout_seconds`."""
        try:
            await self._command("PING", pauses=())
        except ServiceError:
            return False
        return True

    async def close(self) -> None:
        """Refuse new calls, and disconnect when those that run have ended, `call_timeout_seconds` later at most."""
        self._is_closed = True
        redis, self._redis = self._redis, None
        if redis is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                for _ in range(self._pool_size):
                    await self._permits.acquire()
        with contextlib.suppress(RedisError):
            await redis.connection_pool.disconnect()

    def _key_of(self, name: bytes) -> str:
        return name[len(self._prefix) :].decode("utf-8", "surrogateescape")

    async def _command(self, *words: bytes | str | int, pauses: tuple[float, ...] = RECONNECT_PAUSES) -> Any:
        """Send a command within the deadline, once more after each of the pauses if the connection breaks."""
        if self._is_closed:
            raise ServiceError("the cache is closed")
        if (redis := self._redis) is None:
            raise ServiceError("the cache is not initialised; await initialize() first")
        try:
            async with asyncio.timeout(self._timeout), self._permits:
                return await _send(redis, words, pauses)
        except TimeoutError:
            raise ServiceUnavailableError(
                f"Redis at {self._address} did not answer within {self._timeout:g} s (call_timeout_seconds)"
            ) from None
        except RedisError as error:
            raise service_error_of(error, self._address, self._prefix.decode()) from None


async def _send(redis: Redis, words: tuple[bytes | str | int, ...], pauses: tuple[float, ...]) -> Any:
    for pause in pauses:
        try:
            return await redis.execute_command(*words)  # type: ignore[no-untyped-call]
        except (AuthenticationError, AuthorizationError):
            raise
        except RedisConnectionError:
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - to spread, not to hide
    return await redis.execute_command(*words)  # type: ignore[no-untyped-call]


class _TLSConnection(Connection):
    """A connection with a context of ours: redis-py's own always trusts the system's authorities beside those given."""

    def __init__(self, *, context: ssl.SSLContext, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._context = context

    def _connection_arguments(self) -> dict[str, Any]:
        return {**super()._connection_arguments(), "ssl": self._context}
