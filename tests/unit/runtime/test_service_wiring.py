"""What `spec.services` names: everything that can be wrong with it, with the words that tell it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, Protocol

import pytest
from pydantic import BaseModel, ConfigDict

from mizzen_api.breakers import DEFAULT_BREAKER
from mizzen_api.contract import RuntimeConfig
from mizzen_api.problems import Problem
from mizzen_runtime.breakers import Breakers
from mizzen_runtime.container import DependencyContainer
from mizzen_runtime.implementations.redis import RedisCacheService
from mizzen_runtime.own_code.imports import OwnCodeLoader
from mizzen_runtime.own_code.start_watch import StartWatch
from mizzen_runtime.redaction import Redactor
from mizzen_runtime.service_wiring import define_services, register
from mizzen_runtime.settings_fields import AgentName

AGENT = AgentName("support", "triage")
SETTINGS = DEFAULT_BREAKER.model_dump()


class One(BaseModel):
    one: str = ""


class Two(BaseModel):
    two: str = ""


class Own:
    """A service of one's own that takes no settings."""


class Pool(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int = 1


class WithPool(BaseModel):
    model_config = ConfigDict(extra="forbid")

    pool: Pool = Pool()


class Pooled:
    def __init__(self, settings: WithPool) -> None: ...


class Shop(Protocol):
    async def sell(self, item: str) -> int: ...


class OwnShop:
    async def sell(self, item: str) -> int:
        return len(item)


class Torn:
    def __init__(self, first: One, second: Two) -> None: ...


def never(problem: Problem) -> NoReturn:
    raise AssertionError(problem)


@pytest.fixture(autouse=True)
def own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of own code."""
    module = ModuleType("own_services")
    module.__dict__.update({"Own": Own, "Pooled": Pooled, "Torn": Torn, "Shop": Shop, "OwnShop": OwnShop, "number": 1})
    monkeypatch.setitem(sys.modules, "own_services", module)


@pytest.fixture
def loader() -> Iterator[OwnCodeLoader]:
    with StartWatch(60, never) as watch:
        yield OwnCodeLoader(watch, Redactor([]))


def config_of(*services: dict[str, Any]) -> RuntimeConfig:
    given = {"namespace": "support", "name": "triage", "revision": "r", "agent": {}, "models": []}
    return RuntimeConfig.model_validate({**given, "services": services})


def service(**fields: Any) -> dict[str, Any]:
    return {"name": "own", "interface": "own_services:Own", "implementation": "own_services:Own", **fields}


def told(loader: OwnCodeLoader, **fields: Any) -> list[str]:
    definitions, problems = define_services(config_of(service(**fields)), loader, Breakers())
    assert bool(definitions) != bool(problems)
    return [str(problem) for problem in problems]


def test_names_that_nobody_knows_are_told_with_those_that_are_known(loader: OwnCodeLoader) -> None:
    assert told(loader, interface="CacheServise") == [
        (
            "spec.services[0].interface: there is no interface 'CacheServise'; did you mean 'CacheService'? Known are "
            "CacheService, DatabaseService, ExternalAPIService; one of your own is written package.module:Name"
        )
    ]
    assert told(loader, implementation="mysql") == [
        (
            "spec.services[0].implementation: there is no implementation 'mysql'; Known are http, memory, postgres, "
            "redis, sqlite; one of your own is written package.module:Name"
        )
    ]


def test_own_code_that_is_no_interface_or_makes_nothing_is_told(loader: OwnCodeLoader) -> None:
    assert told(loader, interface="own_services:number") == [
        (
            "spec.services[0].interface: own_services:number is of type int, which is no interface; name a Protocol or "
            "another class"
        )
    ]
    assert told(loader, implementation="own_services:number") == [
        (
            "spec.services[0].implementation: own_services:number is of type int, which makes no service; name a "
            "class, or a function that gives the service"
        )
    ]


def test_settings_that_nobody_takes_are_told_where_they_are_given(loader: OwnCodeLoader) -> None:
    message = (
        "own_services:Own takes no settings; remove it, or give the implementation, or its class method from_settings, "
        "a parameter of a pydantic model"
    )
    source = {"name": "own", "path": "/nowhere"}
    assert told(loader, settings={"one": "1"}) == [f"spec.services[0].settings: {message}"]
    assert told(loader, sources=[{"kind": "ConfigMap", **source}]) == [f"spec.services[0].configMapRef: {message}"]
    assert told(loader, sources=[{"kind": "Secret", **source}]) == [f"spec.services[0].secretRef: {message}"]


def test_an_implementation_with_two_parameters_for_settings_is_refused(loader: OwnCodeLoader) -> None:
    assert told(loader, implementation="own_services:Torn") == [
        "spec.services[0]: own_services:Torn has several parameters for settings: first, second; leave it one"
    ]


def test_what_is_wrong_with_several_services_is_told_at_once(loader: OwnCodeLoader) -> None:
    wrong = config_of(service(interface="A"), service(), service(implementation="b"))
    definitions, problems = define_services(wrong, loader, Breakers())
    assert [definition.field for definition in definitions] == ["spec.services[1]"]
    fields = [problem.field for problem in problems]
    assert fields == ["spec.services[0].interface", "spec.services[2].implementation"]


@pytest.mark.parametrize(
    ("settings", "prefix"),
    [({}, "mizzen:support/triage:"), ({"prefix": "shared:"}, "shared:")],
    ids=["unless set", "as it is set"],
)
def test_the_keys_of_a_cache_begin_with_the_name_of_the_agent(
    loader: OwnCodeLoader, settings: dict[str, str], prefix: str
) -> None:
    redis = {"name": "cache", "interface": "CacheService", "implementation": "redis"}
    definitions, _ = define_services(config_of({**redis, "settings": {"host": "h", **settings}}), loader, Breakers())
    container = DependencyContainer()
    assert register(definitions[0], container, AGENT) == ()
    (registration,) = container
    made = registration.implementation(**registration.kwargs)
    assert isinstance(made, RedisCacheService)
    assert registration.kwargs["settings"].prefix == prefix


@pytest.mark.parametrize("pool", ["{}", '{"sise": 1}', '{"size": "x"}', "[", "[1]", '[{"sise": 1}]'])
def test_what_is_not_registered_is_told(loader: OwnCodeLoader, tmp_path: Path, pool: str) -> None:
    (tmp_path / "pool").write_text(pool)
    source = {"kind": "ConfigMap", "name": "own", "path": str(tmp_path)}
    definitions, _ = define_services(
        config_of(service(implementation="own_services:Pooled", sources=[source])), loader, Breakers()
    )
    container = DependencyContainer()
    problems = register(definitions[0], container, AGENT)
    assert bool(problems) != bool(list(container))
    assert bool(problems) == (pool != "{}")


def test_a_breaker_before_a_class_of_ones_own_is_told(loader: OwnCodeLoader) -> None:
    assert told(loader, breaker=SETTINGS) == [
        (
            "spec.services[0].breaker: own_services:Own is no Protocol, and nothing can take the place of its "
            "instances; make the interface a Protocol, or leave breaker out"
        )
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("settings", [None, SETTINGS], ids=["without", "with"])
async def test_a_service_has_a_breaker_if_the_resource_says_so(loader: OwnCodeLoader, settings: Any) -> None:
    breakers = Breakers()
    shop = service(name="shop", interface="own_services:Shop", implementation="own_services:OwnShop", breaker=settings)
    ((definition,), problems) = define_services(config_of(shop), loader, breakers)
    container = DependencyContainer()
    assert (problems, register(definition, container, AGENT)) == ((), ())

    assert container.validate() == ()
    assert await (await container.get_service(Shop)).sell("apple") == 5

    assert [(each.name, each.counts.successful) for each in breakers] == ([("service:shop", 1)] if settings else [])
    await container.close()
