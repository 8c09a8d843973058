# Only the heads of methods matter here: their bodies are empty, and what they take goes unused.
# mypy: disable-error-code="empty-body"
# ruff: noqa: ANN001, ANN201, ARG002, PLR0917
"""What is wrong with registered services is told at once, with the path that led there, without building anything."""

import re
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Annotated, Any, NoReturn, Optional, Protocol, Self

import pytest

from mizzen_runtime.container import DependencyContainer, InvalidContainerError, Named, Scope
from mizzen_runtime.services import CacheService, DatabaseService

pytestmark = pytest.mark.anyio


class Pricing(Protocol):
    async def price(self, sku: str) -> float: ...


class Orders(Protocol):
    async def order(self, sku: str) -> str: ...


class Fake:
    """Would be found out if anything was built."""

    def __init__(self) -> None:
        raise AssertionError("built")


class Database(Fake):
    async def save_result(self, result_data: dict[str, Any]) -> str: ...
    async def get_result(self, result_id: str) -> dict[str, Any] | None: ...
    async def health_check(self) -> bool: ...


class Cache(Fake):
    async def get(self, key: str) -> Any: ...
    async def set(self, key: str, value: Any, ttl: int = 3600) -> None: ...
    async def invalidate(self, pattern: str) -> int: ...


class Priced:
    async def price(self, sku: str) -> float: ...


class HttpPricing(Priced):
    def __init__(self, database: DatabaseService) -> None:
        raise AssertionError("built")


class Ordered:
    async def order(self, sku: str) -> str: ...


class ShopOrders(Ordered):
    def __init__(self, pricing: Pricing) -> None:
        raise AssertionError("built")


def told(container: DependencyContainer, *consumers: Callable[..., Any]) -> list[str]:
    return [str(problem) for problem in container.validate(*consumers)]


def test_what_fits_together_has_no_problem() -> None:
    container = DependencyContainer()
    container.register_singleton(DatabaseService, Database, name="database")
    container.register_scoped(Pricing, HttpPricing, name="pricing")
    container.register_transient(Orders, ShopOrders)

    assert told(container) == []


def test_a_service_that_nothing_implements_is_told_with_the_path() -> None:
    container = DependencyContainer()
    container.register_singleton(Pricing, HttpPricing, name="pricing")

    assert told(container) == [
        (
            "AgentServices -> pricing (HttpPricing) -> database: no service implements DatabaseService; "
            "add a service with this interface"
        )
    ]


def test_what_was_probably_meant_is_told() -> None:
    class DatabaseServices(Protocol): ...

    class Near(Priced):
        def __init__(self, database: DatabaseServices) -> None: ...

    other = type("DatabaseService", (Protocol,), {"__module__": "acme.databases"})

    class Elsewhere(Priced):
        def __init__(self, database: other) -> None: ...  # type: ignore[valid-type]

    container = DependencyContainer()
    container.register_singleton(DatabaseService, Database)
    container.register_singleton(Pricing, Near, name="near")
    container.register_singleton(Pricing, Elsewhere, name="elsewhere")

    assert told(container) == [
        (
            "AgentServices -> near (Near) -> database: no service implements DatabaseServices; "
            "did you mean DatabaseService?"
        ),
        (
            "AgentServices -> elsewhere (Elsewhere) -> database: no service implements DatabaseService; "
            "the DatabaseService that is implemented is that of mizzen_runtime.services: import it from there"
        ),
    ]


