"""What the container costs, beside dishka and svcs as they are: a request scope, its memory, and a start.

The containers take turns within one process. A request scope is entered, each of its services is got once, and it is
left; a service is a class with nothing in it, once with an `async close()` (for the others an async generator that
ends) and once with nothing to close. Times are processor time. Memory is what Python allocated for requests that are
all within their scope at once, with one service each that has something to close. A start is ten services that each
need 200 ms, and one that all of them are made of.
"""

import argparse
import asyncio
import gc
import statistics
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import dishka
import svcs
import uvloop

from mizzen_runtime.container import DependencyContainer

COUNTS = (0, 3, 10)
START_SECONDS = 0.2
STARTED = 10


class Service:
    """Has nothing to close."""


class Closed(Service):
    """Has something to close."""

    async def close(self) -> None: ...


Got = Callable[[Any, type], Awaitable[Any]]
Open = Callable[[], AbstractAsyncContextManager[Any]]
Container = tuple[Open, Got]
"""How a container's request scope is entered, and how a service is got from it."""


def kinds(count: int, base: type) -> list[type]:
    return [type(f"{base.__name__}{number}", (base,), {}) for number in range(count)]


def ours(services: list[type]) -> Container:
    container = DependencyContainer()
    for kind in services:
        container.register_scoped(kind, kind)
    return container.request_scope, lambda scope, kind: scope.get_service(kind)


def generator(kind: type) -> Callable[[], AsyncIterator[Any]]:
    async def make() -> AsyncIterator[Any]:
        service = kind()
        yield service
        await service.close()

    make.__annotations__["return"] = AsyncIterator[kind]  # type: ignore[valid-type]
    return make


def dishkas(services: list[type], *, lock: bool) -> Container:
    provider = dishka.Provider(scope=dishka.Scope.REQUEST)
    for kind in services:
        provider.provide(generator(kind) if issubclass(kind, Closed) else kind)
    container = dishka.make_async_container(provider)
    return partial(container, lock_factory=asyncio.Lock if lock else None), lambda scope, kind: scope.get(kind)


def svcss(services: list[type]) -> Container:
    registry = svcs.Registry()
    for kind in services:
        registry.register_factory(kind, generator(kind) if issubclass(kind, Closed) else kind)
    return partial(svcs.Container, registry), lambda scope, kind: scope.aget(kind)


CONTAINERS: dict[str, Callable[[list[type]], Container]] = {
    "mizzen": ours,
    "dishka": partial(dishkas, lock=True),
    "dishka without its lock": partial(dishkas, lock=False),
    "svcs": svcss,
}
"""dishka's lock is what keeps two tools of a run from making a service twice; svcs has none."""


async def cost(container: Container, services: list[type], scopes: int) -> float:
    """Give the processor time of one request scope, in microseconds."""
    enter, get = container
    begun = time.process_time()
    for _ in range(scopes):
        async with enter() as scope:
            for kind in services:
                await get(scope, kind)
    return 1e6 * (time.process_time() - begun) / scopes


async def memory(container: Container, kind: type, scopes: int) -> float:
    """Give the memory of one request in its scope, in KiB."""
    enter, get = container
    leave = asyncio.Event()

    async def request() -> None:
        async with enter() as scope:
            await get(scope, kind)
            await leave.wait()

    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    requests = [asyncio.ensure_future(request()) for _ in range(scopes)]
    await asyncio.sleep(0.1)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    leave.set()
    await asyncio.gather(*requests)
    return (held - before) / 1024 / scopes


class Shared:
    """What the services that start are made of."""

    made = 0

    def __init__(self) -> None:
        Shared.made += 1

    async def initialize(self) -> None:
        await asyncio.sleep(0.01)


class Slow:
    """Takes its time to start."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared

    async def initialize(self) -> None:
        await asyncio.sleep(START_SECONDS)


async def our_start(services: list[type]) -> None:
    container = DependencyContainer()
    container.register_singleton(Shared, Shared)
    for kind in services:
        container.register_singleton(kind, kind)
    await container.start()


async def dishka_start(services: list[type], *, lock: bool) -> None:
    provider = dishka.Provider(scope=dishka.Scope.APP)

    async def shared() -> Shared:
        made = Shared()
        await made.initialize()
        return made

    def slow(kind: type) -> Callable[..., Awaitable[Any]]:
        async def make(shared: Shared) -> Any:
            made = kind(shared)
            await made.initialize()
            return made

        make.__annotations__["return"] = kind
        return make

    provider.provide(shared)
    for kind in services:
        provider.provide(slow(kind))
    container = dishka.make_async_container(provider, lock_factory=asyncio.Lock if lock else None)
    await asyncio.gather(*(container.get(kind) for kind in services))


STARTS: dict[str, Callable[[list[type]], Awaitable[None]]] = {
    "mizzen": our_start,
    "dishka": partial(dishka_start, lock=True),
    "dishka without its lock": partial(dishka_start, lock=False),
}


async def measure_costs(rounds: int, scopes: int) -> None:
    print(f"| processor time of a request scope, median of {rounds} | {' | '.join(CONTAINERS)} |")
    print("|---" * (len(CONTAINERS) + 1) + "|")
    cases = [(count, base) for count in COUNTS for base in (Closed, Service) if count or base is Closed]
    for count, base in cases:
        services = kinds(count, base)
        containers = {name: make(services) for name, make in CONTAINERS.items()}
        found: dict[str, list[float]] = {name: [] for name in containers}
        for _ in range(rounds):
            for name, container in containers.items():
                found[name].append(await cost(container, services, scopes))
        cells = " | ".join(f"{statistics.median(values):.1f} µs" for values in found.values())
        what = "" if not count else " with something to close" if base is Closed else " with nothing to close"
        print(f"| {count} services{what} | {cells} |", flush=True)


async def measure_memory(scopes: int) -> None:
    services = kinds(1, Closed)
    found = [await memory(make(services), services[0], scopes) for make in CONTAINERS.values()]
    print(f"| memory of each of {scopes} requests in flight | {' | '.join(f'{each:.1f} KiB' for each in found)} |")


async def measure_starts() -> None:
    print(f"\n| {STARTED} services of {1000 * START_SECONDS:g} ms | start | the shared one is made |")
    print("|---|---|---|")
    for name, start in STARTS.items():
        services = kinds(STARTED, Slow)
        Shared.made, begun = 0, time.perf_counter()
        await start(services)
        print(f"| {name} | {1000 * (time.perf_counter() - begun):.0f} ms | {Shared.made} times |")


async def measure(rounds: int, scopes: int, in_flight: int) -> None:
    await measure_costs(rounds, scopes)
    await measure_memory(in_flight)
    await measure_starts()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.container", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="how many turns of each (default: %(default)s)")
    parser.add_argument("--scopes", type=int, default=5000, help="request scopes in a turn (default: %(default)s)")
    parser.add_argument("--in-flight", type=int, default=1000, help="requests that hold memory (default: %(default)s)")
    options = parser.parse_args()
    uvloop.run(measure(options.rounds, options.scopes, options.in_flight))


if __name__ == "__main__":
    main()
