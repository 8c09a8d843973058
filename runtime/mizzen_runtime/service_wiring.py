"""Turns `spec.services` into what the container registers: which class, with which settings, for how long."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from mizzen_api.contract import RuntimeConfig, RuntimeService
from mizzen_api.problems import Problem
from mizzen_runtime.breakers import Breakers, CircuitBreaker
from mizzen_runtime.breakers.guarded_service import can_be_guarded, guard
from mizzen_runtime.config import ConfigRefused
from mizzen_runtime.container import Registrations, Scope
from mizzen_runtime.container.needs import needs_of
from mizzen_runtime.own_code.imports import OwnCodeLoader
from mizzen_runtime.services import CacheService, DatabaseService, ExternalAPIService
from mizzen_runtime.settings_fields import AgentName
from mizzen_runtime.settings_files import read_settings

INTERFACES: Mapping[str, type] = {
    interface.__name__: interface for interface in (CacheService, DatabaseService, ExternalAPIService)
}
"""Interfaces that a resource may name without a path."""
IMPLEMENTATIONS: Mapping[str, str] = {
    "http": "mizzen_runtime.implementations.http:HttpExternalAPIService",
    "memory": "mizzen_runtime.implementations.memory:MemoryCacheService",
    "postgres": "mizzen_runtime.implementations.postgres:ProductionDatabaseService",
    "redis": "mizzen_runtime.implementations.redis:RedisCacheService",
    "sqlite": "mizzen_runtime.implementations.sqlite:SqliteDatabaseService",
}
"""Implementations that a resource may name without a path; imported when one is named."""
DOUBLES: Mapping[type, str] = {
    CacheService: "mizzen_runtime.testing.cache_double:TestCacheService",
    DatabaseService: "mizzen_runtime.testing.database_double:TestDatabaseService",
    ExternalAPIService: "mizzen_runtime.testing.external_api_double:TestExternalAPIService",
}
"""What takes the place of each implementation in the test profile."""
_FACTORY = "from_settings"


@dataclass(frozen=True)
class ServiceDefinition:
    """One service of the resource, with what its names stand for."""

    service: RuntimeService
    field: str
    """Where the resource has it, such as `spec.services[0]`."""
    interface: Callable[..., Any]
    make: Callable[..., Any]
    """Class, class method or function that gives the service."""
    settings: tuple[str, type[BaseModel]] | None
    """The parameter that takes its settings, and their model; None if it has none."""
    breaker: CircuitBreaker | None = None
    """What stands before it; None if it is always asked."""

    @property
    def key(self) -> tuple[object, str]:
        """Interface and name: what it is asked for by."""
        return self.interface, self.service.name


def define_services(
    config: RuntimeConfig, loader: OwnCodeLoader, breakers: Breakers, *, doubles: bool = False
) -> tuple[tuple[ServiceDefinition, ...], tuple[Problem, ...]]:
    """Find what the names in `spec.services` stand for.

    Args:
        config: The configuration.
        loader: Loads own code.
        breakers: Makes those of the services that are to have one.
        doubles: Whether test doubles take the place of what implements the interfaces that have one.
    """
    definitions: list[ServiceDefinition] = []
    problems: list[Problem] = []
    for index, service in enumerate(config.services or ()):
        try:
            definition = _define(service, f"spec.services[{index}]", loader, doubles=doubles)
            definitions.append(_with_breaker(definition, breakers))
        except ConfigRefused as refused:
            problems.extend(refused.problems)
    return tuple(definitions), tuple(problems)


def register(definition: ServiceDefinition, registrations: Registrations, agent: AgentName) -> tuple[Problem, ...]:
    """Read a service's settings and register it with them, or tell what is wrong with them.

    Args:
        definition: The service.
        registrations: Where it is registered.
        agent: Whose service it is.
    """
    arguments: dict[str, Any] = {}
    if definition.settings is not None:
        parameter, model = definition.settings
        read = read_settings(definition.service, model, definition.field, agent)
        if read.settings is None:
            return read.problems
        arguments[parameter] = read.settings
    registrations.register_factory(
        definition.interface,
        definition.make,
        name=definition.service.name,
        scope=Scope(definition.service.scope),
        wrap=guard_of(definition),
        **arguments,
    )
    return ()


def guard_of(definition: ServiceDefinition) -> Callable[[Any], Any] | None:
    """Give what puts a service's breaker before it; None if it has none."""
    breaker, interface = definition.breaker, definition.interface
    return guard(interface, breaker) if breaker is not None and isinstance(interface, type) else None


