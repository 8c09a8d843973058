"""The pool: who gets which connection, and what becomes of one on which something went wrong."""

import asyncio
import time
from collections.abc import Callable

import pytest

from mizzen_runtime.implementations import pool as pool_module
from mizzen_runtime.implementations.pool import LONGEST_PAUSE, Pool, PoolBusyError, PoolClosedError, PoolFigures

pytestmark = pytest.mark.anyio


class FakeConnection:
    def __init__(self) -> None:
        self.closed = False

    def is_closed(self) -> bool:
        return self.closed

    def terminate(self) -> None:
        self.closed = True


class FakeServer:
    def __init__(self) -> None:
        self.made: list[FakeConnection] = []
        self.attempts: list[float] = []
        self.fault: Exception | None = None
        self.hangs = False

    async def connect(self) -> FakeConnection:
        self.attempts.append(time.monotonic())
        await asyncio.sleep(0)
        if self.hangs:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault
        self.made.append(FakeConnection())
        return self.made[-1]

    @property
    def open(self) -> int:
        return len([connection for connection in self.made if not connection.closed])


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


def pool_of(server: FakeServer, limit: int = 2, acquire_timeout: float = 60) -> Pool[FakeConnection]:
    return Pool(server.connect, limit=limit, connect_timeout=0.1, acquire_timeout=acquire_timeout)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not come true")


async def hold(pool: Pool[FakeConnection], end: asyncio.Event) -> None:
    async with pool.connection():
        await end.wait()


async def test_a_connection_is_used_again(server: FakeServer) -> None:
    pool = pool_of(server)
    for _ in range(3):
        async with pool.connection() as connection:
            assert connection is server.made[0]
    assert pool.figures == PoolFigures(limit=2, size=1, idle=1, waiting=0)


async def test_there_are_never_more_than_may_be(server: FakeServer) -> None:
    pool = pool_of(server)
    end = asyncio.Event()
    calls = [asyncio.create_task(hold(pool, end)) for _ in range(5)]
    await until(lambda: pool.figures.size == 2)
    assert pool.figures == PoolFigures(limit=2, size=2, idle=0, waiting=3)
    end.set()
    await asyncio.gather(*calls)
    assert pool.figures == PoolFigures(limit=2, size=2, idle=2, waiting=0)
    assert len(server.made) == 2


async def test_a_wait_for_one_in_use_has_an_end(server: FakeServer) -> None:
    pool = pool_of(server, limit=1, acquire_timeout=0.05)
    async with pool.connection():
        with pytest.raises(PoolBusyError):
            async with pool.connection():
                pass
    assert pool.figures == PoolFigures(limit=1, size=1, idle=1, waiting=0)


async def test_a_wait_for_those_who_cannot_connect_has_an_end(server: FakeServer) -> None:
    pool = pool_of(server, limit=1, acquire_timeout=0.05)
    server.hangs = True
    connecting = asyncio.create_task(hold(pool, asyncio.Event()))
    await until(lambda: server.attempts != [])
    with pytest.raises(PoolBusyError, match=r"^no connection could be made for 0\.05 s$"):
        await hold(pool, asyncio.Event())
    with pytest.raises(TimeoutError):
        await connecting


async def test_a_spare_one_is_there_while_all_are_in_use_and_goes_again(server: FakeServer) -> None:
    pool = pool_of(server, limit=1)
    async with pool.connection():
        async with pool.spare():
            assert pool.figures.size == 2
        assert pool.figures.size == 1
    async with pool.spare() as connection:
        assert connection is server.made[0]
    assert (server.open, pool.figures.idle) == (1, 1)


@pytest.mark.parametrize("fault", [ValueError(), asyncio.CancelledError()])
async def test_one_on_which_something_went_wrong_is_thrown_away(server: FakeServer, fault: BaseException) -> None:
    pool = pool_of(server)
    with pytest.raises(type(fault)):
        async with pool.connection():
            raise fault
    assert (server.open, pool.figures.size) == (0, 0)
    async with pool.connection() as connection:
        assert connection is server.made[1]


async def test_one_that_has_ended_meanwhile_is_not_lent(server: FakeServer) -> None:
    pool = pool_of(server)
    async with pool.connection():
        pass
    server.made[0].closed = True
    async with pool.connection() as connection:
        assert connection is server.made[1]


