"""A service behind a breaker: what passes it, what counts, and that nobody sees the difference."""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any, Protocol, runtime_checkable

import pytest

from mizzen_api.breakers import DEFAULT_BREAKER
from mizzen_runtime.breakers import Breakers, CircuitBreaker, State
from mizzen_runtime.breakers.guarded_service import can_be_guarded, guard
from mizzen_runtime.services import CacheService, DatabaseService, ExternalAPIService, ServiceError
from mizzen_runtime.services import ServiceUnavailableError as Unavailable
from mizzen_runtime.testing import TestCacheService, TestDatabaseService, TestExternalAPIService

pytestmark = pytest.mark.anyio


@runtime_checkable
class Pricing(Protocol):
    """An interface of one's own, with all that one may have."""

    currency: str

    async def price(self, item: str, *, amount: int = 1) -> float:
        """Give the price."""
        ...

    def rounded(self, price: float) -> float:
        """Not async."""
        ...

    def prices(self) -> AsyncIterator[float]:
        """An async generator."""
        ...

    async def health_check(self) -> bool:
        """Asked by the runtime."""
        ...


class FlakyPricing:
    """Does what the test says."""

    def __init__(self) -> None:
        self.currency = "EUR"
        self.raises: BaseException | None = None
        self.calls = 0
        self.is_open = False

    async def initialize(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    async def price(self, item: str, *, amount: int = 1) -> float:
        self.calls += 1
        if self.raises is not None:
            raise self.raises
        return len(item) * amount

    async def beside_the_interface(self) -> str:
        if self.raises is not None:
            raise self.raises
        return "nobody declared this"

    def rounded(self, price: float) -> float:
        return round(price)

    async def prices(self) -> AsyncIterator[float]:
        yield 1.0

    async def health_check(self) -> bool:
        if self.raises is not None:
            raise self.raises
        return True


class Guarded:
    """A service and what stands before it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.service = FlakyPricing()
        self.breaker = Breakers(lambda: self.now).add("service:pricing", DEFAULT_BREAKER)
        self.pricing: Any = guard(Pricing, self.breaker)(self.service)

    async def fail(self, error: BaseException, times: int = 1) -> None:
        self.service.raises = error
        for _ in range(times):
            with pytest.raises(type(error)):
                await self.pricing.price("apple")
        self.service.raises = None


@pytest.fixture
def guarded() -> Guarded:
    return Guarded()


async def test_a_call_passes_with_its_arguments_and_its_result(guarded: Guarded) -> None:
    assert await guarded.pricing.price("apple", amount=2) == 10
    assert await guarded.pricing.price(item="fig") == 3
    assert guarded.breaker.counts.successful == 2


async def test_a_service_that_is_away_is_not_asked_any_more_and_its_callers_are_told_at_once(guarded: Guarded) -> None:
    await guarded.fail(Unavailable("away"), times=5)

    with pytest.raises(Unavailable, match="pricing is not asked for now: its breaker is open") as refused:
        await guarded.pricing.price("apple")

    assert guarded.service.calls == 5
    assert refused.value.retry_after == 30
    guarded.now = 30
    assert [await guarded.pricing.price("apple") for _ in range(3)] == [5, 5, 5]
    assert guarded.breaker.state_now().state is State.CLOSED


async def test_a_service_that_says_when_to_come_again_is_not_asked_before(guarded: Guarded) -> None:
    await guarded.fail(Unavailable("busy", retry_after=7))

    with pytest.raises(Unavailable) as refused:
        await guarded.pricing.price("apple")
    assert refused.value.retry_after == 7
    guarded.now = 7
    assert await guarded.pricing.price("apple") == 5


@pytest.mark.parametrize(
    "error",
    [ServiceError("no such table"), KeyError("apple"), asyncio.CancelledError()],
    ids=["an error of its own", "any other", "cancelled"],
)
async def test_what_says_nothing_of_whether_the_service_is_there_is_ignored(
    guarded: Guarded, error: BaseException
) -> None:
    await guarded.fail(error, times=50)

    assert guarded.breaker.state_now().state is State.CLOSED
    assert guarded.breaker.counts.ignored == 50


async def test_the_runtimes_own_calls_and_those_beside_the_interface_pass_by(guarded: Guarded) -> None:
    await guarded.fail(Unavailable("away"), times=5)

    await guarded.pricing.initialize()
    assert guarded.pricing.is_open
    assert await guarded.pricing.health_check()
    assert await guarded.pricing.beside_the_interface() == "nobody declared this"
    assert guarded.pricing.rounded(1.4) == 1
    assert [price async for price in guarded.pricing.prices()] == [1.0]
    await guarded.pricing.close()
    assert not guarded.pricing.is_open
    assert guarded.breaker.counts.successful == 0


def test_it_is_taken_for_the_service(guarded: Guarded) -> None:
    is_pricing = isinstance(guarded.pricing, Pricing)
    assert is_pricing
    assert guarded.pricing.currency == "EUR"
    guarded.pricing.currency = "USD"
    assert guarded.service.currency == "USD"
    assert str(inspect.signature(guarded.pricing.price)) == "(item: str, *, amount: int = 1) -> float"
    assert inspect.iscoroutinefunction(guarded.pricing.price)
    with pytest.raises(AttributeError, match="'FlakyPricing' object has no attribute 'colour'"):
        _ = guarded.pricing.colour


@pytest.mark.parametrize(
    ("interface", "double"),
    [
        (CacheService, TestCacheService),
        (DatabaseService, TestDatabaseService),
        (ExternalAPIService, TestExternalAPIService),
    ],
)
def test_our_interfaces_are_kept(interface: type, double: type) -> None:
    assert isinstance(guard(interface, CircuitBreaker("it", DEFAULT_BREAKER))(double()), interface)


class Abstract(ABC):
    @abstractmethod
    async def price(self) -> float: ...


@pytest.mark.parametrize(
    ("interface", "answer"), [(Pricing, True), (Abstract, False), (FlakyPricing, False), (len, False)]
)
def test_only_what_stands_behind_a_protocol_can_be_guarded(interface: object, answer: bool) -> None:
    assert can_be_guarded(interface) is answer