def _with_breaker(definition: ServiceDefinition, breakers: Breakers) -> ServiceDefinition:
    settings = definition.service.breaker
    if settings is None:
        return definition
    if not can_be_guarded(definition.interface):
        message = f"{definition.service.interface} is no Protocol, and nothing can take the place of its instances"
        raise _refused(f"{definition.field}.breaker", message, "make the interface a Protocol, or leave breaker out")
    return replace(definition, breaker=breakers.add(f"service:{definition.service.name}", settings))


def _define(service: RuntimeService, field: str, loader: OwnCodeLoader, *, doubles: bool) -> ServiceDefinition:
    interface = _interface(service.interface, f"{field}.interface", loader)
    if doubles and isinstance(interface, type) and interface in DOUBLES:
        return ServiceDefinition(service, field, interface, _imported(DOUBLES[interface]), None)
    found = _implementation(service.implementation, f"{field}.implementation", loader)
    make = getattr(found, _FACTORY, found) if isinstance(found, type) else found
    taking = list(_settings_of(make))
    if len(taking) > 1:
        names = ", ".join(name for name, _ in taking)
        raise _refused(field, f"{service.implementation} has several parameters for settings: {names}", "leave it one")
    if not taking and (service.settings or service.sources):
        remedy = (
            f"remove it, or give the implementation, or its class method {_FACTORY}, a parameter of a pydantic model"
        )
        raise _refused(f"{field}.{_first_given(service)}", f"{service.implementation} takes no settings", remedy)
    return ServiceDefinition(service, field, interface, make, taking[0] if taking else None)


def _first_given(service: RuntimeService) -> str:
    if service.settings:
        return "settings"
    return "configMapRef" if service.sources[0].kind == "ConfigMap" else "secretRef"


def _interface(name: str, field: str, loader: OwnCodeLoader) -> Callable[..., Any]:
    if ":" not in name:
        if name in INTERFACES:
            return INTERFACES[name]
        raise _unknown("interface", name, INTERFACES, field)
    code = loader.named(name, field, "name a Protocol or another class")
    found = code.load()
    if not inspect.isclass(found):
        raise code.refused(f"{name} is of type {type(found).__name__}, which is no interface")
    return found


def _implementation(name: str, field: str, loader: OwnCodeLoader) -> Callable[..., Any]:
    if ":" not in name:
        if name in IMPLEMENTATIONS:
            return _imported(IMPLEMENTATIONS[name])
        raise _unknown("implementation", name, IMPLEMENTATIONS, field)
    code = loader.named(name, field, "name a class, or a function that gives the service")
    found = code.load()
    if not callable(found):
        raise code.refused(f"{name} is of type {type(found).__name__}, which makes no service")
    return found


def _settings_of(make: Callable[..., Any]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Give the parameters that take settings: those whose type is a pydantic model."""
    for need in needs_of(make, (), {}).parameters:
        if inspect.isclass(need.interface) and issubclass(need.interface, BaseModel):
            yield need.parameter, need.interface


def _imported(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def _unknown(kind: str, name: str, known: Mapping[str, object], field: str) -> ConfigRefused:
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return _refused(
        field,
        f"there is no {kind} {name!r}",
        f"{hint}Known are {', '.join(sorted(known))}; one of your own is written package.module:Name",
    )


def _refused(field: str, message: str, remedy: str) -> ConfigRefused:
    return ConfigRefused([Problem(field=field, message=message, remedy=remedy)])
