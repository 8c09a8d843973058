"""Services that are pinged for as long as the process lives, whatever happens to a ping."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from mizzen_runtime import service_health
from mizzen_runtime.metrics import ServiceMetrics
from mizzen_runtime.service_health import ServiceHealth

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_health, "PING_SECONDS", 0.01)
    monkeypatch.setattr(service_health, "PING_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(service_health, "PING_LIMIT_SECONDS", 0.05)


@pytest.fixture
def health() -> ServiceHealth:
    return ServiceHealth([("cache", "AtStart")], ServiceMetrics(CollectorRegistry()))


class Service:
    """One without a health check."""


async def test_what_nobody_thought_of_is_told_and_the_next_ping_comes_all_the_same(health: ServiceHealth) -> None:
    told: list[str] = []
    again = asyncio.Event()

    async def provide() -> Service:
        told.append(health.states["cache"].reason)
        if len(told) == 1:
            raise KeyError("cache")
        if len(told) == 3:
            again.set()
        return Service()

    watching = asyncio.create_task(health.watch("cache", provide))
    await asyncio.wait_for(again.wait(), 20)
    watching.cancel()
    assert told == ["", "it is not to be had: KeyError", ""]
    assert health.ready


class Hanging:
    """One whose health check hangs until it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.let_go = asyncio.Event()

    async def health_check(self) -> bool:
        self.asked += 1
        await self.let_go.wait()
        return True


async def test_a_health_check_that_hangs_is_not_begun_again_before_it_ends(health: ServiceHealth) -> None:
    service = Hanging()
    turns = 0
    several, well = asyncio.Event(), asyncio.Event()

    async def provide() -> Hanging:
        nonlocal turns
        turns += 1
        if turns == 5:
            several.set()
        if service.let_go.is_set() and health.states["cache"].healthy:
            well.set()
        return service

    watching = asyncio.create_task(health.watch("cache", provide))
    await asyncio.wait_for(several.wait(), 20)
    assert service.asked == 1
    assert health.states["cache"].reason == "its health check did not answer within 0.05 s"
    service.let_go.set()
    await asyncio.wait_for(well.wait(), 20)
    watching.cancel()


async def test_what_takes_the_place_of_a_service_that_hangs_is_asked(health: ServiceHealth) -> None:
    services = [Hanging(), Hanging()]
    asked_both = asyncio.Event()

    async def provide() -> Hanging:
        if services[1].asked:
            asked_both.set()
        return services[services[0].asked]

    watching = asyncio.create_task(health.watch("cache", provide))
    await asyncio.wait_for(asked_both.wait(), 20)
    watching.cancel()
    assert [each.asked for each in services] == [1, 1]