def test_two_services_of_one_interface_are_told_apart_by_name() -> None:
    class ByName(Priced):
        def __init__(self, database: Annotated[DatabaseService, Named("reports")]) -> None: ...

    class ByWrongName(Priced):
        def __init__(self, database: Annotated[DatabaseService, Named("report")]) -> None: ...

    class ByUnknownName(Priced):
        def __init__(self, database: Annotated[DatabaseService, "a note", Named("xyz")]) -> None: ...

    container = DependencyContainer()
    container.register_singleton(DatabaseService, Database, name="main")
    container.register_singleton(DatabaseService, Database, name="reports")
    container.register_singleton(Pricing, HttpPricing, name="pricing")
    container.register_singleton(Pricing, ByName, name="by-name")
    container.register_singleton(Pricing, ByWrongName, name="by-wrong-name")
    container.register_singleton(Pricing, ByUnknownName, name="by-unknown-name")

    assert told(container) == [
        (
            "AgentServices -> pricing (HttpPricing) -> database: "
            "2 services implement DatabaseService: 'main', 'reports'; "
            "pick one by its name, such as 'main': Annotated[DatabaseService, Named(\"…\")]"
        ),
        (
            "AgentServices -> by-wrong-name (ByWrongName) -> database: "
            "no service that implements DatabaseService is called 'report'; did you mean 'reports'?"
        ),
        (
            "AgentServices -> by-unknown-name (ByUnknownName) -> database: "
            "no service that implements DatabaseService is called 'xyz'; there are 'main', 'reports'"
        ),
    ]


def test_names_are_needed_and_not_given_twice() -> None:
    container = DependencyContainer()
    container.register_singleton(DatabaseService, Database, name="store")
    container.register_singleton(DatabaseService, Database)
    container.register_singleton(CacheService, Cache, name="store")

    assert told(container) == [
        (
            "AgentServices -> store: 2 services have this name: Database as DatabaseService, Cache as CacheService; "
            "give each a name of its own"
        ),
        "AgentServices -> Database: it has no name, and 2 services implement DatabaseService; register it with name=",
    ]


def test_a_circle_is_told_once_and_whole() -> None:
    class Circular(Priced):
        def __init__(self, orders: Orders) -> None: ...

    container = DependencyContainer()
    container.register_singleton(Orders, ShopOrders, name="orders")
    container.register_singleton(Pricing, Circular, name="pricing")

    assert told(container) == [
        (
            "AgentServices -> orders (ShopOrders) -> pricing (Circular) -> orders (ShopOrders): "
            "these services need each other in a circle; "
            "let one do without the next, or move what both need into a service of its own"
        )
    ]


def test_a_circle_of_transient_services_below_a_singleton_is_told_too() -> None:
    class Circular(Priced):
        def __init__(self, orders: Orders) -> None: ...

    class Shop:
        def __init__(self, orders: Orders) -> None: ...

    container = DependencyContainer()
    container.register_transient(Orders, ShopOrders, name="orders")
    container.register_transient(Pricing, Circular, name="pricing")
    container.register_singleton(Shop, Shop, name="shop")

    assert told(container) == [
        (
            "AgentServices -> orders (ShopOrders) -> pricing (Circular) -> orders (ShopOrders): "
            "these services need each other in a circle; "
            "let one do without the next, or move what both need into a service of its own"
        )
    ]


def test_a_service_that_needs_itself_is_a_circle() -> None:
    class Selfish(Priced):
        def __init__(self, pricing: Pricing) -> None: ...

    container = DependencyContainer()
    container.register_transient(Pricing, Selfish)

    assert told(container) == [
        (
            "AgentServices -> Selfish -> Selfish: these services need each other in a circle; "
            "let one do without the next, or move what both need into a service of its own"
        )
    ]


def test_a_singleton_cannot_keep_what_lives_for_one_request() -> None:
    container = DependencyContainer()
    container.register_scoped(DatabaseService, Database, name="session")
    container.register_singleton(Pricing, HttpPricing, name="pricing")
    container.register_singleton(Orders, ShopOrders, name="orders")

    assert told(container) == [
        (
            "AgentServices -> pricing (HttpPricing) -> session (Database): "
            "a singleton cannot keep 'session', which lives for one request; "
            "make 'pricing' request-scoped, or 'session' a singleton"
        )
    ]


def test_nor_can_it_by_way_of_a_transient_service() -> None:
    container = DependencyContainer()
    container.register_scoped(DatabaseService, Database, name="session")
    container.register_transient(Pricing, HttpPricing, name="pricing")
    container.register_singleton(Orders, ShopOrders, name="orders")

    assert told(container) == [
        (
            "AgentServices -> orders (ShopOrders) -> pricing (HttpPricing) -> session (Database): "
            "a singleton cannot keep 'session', which lives for one request; "
            "make 'orders' request-scoped, or 'session' a singleton"
        )
    ]


