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
