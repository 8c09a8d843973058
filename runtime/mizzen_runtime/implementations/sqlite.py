"""The database service on SQLite: for a laptop and for tests, where one process or a few on one machine use a file."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from mizzen_runtime.implementations.results import (
    DEFAULT_TABLE,
    MAX_RESULT_BYTES,
    TABLE_PATTERN,
    decode_result,
    encode_result,
    new_id,
    parse_id,
)
from mizzen_runtime.services import ServiceError, ServiceUnavailableError

PING_SECONDS = 2.0
"""What a health check may take."""

Answer = TypeVar("Answer")


class SqliteSettings(BaseModel):
    """Which file it is, and how it is used."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    path: Path
    """The file; made if it is not there, in a folder that is. On a disk of this machine: SQLite's log needs that."""
    table: Annotated[str, Field(pattern=TABLE_PATTERN)] = DEFAULT_TABLE
    """Table of the results; made at start if it is not there."""
    call_timeout_seconds: Annotated[float, Field(gt=0, le=300, allow_inf_nan=False)] = 5.0
    """The whole of one call, waiting for other calls and for other processes that write included."""
    max_result_bytes: Annotated[int, Field(ge=2, le=64 * 1024 * 1024)] = MAX_RESULT_BYTES
    """Size of one result as JSON; a larger one is refused."""


class SqliteDatabaseService:
    """Keeps results in a file. All calls run one after the other, in a thread of their own.

    What was saved is on the disk, also when the process is killed or the machine goes down (WAL, synchronous=FULL).
    """

    def __init__(
        self,
        path: str | Path,
        *,
        table: str = DEFAULT_TABLE,
        call_timeout_seconds: float = 5.0,
        max_result_bytes: int = MAX_RESULT_BYTES,
    ) -> None:
        """Open nothing yet; see `SqliteSettings` for what each argument means.

        Raises:
            ValueError: With everything that is wrong with the arguments.
        """
        self._settings = SqliteSettings(
            path=Path(path),
            table=table,
            call_timeout_seconds=call_timeout_seconds,
            max_result_bytes=max_result_bytes,
        )
        self._name = repr(str(path))
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    @classmethod
    def from_settings(cls, settings: SqliteSettings) -> Self:
        """Make the service that the settings describe."""
        return cls(**settings.model_dump())

    async def initialize(self) -> None:
        """Open the file, and make the table unless it is there. May be called again when it failed.

        Raises:
            ServiceUnavailableError: Another process keeps the file locked, or the disk is full.
            ServiceError: The file cannot be used.
        """
        await self._call(self._open)

    async def save_result(self, result_data: dict[str, Any]) -> str:
        """Keep a result, and give its id: a UUID of version 7, ordered by time.

        After an error a result is there whole or not at all; after ServiceUnavailableError it may be there, under an id
        that nobody has.

        Raises:
            UnstorableResultError: It holds what JSON has not, or what no database keeps.
            ResultTooLargeError: It has more than `max_result_bytes`.
            ServiceUnavailableError: Another process keeps the file locked, the disk is full, or the call took too long.
            ServiceError: The file cannot be used, or the service is not initialized or is closed.
        """
        text = encode_result(result_data, self._settings.max_result_bytes)
        result_id = str(new_id())
        statement = f'INSERT INTO "{self._settings.table}" (id, result) VALUES (?, ?)'  # noqa: S608
        await self._call(lambda: self._opened().execute(statement, (result_id, text)))
        return result_id

    async def get_result(self, result_id: str) -> dict[str, Any] | None:
        """Give the result of an id; None if there is none, or if the id is none of ours.

        Raises:
            ServiceUnavailableError: The call took too long.
            ServiceError: The file cannot be used, or the service is not initialized or is closed.
        """
        if parse_id(result_id) is None:
            return None
        statement = f'SELECT result FROM "{self._settings.table}" WHERE id = ?'  # noqa: S608 - the name has a pattern
        row = await self._call(lambda: self._opened().execute(statement, (result_id,)).fetchone())
        return None if row is None else decode_result(row[0])

    async def health_check(self) -> bool:
        """Tell whether the table can be read within 2 s. Raises nothing."""
        statement = f'SELECT 1 FROM "{self._settings.table}" LIMIT 1'  # noqa: S608 - the name has a pattern
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self._call(lambda: self._opened().execute(statement).fetchone())
        except (ServiceError, TimeoutError):
            return False
        return True

    async def close(self) -> None:
        """Close the file, after what runs now, which its deadline bounds."""
        if self._closed:
            return
        with suppress(ServiceError):
            await self._call(self._close)
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _call(self, work: Callable[[], Answer]) -> Answer:
        """Do the work in the thread. What waits there when its time is over is never done."""
        if self._closed:
            raise ServiceError("the database service is closed")
        try:
            async with asyncio.timeout(self._settings.call_timeout_seconds):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TimeoutError:
            seconds = self._settings.call_timeout_seconds
            raise ServiceUnavailableError(f"SQLite at {self._name} did not answer within {seconds:g} s") from None
        except sqlite3.Error as error:
            raise _error_of(error, self._name) from None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ServiceError("the database service is not initialized; await initialize() first")
        return self._connection

    def _open(self) -> None:
        self._close()
        # Autocommit: a statement is a transaction. A thread that waits for a lock does not outlive the call for long.
        connection = sqlite3.connect(
            self._settings.path, timeout=self._settings.call_timeout_seconds, isolation_level=None
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise ServiceError(f"path {self._name} is no file on a disk, where SQLite can keep its log beside it")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(
            f'CREATE TABLE IF NOT EXISTS "{self._settings.table}" (id TEXT PRIMARY KEY, '
            "created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), result TEXT NOT NULL)"
        )

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY: "is locked by another process",
    sqlite3.SQLITE_LOCKED: "is locked by another process",
    sqlite3.SQLITE_FULL: "has no room left on its disk",
    sqlite3.SQLITE_IOERR: "cannot be read or written; see the disk",
}
_REFUSALS = {
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: make its folder, or correct path or the rights to it",
    sqlite3.SQLITE_READONLY: "cannot be written to; correct the rights to the file and its folder",
    sqlite3.SQLITE_PERM: "cannot be used; correct the rights to the file and its folder",
    sqlite3.SQLITE_NOTADB: "is no database of SQLite; set another path",
    sqlite3.SQLITE_CORRUPT: "is damaged; restore it from a backup, or set another path",
}
_PRIMARY = 0xFF
"""Of an extended error code, the part that is the same for all of a kind."""


def _error_of(error: sqlite3.Error, name: str) -> ServiceError:
    """Tell what went wrong. No text of the error is repeated: it may hold a result."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    if code in _UNAVAILABLE:
        return ServiceUnavailableError(f"SQLite at {name} {_UNAVAILABLE[code]}")
    told = _REFUSALS.get(code, f"refused the statement ({getattr(error, 'sqlite_errorname', 'no code')})")
    return ServiceError(f"SQLite at {name} {told}")
