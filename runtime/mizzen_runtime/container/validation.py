"""Whether what is registered fits together: every problem at once, each with the path that led there."""

import typing
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from functools import partial
from inspect import Signature, isclass
from inspect import signature as signature_of
from typing import Any, Self

import typing_extensions

from mizzen_api.problems import Problem
from mizzen_runtime.container.graph import Fault, Graph, Recipe
from mizzen_runtime.container.registration import Scope, implementation_name, interface_name
from mizzen_runtime.services.annotations import evaluated, is_union
from mizzen_runtime.services.conformance import conformance_problems, is_interface

ROOT = "AgentServices"
"""Where every path begins that a consumer of its own does not begin: the view that gives an agent all services."""


def path_text(*steps: str) -> str:
    """Give a path as one text."""
    return " -> ".join(steps)


def problems_of_graph(graph: Graph, consumers: Iterable[Callable[..., Any]] = ()) -> tuple[Problem, ...]:
    """Tell all that is wrong with the services, and with those that want to be given some.

    Args:
        graph: The services.
        consumers: Functions and dataclasses whose parameters or fields are to be filled with services.
    """
    found: list[Problem] = [*_naming(graph)]
    for recipe in graph.recipes:
        found += _of_registration(recipe)
        found += _of_faults(recipe.plan.faults, ROOT, recipe.label)
        found += _captive(recipe)
    found += _cycles(graph)
    for consumer in consumers:
        found += problems_of_consumer(graph, consumer)
    return tuple(found)


def problems_of_consumer(graph: Graph, consumer: Callable[..., Any]) -> Iterator[Problem]:
    """Tell which services are not there that a function's parameters or a dataclass's fields ask for."""
    # What else a function needs comes from who calls it; nobody else fills the fields of a dataclass.
    faults = [each for each in graph.plan_for(consumer).faults if isclass(consumer) or each.asks_for_service]
    return _of_faults(faults, implementation_name(consumer))


def _of_faults(faults: Iterable[Fault], *path: str) -> Iterator[Problem]:
    for fault in faults:
        steps = path if fault.parameter is None else (*path, fault.parameter)
        yield Problem(field=path_text(*steps), message=fault.message, remedy=fault.remedy)


def _naming(graph: Graph) -> Iterator[Problem]:
    by_name: dict[str, list[Recipe]] = {}
    by_interface: dict[Any, list[Recipe]] = {}
    for recipe in graph.recipes:
        by_interface.setdefault(recipe.registration.interface, []).append(recipe)
        if recipe.registration.name is not None:
            by_name.setdefault(recipe.registration.name, []).append(recipe)
    for name, recipes in by_name.items():
        if len(recipes) > 1:
            yield Problem(
                field=path_text(ROOT, name),
                message=f"{len(recipes)} services have this name: {', '.join(_described(each) for each in recipes)}",
                remedy="give each a name of its own",
            )
    for recipes in by_interface.values():
        for recipe in recipes:
            if len(recipes) > 1 and recipe.registration.name is None:
                yield Problem(
                    field=path_text(ROOT, recipe.label),
                    message=f"it has no name, and {len(recipes)} services implement {_interface(recipe)}",
                    remedy="register it with name=",
                )


def _described(recipe: Recipe) -> str:
    return f"{implementation_name(recipe.registration.implementation)} as {_interface(recipe)}"


def _interface(recipe: Recipe) -> str:
    return interface_name(recipe.registration.interface)


def _of_registration(recipe: Recipe) -> tuple[Problem, ...]:
    registration, field = recipe.registration, path_text(ROOT, recipe.label)
    if not isclass(registration.interface):
        message = f"the interface {registration.interface!r} is no class"
        return (Problem(field=field, message=message, remedy="name a Protocol or another class"),)
    if not callable(registration.implementation):
        return (
            Problem(
                field=field,
                message=f"an object of type {type(registration.implementation).__qualname__} makes no service",
                remedy="register a class or a function; for an object that is there, a function that gives it",
            ),
        )
    made = made_class(registration.implementation)
    if made is None or (is_interface(made) and made is not registration.implementation):
        return ()  # what it makes is looked at when it is made
    found = conformance_problems(registration.interface, made, field)
    recipe.conforms = not found
    return found


def made_class(implementation: Callable[..., Any]) -> type | None:
    """Give the class of what an implementation makes, as far as it says."""
    while isinstance(implementation, partial):
        implementation = implementation.func
    if isclass(implementation):
        return implementation
    try:
        returns = evaluated(signature_of(implementation).return_annotation, implementation)
    except (TypeError, ValueError):  # written in C
        return None
    if typing.get_origin(returns) in (Awaitable, Coroutine):
        returns = typing.get_args(returns)[-1]
    if returns in (Self, typing_extensions.Self):
        returns = getattr(implementation, "__self__", None)
    made = typing.get_origin(returns) or returns
    says_nothing = returns in (Any, Signature.empty) or is_union(returns)
    return made if isclass(made) and not says_nothing else None


def _captive(recipe: Recipe) -> Iterator[Problem]:
    """Tell which request-scoped services a singleton would keep for longer than they live."""
    if recipe.scope is not Scope.SINGLETON:
        return
    for path in _paths_to_request(recipe, ()):
        needed = path[-1].registration.short
        yield Problem(
            field=path_text(ROOT, recipe.label, *(each.label for each in path)),
            message=f"a singleton cannot keep {needed!r}, which lives for one request",
            remedy=f"make {recipe.registration.short!r} request-scoped, or {needed!r} a singleton",
        )


def _paths_to_request(recipe: Recipe, path: tuple[Recipe, ...]) -> Iterator[tuple[Recipe, ...]]:
    for _, needed in recipe.plan.dependencies:
        if needed.scope is Scope.REQUEST:
            yield (*path, needed)
        elif needed.scope is Scope.TRANSIENT and needed not in path:
            yield from _paths_to_request(needed, (*path, needed))


def _cycles(graph: Graph) -> Iterator[Problem]:
    """Tell each circle once, from the service in it that was registered first."""
    told: set[Recipe] = set()
    for start in graph.recipes:
        path = _way_back(start) if start not in told else None
        if path is not None:
            told.update(path)
            yield Problem(
                field=path_text(ROOT, *(each.label for each in path)),
                message="these services need each other in a circle",
                remedy="let one do without the next, or move what both need into a service of its own",
            )


def _way_back(start: Recipe) -> list[Recipe] | None:
    """Give the shortest way from a service over those that it needs to itself; None if there is none."""
    ways, seen = [[start]], {start}
    for way in ways:
        for _, needed in way[-1].plan.dependencies:
            if needed is start:
                return [*way, start]
            if needed not in seen:
                seen.add(needed)
                ways.append([*way, needed])
    return None