def test_an_argument_that_nothing_gives_is_told_with_its_type() -> None:
    class Strict(Priced):
        def __init__(self, url: str, retries: int = 3, *, timeout: float | None, note) -> None: ...  # type: ignore[no-untyped-def]

    container = DependencyContainer()
    container.register_singleton(Pricing, Strict, name="pricing")

    remedy = "pass it where the service is registered, or give it a default"
    assert told(container) == [
        "AgentServices -> pricing (Strict) -> url: nothing gives it a value of type str, and it has no default; "
        + remedy,
        "AgentServices -> pricing (Strict) -> timeout: nothing gives it a value of type float, and it has no default; "
        + remedy,
        f"AgentServices -> pricing (Strict) -> note: it has no type, and it has no default; {remedy}",
    ]


def test_arguments_that_do_not_fit_are_told() -> None:
    class One(Priced):
        def __init__(self, url: str) -> None: ...

    container = DependencyContainer()
    container.register_singleton(Pricing, One, "http://a", "http://b", name="two")
    container.register_singleton(Pricing, One, "http://a", uri="http://b", name="other")

    assert told(container) == [
        (
            "AgentServices -> two (One): its arguments do not fit: too many positional arguments; "
            "correct what is registered for it"
        ),
        (
            "AgentServices -> other (One): its arguments do not fit: got an unexpected keyword argument 'uri'; "
            "correct what is registered for it"
        ),
    ]


def test_a_parameter_by_position_only_is_not_filled() -> None:
    class Positional(Priced):
        def __init__(self, database: DatabaseService, /) -> None: ...

    container = DependencyContainer()
    container.register_singleton(DatabaseService, Database)
    container.register_singleton(Pricing, Positional, name="pricing")

    assert told(container) == [
        "AgentServices -> pricing (Positional) -> database: it is taken by position only; let it be passed by keyword"
    ]


def module(code: str) -> SimpleNamespace:
    names: dict[str, Any] = {"__name__": "acme", "Priced": Priced}
    exec(textwrap.dedent(code), names)  # noqa: S102 - a module as somebody may write it
    return SimpleNamespace(**names)


def test_a_type_that_is_not_imported_at_run_time_is_told() -> None:
    acme = module(
        """
        from __future__ import annotations
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from mizzen_runtime.services import CacheService
        from mizzen_runtime.services import DatabaseService

        class Lazy(Priced):
            def __init__(self, database: DatabaseService, cache: CacheService, other: CacheService = None) -> None: ...
        """
    )
    container = DependencyContainer()
    container.register_singleton(DatabaseService, Database)
    container.register_singleton(CacheService, Cache)
    container.register_singleton(Pricing, acme.Lazy, name="pricing")

    assert told(container) == [
        (
            "AgentServices -> pricing (Lazy) -> cache: its type 'CacheService' is not known at run time; "
            "import it outside of `if TYPE_CHECKING`, or pass the argument where the service is registered"
        )
    ]


def test_an_implementation_that_does_not_conform_is_told() -> None:
    def misnamed() -> Priced: ...

    container = DependencyContainer()
    container.register_singleton(Pricing, Ordered, name="ordered")
    container.register_factory(Orders, misnamed, name="priced")
    container.register_singleton(CacheService, CacheService, name="itself")

    assert told(container) == [
        (
            "AgentServices -> ordered (Ordered): Ordered has no method 'price', which Pricing declares; "
            "add `async def price(self, sku: str) -> float`"
        ),
        (
            "AgentServices -> priced (misnamed): Priced has no method 'order', which Orders declares; "
            "add `async def order(self, sku: str) -> str`"
        ),
        (
            "AgentServices -> itself (CacheService): CacheService has no method 'get', which CacheService declares; "
            "add `async def get(self, key: str) -> Any`"
        ),
        (
            "AgentServices -> itself (CacheService): CacheService has no method 'set', which CacheService declares; "
            "add `async def set(self, key: str, value: Any, ttl: int = 3600) -> None`"
        ),
        (
            "AgentServices -> itself (CacheService): "
            "CacheService has no method 'invalidate', which CacheService declares; "
            "add `async def invalidate(self, pattern: str) -> int`"
        ),
    ]