async def test_a_call_that_is_given_up_while_it_waits_takes_nothing_with_it(server: FakeServer) -> None:
    pool = pool_of(server, limit=1)
    end = asyncio.Event()
    holder = asyncio.create_task(hold(pool, end))
    await asyncio.sleep(0)
    waiters = [asyncio.create_task(hold(pool, end)) for _ in range(3)]
    await asyncio.sleep(0)
    for waiter in waiters:
        waiter.cancel()
    await asyncio.gather(*waiters, return_exceptions=True)
    end.set()
    await holder
    async with pool.connection():
        assert pool.figures == PoolFigures(limit=1, size=1, idle=0, waiting=0)


async def test_an_attempt_to_connect_has_an_end(server: FakeServer) -> None:
    pool = pool_of(server)
    server.hangs = True
    with pytest.raises(TimeoutError):
        async with pool.connection():
            pass
    server.hangs = False
    async with pool.connection():
        assert pool.figures.size == 1


async def test_attempts_to_connect_become_rarer_and_are_shared(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    now = [1000.0]
    sleep = asyncio.sleep

    async def sleep_in_no_time(seconds: float) -> None:
        if seconds > 0:
            pauses.append(seconds)
            now[0] += seconds
        await sleep(0)

    monkeypatch.setattr("mizzen_runtime.implementations.pool.asyncio.sleep", sleep_in_no_time)
    monkeypatch.setattr("mizzen_runtime.implementations.pool.time.monotonic", lambda: now[0])
    pool = pool_of(server)
    server.fault = ConnectionRefusedError()
    for _ in range(12):
        with pytest.raises(ConnectionRefusedError):
            async with pool.connection():
                pass
    assert len(pauses) == 11
    assert pauses[0] <= 0.05
    assert pauses[2] > pauses[0]
    assert LONGEST_PAUSE / 2 <= pauses[-1] <= LONGEST_PAUSE
    server.fault = None
    async with pool.connection():
        pass
    server.made[0].closed = True
    pauses.clear()
    async with pool.connection():
        pass
    assert pauses == [], "once it works again nobody waits"


async def test_failures_side_by_side_count_as_one(server: FakeServer) -> None:
    pool = pool_of(server, limit=10)
    server.fault = ConnectionRefusedError()
    await asyncio.gather(*(hold(pool, asyncio.Event()) for _ in range(10)), return_exceptions=True)
    assert len(server.attempts) == 10
    assert pool._pause._seconds == pool_module.FIRST_PAUSE


async def test_what_nobody_uses_goes(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "IDLE_SECONDS", 0.0)
    pool = pool_of(server)
    async with pool.connection(), pool.connection():
        pass
    await asyncio.sleep(0.01)
    async with pool.connection():
        pass
    assert (server.open, pool.figures.size) == (1, 1)


async def test_closing_waits_for_those_in_use_but_not_for_ever(server: FakeServer) -> None:
    pool = pool_of(server)
    async with pool.connection():
        pass
    end = asyncio.Event()
    calls = [asyncio.create_task(hold(pool, end)) for _ in range(2)]
    await until(lambda: pool.figures.size == 2)
    closing = asyncio.create_task(pool.close(60))
    await asyncio.sleep(0.01)
    assert not closing.done()
    end.set()
    await closing
    await asyncio.gather(*calls)
    assert (server.open, pool.figures.size) == (0, 0)
    with pytest.raises(PoolClosedError):
        async with pool.connection():
            pass


async def test_closing_ends_what_goes_on_for_too_long(server: FakeServer) -> None:
    pool = pool_of(server)
    end = asyncio.Event()
    call = asyncio.create_task(hold(pool, end))
    await until(lambda: pool.figures.size == 1)
    await pool.close(0.01)
    assert server.open == 0
    end.set()
    await call
    assert pool.figures.size == 0


async def test_closing_that_is_given_up_ends_all_at_once(server: FakeServer) -> None:
    pool = pool_of(server)
    end = asyncio.Event()
    call = asyncio.create_task(hold(pool, end))
    await until(lambda: pool.figures.size == 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await pool.close(60)
    assert server.open == 0
    end.set()
    await call
