"""How agents get their services: by a view, by the fields of a dataclass, by the parameters of a function."""

import copy
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, assert_type, runtime_checkable

import pytest

from mizzen_runtime.container import (
    AgentServices,
    AmbiguousServiceError,
    DependencyContainer,
    InvalidContainerError,
    Named,
    ScopeError,
    ServiceStartError,
    UnknownServiceError,
)
from mizzen_runtime.services import ServiceUnavailableError
from tests.unit.runtime.container.doubles import Noted, Notes, noted

pytestmark = pytest.mark.anyio


@runtime_checkable
class Pricing(Protocol):
    async def price(self, sku: str) -> float: ...


class Fixed:
    def __init__(self, price: float = 1.0) -> None:
        self._price = price

    async def price(self, sku: str) -> float:  # noqa: ARG002 - all cost the same
        return self._price


@pytest.fixture
def notes() -> Notes:
    return []


@pytest.fixture
async def container(notes: Notes) -> DependencyContainer:
    pool = noted(notes, "Pool")
    container = DependencyContainer()
    container.register_singleton(Pricing, Fixed, 1.0, name="eu")
    container.register_singleton(Pricing, Fixed, 2.0, name="crm-us")
    container.register_singleton(pool, pool, name="pool")
    container.register_scoped(Noted, noted(notes, "Session", pool), name="session")
    container.register_transient(Fixed, Fixed, name="get")
    await container.start()
    return container


async def test_the_view_gives_services_by_interface_name_and_attribute(container: DependencyContainer) -> None:
    async with container.request_scope() as scope:
        services = await AgentServices.of(scope)

        pricing = services.get(Pricing, name="eu")
        assert_type(pricing, Pricing)
        assert_type(await scope.get_service(Pricing, "eu"), Pricing)
        assert_type(await container.get_service(Pricing, name="eu"), Pricing)
        assert pricing is services.eu is services["eu"] is await scope.get_service(Pricing, name="eu")
        assert services["crm-us"] is not services.eu
        assert services.session.work() == "Session"
        assert services.get(Noted) is services.session is await scope.get_service(Noted)
        assert services["get"] is services.get(Fixed)
        assert repr(services) == "<AgentServices eu, crm-us, pool, session, get>"
        assert {"eu", "pool", "get"} <= set(dir(services))


async def test_what_is_not_there_is_told(container: DependencyContainer) -> None:
    async with container.request_scope() as scope:
        services = await AgentServices.of(scope)

        with pytest.raises(AmbiguousServiceError, match=r"^2 services implement Pricing: 'eu', 'crm-us'; pick one by"):
            services.get(Pricing)
        with pytest.raises(
            UnknownServiceError, match=r"^no service implements str; add a service with this interface$"
        ):
            services.get(str)
        with pytest.raises(UnknownServiceError, match=r"^no service is called 'sesion'; did you mean 'session'\?$"):
            services["sesion"]
        with pytest.raises(AttributeError, match=r"^no service is called 'xyz'$"):
            services.xyz  # noqa: B018 - that it is asked for is the point
        assert not hasattr(services, "__wrapped__")


async def test_the_view_is_read_only(container: DependencyContainer) -> None:
    async with container.request_scope() as scope:
        services = await AgentServices.of(scope)

        with pytest.raises(AttributeError):
            services.eu = None  # type: ignore[attr-defined] # refused at run time too
        assert copy.copy(services).eu is services.eu


async def test_after_the_request_it_gives_nothing(container: DependencyContainer) -> None:
    async with container.request_scope() as scope:
        services = await AgentServices.of(scope)

    for ask in (lambda: services.get(Noted), lambda: services.session, lambda: services["eu"]):
        with pytest.raises(ScopeError, match=r"^the request scope is not open"):
            ask()


async def test_a_service_that_is_not_ready_fails_those_who_use_it(notes: Notes) -> None:
    def down() -> None:
        raise OSError("hunter2")

    container = DependencyContainer()
    container.register_singleton(Noted, noted(notes, "Cache", initialize=down), name="cache")
    container.register_singleton(Pricing, Fixed, name="pricing")
    await container.start(may_fail={"cache"})

    async with container.request_scope() as scope:
        services = await AgentServices.of(scope)
        assert await services.pricing.price("x") == 1.0
        with pytest.raises(ServiceUnavailableError, match=r"^cache \(Cache\) is not ready$"):
            services.cache  # noqa: B018 - that it is asked for is the point


@dataclass
class TriageDeps:
    pricing: Annotated[Pricing, Named("eu")]
    session: Noted
    vat: float = 0.2
    missing: AgentServices | None = None
    notes: list[str] = field(default_factory=list)


async def test_a_dataclass_is_filled_by_its_fields(container: DependencyContainer) -> None:
    async with container.request_scope() as scope:
        deps = TriageDeps(**await scope.resolve_annotations(TriageDeps))

        assert deps.pricing is await scope.get_service(Pricing, name="eu")
        assert deps.session is await scope.get_service(Noted)
        assert deps.vat == 0.2


async def find_price(context: object, sku: str, pricing: Annotated[Pricing, Named("eu")], limit: int | None) -> float:
    return await pricing.price(sku)


async def test_a_function_is_filled_by_its_parameters_and_the_rest_is_the_callers(
    container: DependencyContainer,
) -> None:
    async with container.request_scope() as scope:
        arguments = await scope.resolve_annotations(find_price)

        assert list(arguments) == ["pricing"]
        assert await find_price(None, "x", limit=None, **arguments) == 1.0


@dataclass
class Modest:
    pricing: Pricing | None


async def test_what_a_dataclass_can_do_without_is_none_if_nothing_implements_it(notes: Notes) -> None:
    container = DependencyContainer()

    async with container.request_scope() as scope:
        assert await scope.resolve_annotations(Modest) == {"pricing": None}


async def test_what_cannot_be_filled_is_told_whole(container: DependencyContainer) -> None:
    @dataclass
    class Greedy:
        pricing: Pricing
        tenant: str

    async with container.request_scope() as scope:
        with pytest.raises(InvalidContainerError) as refused:
            await scope.resolve_annotations(Greedy)

    assert str(refused.value) == (
        "Greedy -> pricing: 2 services implement Pricing: 'eu', 'crm-us'; "
        "pick one by its name, such as 'eu': Annotated[Pricing, Named(\"…\")]; "
        "Greedy -> tenant: nothing gives it a value of type str, and it has no default; "
        "pass it where the service is registered, or give it a default"
    )
    assert container.validate(Greedy) == refused.value.problems


async def test_a_failure_is_told_with_who_asked(notes: Notes) -> None:
    def down() -> Any:
        raise OSError("hunter2")

    container = DependencyContainer()
    container.register_scoped(Noted, noted(notes, "Session", initialize=down), name="session")
    container.register_singleton(Pricing, Fixed, name="eu")

    async with container.request_scope() as scope:
        with pytest.raises(ServiceStartError) as failed:
            await scope.resolve_annotations(TriageDeps)

    assert str(failed.value) == "TriageDeps -> session (Session): its initialize() raised OSError"
