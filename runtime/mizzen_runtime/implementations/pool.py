"""A bounded pool of connections that are used within deadlines.

Not the client library's own: asyncpg's waits, when a call was cancelled, until the server has confirmed it, which a
frozen server never does. Here a connection on which anything went wrong is thrown away, whoever was at fault, and the
next call makes a new one: no call waits for another's end, and none gets a connection with something left on it.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mizzen_runtime.services import ServiceError, ServiceUnavailableError

FIRST_PAUSE = 0.05
"""Seconds between two attempts to connect, doubled with each that fails."""
LONGEST_PAUSE = 1.0
IDLE_SECONDS = 300.0
"""After these, what nobody uses is closed, the pool's last connection too; looked at whenever one is given back."""


class PooledConnection(Protocol):
    """What the pool needs of a connection."""

    def is_closed(self) -> bool:
        """Tell whether either side has closed it."""
        ...

    def terminate(self) -> None:
        """Close it at once, whatever goes on."""
        ...


@dataclass(frozen=True)
class PoolFigures:
    """Where a pool stands."""

    limit: int
    """Connections that it may have."""
    size: int
    """Connections that it has."""
    idle: int
    """Connections that wait for a call."""
    waiting: int
    """Calls that wait for a connection."""


class PoolBusyError(ServiceUnavailableError):
    """All connections stayed in use for too long."""


class PoolClosedError(ServiceError):
    """The pool was closed."""


Connection = TypeVar("Connection", bound=PooledConnection)


class Pool(Generic[Connection]):
    """Connections to one server."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        *,
        limit: int,
        connect_timeout: float,
        acquire_timeout: float,
    ) -> None:
        """Connect to nothing yet.

        Args:
            connect: Makes a connection.
            limit: How many there may be, apart from one for `spare`.
            connect_timeout: Seconds that one attempt to connect may take.
            acquire_timeout: Seconds to wait for one that is in use.
        """
        self._new_connection = connect
        self._limit = limit
        self._connect_timeout = connect_timeout
        self._acquire_timeout = acquire_timeout
        self._slots = asyncio.Semaphore(limit)
        self._waiting = 0
        self._idle: list[tuple[Connection, float]] = []  # the one used last is at the end, with the time of that
        self._lent: dict[Connection, None] = {}
        self._all_back = asyncio.Event()
        self._all_back.set()
        self._pause = _Pause()
        self._closed = False

    @property
    def figures(self) -> PoolFigures:
        """Where it stands now."""
        return PoolFigures(
            limit=self._limit, size=len(self._idle) + len(self._lent), idle=len(self._idle), waiting=self._waiting
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; thrown away if the block ends with an exception or is cancelled.

        Raises:
            PoolBusyError: None became free in time.
            PoolClosedError: The pool was closed.
            Exception: What `connect` raises, TimeoutError among it.
        """
        await self._take_slot()
        try:
            async with self.spare() as connection:
                yield connection
        finally:
            self._slots.release()

    @asynccontextmanager
    async def spare(self) -> AsyncIterator[Connection]:
        """Lend a connection even if as many as may be are in use: a ping tells of the server, not of the load."""
        connection = self._take_idle() or await self._connect()
        self._lent[connection] = None
        self._all_back.clear()
        try:
            yield connection
        except BaseException:
            connection.terminate()
            raise
        finally:
            del self._lent[connection]
            if not self._lent:
                self._all_back.set()
        self._give_back(connection)

    def drop_idle(self) -> None:
        """Close all that wait: what ended one connection has most likely ended them too."""
        while self._idle:
            self._idle.pop()[0].terminate()

    async def close(self, seconds: float) -> None:
        """Close all connections: those that wait at once, those in use when they are given back.

        Args:
            seconds: After these, those in use are closed as well.
        """
        self._closed = True
        self.drop_idle()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._all_back.wait()
        finally:  # whoever waits for this may have less time
            for connection in list(self._lent):
                connection.terminate()

    async def _take_slot(self) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(self._acquire_timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise PoolBusyError(self._told_when_busy()) from None
        finally:
            self._waiting -= 1

    def _told_when_busy(self) -> str:
        if len(self._lent) < self._limit:  # the others hold their place while they try to connect
            return f"no connection could be made for {self._acquire_timeout:g} s"
        return (
            f"all {self._limit} connections of the pool stayed in use for {self._acquire_timeout:g} s; "
            "raise pool_size, or see what their statements wait for"
        )

    def _take_idle(self) -> Connection | None:
        if self._closed:
            raise PoolClosedError("the service is closed")
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.is_closed():
                return connection
            connection.terminate()
        return None

    async def _connect(self) -> Connection:
        await self._pause.over()
        attempted = time.monotonic()
        try:
            async with asyncio.timeout(self._connect_timeout):
                connection = await self._new_connection()
        except Exception:
            self._pause.extend(attempted)
            raise
        self._pause.end()
        if self._closed:
            connection.terminate()
            raise PoolClosedError("the service is closed")
        return connection

    def _give_back(self, connection: Connection) -> None:
        now = time.monotonic()
        if self._closed or len(self._idle) + len(self._lent) >= self._limit:
            connection.terminate()
        else:
            self._idle.append((connection, now))
        while self._idle and self._idle[0][1] < now - IDLE_SECONDS:
            self._idle.pop(0)[0].terminate()


class _Pause:
    """How long nobody tries to connect after an attempt that failed: longer each time, shared by all calls."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._begun = 0.0
        self._until = 0.0

    async def over(self) -> None:
        """Wait for its end."""
        await asyncio.sleep(self._until - time.monotonic())

    def extend(self, attempted: float) -> None:
        """Begin a longer one after an attempt that began at `attempted`; those made side by side count as one."""
        if attempted < self._begun:
            return
        self._begun = time.monotonic()
        self._seconds = min(LONGEST_PAUSE, 2 * self._seconds or FIRST_PAUSE)
        self._until = self._begun + self._seconds * random.uniform(0.5, 1)  # noqa: S311 - no secret

    def end(self) -> None:
        """Try at once again."""
        self._until = self._seconds = 0.0
