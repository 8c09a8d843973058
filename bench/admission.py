"""What admission costs, and what it is worth, beside `asyncio.Semaphore` and anyio's `CapacityLimiter`.

They take turns within one process. A pass enters and leaves where there is room. A refusal is that of a full gate; the
others are asked whether they are full, since they only know how to wait. A turn is one of a hundred tasks that go
through a gate of width one, one after the other. A leave is one task of many that wait being cancelled. Times are
processor time, except for how long refusals take.

Goodput: ten requests at once, ten times as many arrive as can be answered, each has a minute from its arrival; what is
answered in time, as a share of what could be. On a clock on which waiting takes no time.
"""

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import anyio
import uvloop

from mizzen_runtime.admission import AdmissionGate, Priority
from mizzen_runtime.errors import RunError
from tests.support import virtual_time

WIDTH = 10
QUEUE = 100
TIMEOUT = 60.0
OVERLOAD = 10
MEANS = (2, 8, 15, 30)
"""Seconds that a request takes, by a fifth more or less."""
REQUESTS = 2000
"""How many could be answered in each run under overload."""

Pass = Callable[[], AbstractAsyncContextManager[object]]


class Full(Exception):  # noqa: N818 - as the others have it
    """There is no room."""


def gate_of(width: int, queue: int = 10**6) -> AdmissionGate:
    return AdmissionGate(max_running=width, max_queued=queue)


def passing(gate: AdmissionGate, seconds: float = 3600) -> AbstractAsyncContextManager[None]:
    return gate.admitted(priority=Priority.SINGLE, deadline=time.perf_counter() + seconds)


def ours(width: int) -> Pass:
    gate = gate_of(width)
    return lambda: passing(gate)


def semaphore(width: int) -> Pass:
    permits = asyncio.Semaphore(width)
    return lambda: permits


def limiter(width: int) -> Pass:
    permits = anyio.CapacityLimiter(width)
    return lambda: permits


GATES: dict[str, Callable[[int], Pass]] = {
    "mizzen": ours,
    "asyncio.Semaphore": semaphore,
    "anyio.CapacityLimiter": limiter,
}


async def cost_of_a_pass(make: Callable[[int], Pass], times: int) -> float:
    """Give microseconds."""
    enter = make(WIDTH)
    begun = time.process_time()
    for _ in range(times):
        async with enter():
            pass
    return 1e6 * (time.process_time() - begun) / times


