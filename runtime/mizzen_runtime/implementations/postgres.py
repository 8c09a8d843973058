"""The database service on PostgreSQL.

On asyncpg: a call that is given up returns at once, whatever the server does (psycopg 3.3 waits up to 10 s more for a
frozen server to confirm), importing it takes 5 MiB (psycopg with its binary part and pool 14), and it needs no libpq.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Self, TypeVar

from pydantic import SecretStr

from mizzen_runtime.implementations.pool import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Pool,
    PoolFigures,
)
from mizzen_runtime.implementations.postgres_address import TlsMode, parse_address
from mizzen_runtime.implementations.postgres_connection import Connection, Connector
from mizzen_runtime.implementations.postgres_failures import failure_of
from mizzen_runtime.implementations.postgres_settings import PostgresSettings
from mizzen_runtime.implementations.postgres_table import ensure_table
from mizzen_runtime.implementations.results import (
    DEFAULT_TABLE,
    MAX_RESULT_BYTES,
    decode_result,
    encode_result,
    new_id,
    parse_id,
)
from mizzen_runtime.services import ServiceError, ServiceUnavailableError

PING_SECONDS = 2.0
"""What a health check may take."""

Answer = TypeVar("Answer")


class ProductionDatabaseService:
    """Keeps results in a table of PostgreSQL, as JSONB with an id and a time.

    A call that meets a broken connection, or a server that restarts, tries again until `call_timeout_seconds` are over;
    a result is there once all the same. A statement that its caller has given up ends in the server after
    `statement_timeout_seconds`.
    """

    def __init__(
        self,
        connection_string: str,
        pool_size: int = 10,
        *,
        tls_mode: TlsMode | None = None,
        ca_bundle: str | None = None,
        table: str = DEFAULT_TABLE,
        call_timeout_seconds: float = 5.0,
        acquire_timeout_seconds: float = 4.0,
        connect_timeout_seconds: float = 2.0,
        statement_timeout_seconds: float = 4.0,
        max_result_bytes: int = MAX_RESULT_BYTES,
    ) -> None:
        """Connect to nothing yet; see `PostgresSettings` for what each argument means.

        Raises:
            ValueError: With everything that is wrong with the arguments, without any part of the connection string.
        """
        self._settings = PostgresSettings(
            connection_string=SecretStr(connection_string),
            pool_size=pool_size,
            tls_mode=tls_mode,
            ca_bundle=ca_bundle,
            table=table,
            call_timeout_seconds=call_timeout_seconds,
            acquire_timeout_seconds=acquire_timeout_seconds,
            connect_timeout_seconds=connect_timeout_seconds,
            statement_timeout_seconds=statement_timeout_seconds,
            max_result_bytes=max_result_bytes,
        )
        self._address = parse_address(connection_string, tls_mode, ca_bundle)
        self._connector = Connector(self._address, statement_timeout_seconds)
        self._is_initialized = False
        self._pool = Pool(
            self._connector.connect,
            limit=pool_size,
            connect_timeout=connect_timeout_seconds,
            acquire_timeout=acquire_timeout_seconds,
        )

    @classmethod
    def from_settings(cls, settings: PostgresSettings) -> Self:
        """Make the service that the settings describe."""
        options = settings.model_dump(exclude={"connection_string", "host", "port", "database", "username", "password"})
        return cls(settings.whole_connection_string(), **options)

    @property
    def pool(self) -> PoolFigures:
        """Where the pool stands now."""
        return self._pool.figures

    async def initialize(self) -> None:
        """Connect, and make the table unless it is there. May be called again when it failed.

        Raises:
            ServiceUnavailableError: PostgreSQL cannot be reached, or does not answer in time.
            ServiceError: It refuses what is asked for, or the CA bundle cannot be read.
        """
        await self._connector.read_certificates()
        await self._call(
            lambda connection: ensure_table(connection, self._settings.table),
            self._pool.connection,
            self._settings.call_timeout_seconds,
        )
        self._is_initialized = True

    async def save_result(self, result_data: dict[str, Any]) -> str:
        """Keep a result, and give its id: a UUID of version 7, ordered by time.

        After an error a result is there whole or not at all; after ServiceUnavailableError it may be there, under an id
        that nobody has.

        Raises:
            UnstorableResultError: It holds what JSON or JSONB has not.
            ResultTooLargeError: It has more than `max_result_bytes`.
            ServiceUnavailableError: PostgreSQL cannot be reached, has no room, takes no writes, or is too slow.
            ServiceError: It refuses the call, or the service is not initialized or is closed.
        """
        text = encode_result(result_data, self._settings.max_result_bytes)
        result_id = new_id()
        # One statement is a transaction. The id is ours: if the answer to a commit gets lost, saving again is harmless.
        statement = f'INSERT INTO "{self._settings.table}" (id, result) VALUES ($1, $2) ON CONFLICT DO NOTHING'  # noqa: S608
        await self._call_initialized(lambda connection: connection.execute(statement, result_id, text))
        return str(result_id)

    async def get_result(self, result_id: str) -> dict[str, Any] | None:
        """Give the result of an id; None if there is none, or if the id is none of ours.

        Raises:
            ServiceUnavailableError: PostgreSQL cannot be reached, or is too slow.
            ServiceError: It refuses the call, or the service is not initialized or is closed.
        """
        parsed = parse_id(result_id)
        if parsed is None:
            return None
        statement = f'SELECT result FROM "{self._settings.table}" WHERE id = $1'  # noqa: S608 - the name has a pattern
        text = await self._call_initialized(lambda connection: connection.fetchval(statement, parsed))
        return None if text is None else decode_result(text)

    async def health_check(self) -> bool:
        """Tell whether PostgreSQL answers within 2 s and takes writes. Raises nothing."""
        if not self._is_initialized:
            return False
        statement = "SELECT current_setting('transaction_read_only') = 'off'"
        try:
            return bool(await self._call(lambda found: found.fetchval(statement), self._pool.spare, PING_SECONDS))
        except ServiceError:
            return False

    async def close(self) -> None:
        """Close all connections; those in use when their calls end, which their deadline bounds."""
        await self._pool.close(self._settings.call_timeout_seconds)

    async def _call_initialized(self, work: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        if not self._is_initialized:
            raise ServiceError("the database service is not initialized; await initialize() first")
        return await self._call(work, self._pool.connection, self._settings.call_timeout_seconds)

    async def _call(
        self,
        work: Callable[[Connection], Awaitable[Answer]],
        lend: Callable[[], AbstractAsyncContextManager[Connection]],
        seconds: float,
    ) -> Answer:
        """Do the work on a connection, and again on another one as long as that may help and there is time."""
        last: ServiceError | None = None
        pause = 0.0
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        async with lend() as connection:
                            return await work(connection)
                    except Exception as error:  # noqa: BLE001 - what is none of its kind is raised again
                        failure = failure_of(error, self._address)
                        if failure.spreads:
                            self._pool.drop_idle()
                        if not failure.passes:
                            raise failure.error from None
                        last = failure.error
                    await asyncio.sleep(pause)
                    pause = min(LONGEST_PAUSE, 2 * pause or FIRST_PAUSE)
        except TimeoutError:
            self._pool.drop_idle()  # a node that is gone answers on none
            told = f"PostgreSQL at {self._address} did not answer within {seconds:g} s"
            raise ServiceUnavailableError(f"{told}; last: {last}" if last else told) from None