def plain() -> Ordered: ...
async def later() -> Ordered: ...
def awaitable() -> Awaitable[Ordered]: ...
def optional() -> Ordered | None: ...
def anything() -> Any: ...
def untyped(): ...  # type: ignore[no-untyped-def]
def never() -> NoReturn: ...
def interface() -> Pricing: ...
async def iterated() -> AsyncIterator[Priced]:
    yield Priced()


class Made:
    @classmethod
    def make(cls) -> Self: ...


@pytest.mark.parametrize(
    ("factory", "made"),
    [
        (plain, "Ordered"),
        (later, "Ordered"),
        (awaitable, "Ordered"),
        (partial(plain), "Ordered"),
        (Made.make, "Made"),
        (iterated, None),
        (optional, None),
        (anything, None),
        (untyped, None),
        (never, None),
        (interface, None),
    ],
)
def test_a_factory_is_judged_by_what_it_says_it_gives(factory: Callable[..., Any], made: str | None) -> None:
    container = DependencyContainer()
    container.register_factory(Pricing, factory, name="pricing")

    found = [re.sub(r".*: (\w+) has no method.*", r"\1", text) for text in told(container)]
    assert found == ([] if made is None else [made])


def test_what_is_no_class_and_what_makes_nothing_is_told() -> None:
    container = DependencyContainer()
    container.register_singleton("DatabaseService", Database, name="text")  # type: ignore[arg-type]
    container.register_singleton(Pricing, "acme.pricing:HttpPricing", name="path")

    assert told(container) == [
        (
            "AgentServices -> text (Database): the interface 'DatabaseService' is no class; "
            "name a Protocol or another class"
        ),
        (
            "AgentServices -> path (str): an object of type str makes no service; "
            "register a class or a function; for an object that is there, a function that gives it"
        ),
    ]


def test_what_can_do_without_a_service_has_none() -> None:
    class Modest(Priced):
        def __init__(
            self,
            cache: CacheService | None,
            other: Optional[Annotated[CacheService, Named("other")]],  # noqa: UP045 - as it is written too
            third: Annotated[CacheService | None, Named("third")],
            database: DatabaseService | None = None,
            orders: Orders = ShopOrders,  # type: ignore[assignment]
            timeout: float = 1.0,
            *more: Any,
            **others: Any,
        ) -> None: ...

    container = DependencyContainer()
    container.register_singleton(Pricing, Modest)

    assert told(container) == []


@dataclass
class TriageDeps:
    database: DatabaseService
    cache: Annotated[CacheService, Named("hot")]
    tenant: str
    pricing: Pricing | None = None
    notes: list[str] = field(default_factory=list)


async def find_customer(context: object, number: int, cache: CacheService, limit: int | None) -> str: ...


def test_who_is_given_services_is_looked_at_too() -> None:
    container = DependencyContainer()
    container.register_singleton(DatabaseService, Database, name="database")
    container.register_singleton(Pricing, HttpPricing, name="pricing")

    assert told(container, TriageDeps, find_customer) == [
        "TriageDeps -> cache: no service implements CacheService; add a service with this interface",
        (
            "TriageDeps -> tenant: nothing gives it a value of type str, and it has no default; "
            "pass it where the service is registered, or give it a default"
        ),
        "find_customer -> cache: no service implements CacheService; add a service with this interface",
    ]


async def test_all_problems_are_in_one_report_and_nothing_starts() -> None:
    container = DependencyContainer()
    container.register_singleton(Pricing, HttpPricing, name="pricing")
    container.register_singleton(Orders, Priced, name="orders", scope=Scope.REQUEST)

    with pytest.raises(InvalidContainerError) as refused:
        await container.start()
    with pytest.raises(InvalidContainerError):
        await container.get_service(Pricing)
    with pytest.raises(InvalidContainerError):
        async with container.request_scope():
            pass

    assert refused.value.problems == container.validate()
    assert len(refused.value.problems) == 3


def test_a_secret_that_was_passed_is_in_no_text() -> None:
    container = DependencyContainer()
    container.register_singleton(Pricing, HttpPricing, "hunter2", "hunter3", password="hunter4", name="pricing")

    assert "hunter" not in repr(list(container)) + repr(container.validate())