async def cost_of_a_turn(make: Callable[[int], Pass], times: int) -> float:
    """Give microseconds."""
    enter = make(1)

    async def one() -> None:
        async with enter():
            await asyncio.sleep(0)

    begun = time.process_time()
    for _ in range(times // 100):
        await asyncio.gather(*(one() for _ in range(100)))
    return 1e6 * (time.process_time() - begun) / times


async def cost_of_a_leave(make: Callable[[int], Pass], waiting: int) -> float:
    """Give microseconds."""
    enter = make(1)

    async def one() -> None:
        async with enter():
            pass

    async with enter():
        tasks = [asyncio.create_task(one()) for _ in range(waiting)]
        await asyncio.sleep(0)
        random.Random(1).shuffle(tasks)  # noqa: S311 - no secret
        begun = time.process_time()
        for task in tasks:
            task.cancel()
            await asyncio.sleep(0)
        return 1e6 * (time.process_time() - begun) / waiting


async def refuse_ours() -> Callable[[], Awaitable[None]]:
    gate = gate_of(1, 0)
    await passing(gate).__aenter__()

    async def ask() -> None:
        with suppress(RunError):
            await passing(gate).__aenter__()

    return ask


async def refuse_semaphore() -> Callable[[], Awaitable[None]]:
    permits = asyncio.Semaphore(1)
    await permits.acquire()

    async def ask() -> None:
        with suppress(Full):
            if permits.locked():
                raise Full

    return ask


async def refuse_limiter() -> Callable[[], Awaitable[None]]:
    permits = anyio.CapacityLimiter(1)
    permits.acquire_nowait()

    async def ask() -> None:
        with suppress(anyio.WouldBlock):
            permits.acquire_on_behalf_of_nowait(object())

    return ask


REFUSALS = {
    "mizzen": refuse_ours,
    "asyncio.Semaphore": refuse_semaphore,
    "anyio.CapacityLimiter": refuse_limiter,
}


async def cost_of_a_refusal(ask: Callable[[], Awaitable[None]], times: int) -> float:
    """Give microseconds."""
    begun = time.process_time()
    for _ in range(times):
        await ask()
    return 1e6 * (time.process_time() - begun) / times


async def refusal_times(ask: Callable[[], Awaitable[None]], times: int) -> list[float]:
    """Give milliseconds of wall clock, the shortest first."""
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        await ask()
        took.append(1e3 * (time.perf_counter() - begun))
    return sorted(took)


def queue_of_a_semaphore() -> Callable[[], AbstractAsyncContextManager[None]]:
    """A semaphore, with as many waiting at most."""
    permits = asyncio.Semaphore(WIDTH)
    waiting = 0

    @asynccontextmanager
    async def enter() -> AsyncIterator[None]:
        nonlocal waiting
        if waiting >= QUEUE:
            raise Full
        waiting += 1
        try:
            await permits.acquire()
        finally:
            waiting -= 1
        try:
            yield
        finally:
            permits.release()

    return enter


def queue_of_ours() -> Callable[[], AbstractAsyncContextManager[None]]:
    gate = AdmissionGate(max_running=WIDTH, max_queued=QUEUE, clock=virtual_time.now)
    return lambda: gate.admitted(priority=Priority.SINGLE, deadline=virtual_time.now() + TIMEOUT)


async def goodput(make: Callable[[], Pass], mean: float) -> float:
    """Give what is answered in time, as a share of what could be."""
    enter = make()
    chance = random.Random(5)  # noqa: S311 - no secret
    end = REQUESTS / WIDTH * mean
    answered = 0

    async def one() -> None:
        nonlocal answered
        with suppress(RunError, Full, TimeoutError):
            async with asyncio.timeout(TIMEOUT), enter():
                await asyncio.sleep(chance.uniform(0.8, 1.2) * mean)
                answered += virtual_time.now() <= end

    async with asyncio.TaskGroup() as group:
        while virtual_time.now() < end:
            group.create_task(one())
            await asyncio.sleep(chance.expovariate(OVERLOAD * WIDTH / mean))
    return answered / REQUESTS


async def costs(turns: int, times: int) -> None:
    rows: dict[str, dict[str, list[float]]] = {name: {} for name in GATES}
    for _ in range(turns):
        for name, make in GATES.items():
            row = rows[name]
            row.setdefault("pass", []).append(await cost_of_a_pass(make, times))
            row.setdefault("refusal", []).append(await cost_of_a_refusal(await REFUSALS[name](), times))
            row.setdefault("turn", []).append(await cost_of_a_turn(make, times // 10))
            row.setdefault("leave, 100 wait", []).append(await cost_of_a_leave(make, 100))
            row.setdefault("leave, 10,000 wait", []).append(await cost_of_a_leave(make, 10_000))
    columns = list(rows["mizzen"])
    print(f"| processor time, median of {turns} | {' | '.join(columns)} |")
    print("|---|" + "---|" * len(columns))
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{statistics.median(row[column]):.2f} µs' for column in columns)} |")
    took = await refusal_times(await refuse_ours(), times)
    print(f"\nA refusal by the wall clock: p50 {took[times // 2]:.3f} ms, p99 {took[-times // 100]:.3f} ms.\n")


def worth() -> None:
    print(f"| goodput at {OVERLOAD} x the load | mizzen | asyncio.Semaphore, as long a queue |")
    print("|---|---|---|")
    for mean in MEANS:
        shares = [virtual_time.run(goodput(make, mean)) for make in (queue_of_ours, queue_of_a_semaphore)]
        print(f"| requests of {mean:g} s, {TIMEOUT:g} s each | {' | '.join(f'{share:.0%}' for share in shares)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--times", type=int, default=100_000, help="passes and refusals in each turn")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(costs(options.turns, options.times))
    worth()


if __name__ == "__main__":
    main()
