"""Which service is made of which others. Pure: nothing is built here."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, partial
from typing import Any
from weakref import WeakKeyDictionary

from mizzen_runtime.container.errors import AmbiguousServiceError, ServiceLookupError, UnknownServiceError
from mizzen_runtime.container.needs import Need, needs_of
from mizzen_runtime.container.registration import Registration, Scope, interface_name
from mizzen_runtime.services.conformance import is_interface


@dataclass(frozen=True)
class Fault:
    """Why something cannot be called."""

    parameter: str | None
    """Which parameter stays open; None if it is the call as a whole."""
    message: str
    remedy: str
    asks_for_service: bool = False
    """Whether a service was asked for that is not there."""


@dataclass(frozen=True)
class Plan:
    """How the open parameters of something are filled."""

    dependencies: tuple[tuple[str, "Recipe"], ...] = ()
    """By parameter, in their order."""
    without: tuple[str, ...] = ()
    """Parameters that get None, since nothing implements what they can do without."""
    faults: tuple[Fault, ...] = ()


class Recipe:
    """How one service is made; compared by identity."""

    def __init__(self, registration: Registration) -> None:
        """Know nothing yet of the others: `plan` is filled in when all are there."""
        self.registration = registration
        self.scope = registration.scope
        self.plan = Plan()
        self.conforms = False
        """Whether what it makes was seen to implement the interface; a class is looked at before it makes anything."""

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return self.registration.label

    @cached_property
    def needs_request(self) -> "Recipe | None":
        """The request-scoped service that it is, or is made of by way of transient ones; None if there is none."""
        if self.scope is Scope.REQUEST:
            return self
        transient = [each for _, each in self.plan.dependencies if each.scope is not Scope.SINGLETON]
        return next((found for each in transient if (found := each.needs_request)), None)

    @cached_property
    def singletons(self) -> "tuple[Recipe, ...]":
        """Those that it is made of, also by way of others that are none."""
        found: dict[Recipe, None] = {}
        for _, needed in self.plan.dependencies:
            found.update(dict.fromkeys((needed,) if needed.scope is Scope.SINGLETON else needed.singletons))
        return tuple(found)

    @cached_property
    def is_immediate(self) -> bool:
        """Whether it is made without waiting for anything, once the singletons that it is made of are ready."""
        implementation = self.registration.implementation
        own = [each for _, each in self.plan.dependencies if each.scope is not Scope.SINGLETON]
        return (
            isinstance(implementation, type)
            and not hasattr(implementation, "initialize")
            and not hasattr(implementation, "__getattr__")  # it may have one all the same
            and all(each.is_immediate for each in own)
        )

    @cached_property
    def call(self) -> Callable[..., Any]:
        """The implementation with what was registered for it; services that it needs come as further keywords."""
        without = dict.fromkeys(self.plan.without)
        return partial(self.registration.implementation, *self.registration.args, **self.registration.kwargs, **without)


class Graph:
    """All services, each with those that it is made of."""

    def __init__(self, registrations: Iterable[Registration]) -> None:
        self.recipes = tuple(Recipe(each) for each in registrations)
        self._by_interface: dict[Any, list[Recipe]] = {}
        for recipe in self.recipes:
            self._by_interface.setdefault(recipe.registration.interface, []).append(recipe)
        self._found: dict[tuple[Any, str | None], Recipe] = {}
        self._plans: WeakKeyDictionary[Any, Plan] = WeakKeyDictionary()
        for recipe in self.recipes:
            recipe.plan = self._plan(
                recipe.registration.implementation, recipe.registration.args, recipe.registration.kwargs
            )

    def find(self, interface: Any, name: str | None = None) -> Recipe:
        """Give the one service that implements an interface, and has a name if one is given.

        Raises:
            UnknownServiceError: There is none.
            AmbiguousServiceError: There are several, and no name was given.
        """
        found = self._found.get((interface, name))
        if found is None:
            found = self._found[interface, name] = self._search(interface, name)
        return found

    def named(self, name: str) -> Recipe:
        """Give the service with a name.

        Raises:
            UnknownServiceError: There is none.
        """
        for recipe in self.recipes:
            if recipe.registration.name == name:
                return recipe
        names = [each.registration.name for each in self.recipes if each.registration.name is not None]
        raise UnknownServiceError(f"no service is called {name!r}", _did_you_mean(name, names))

    def plan_for(self, target: Callable[..., Any]) -> Plan:
        """Tell how the annotated parameters of a function, or the fields of a dataclass, are filled."""
        plan = self._plans.get(target)
        if plan is None:
            plan = self._plans[target] = self._plan(target, (), {})
        return plan

    def _search(self, interface: Any, name: str | None) -> Recipe:
        candidates = self._by_interface.get(interface, [])
        if not candidates:
            raise UnknownServiceError(f"no service implements {interface_name(interface)}", self._near(interface))
        if name is not None:
            for recipe in candidates:
                if recipe.registration.name == name:
                    return recipe
            raise UnknownServiceError(
                f"no service that implements {interface_name(interface)} is called {name!r}",
                _did_you_mean(name, [each.registration.short for each in candidates]),
            )
        if len(candidates) > 1:
            names = [each.registration.short for each in candidates]
            raise AmbiguousServiceError(
                f"{len(names)} services implement {interface_name(interface)}: {', '.join(map(repr, names))}",
                f"pick one by its name, such as {names[0]!r}",
            )
        return candidates[0]

    def _near(self, interface: Any) -> str:
        """Say what may have been meant by an interface that nothing implements."""
        name = interface_name(interface)
        known = {interface_name(each): each for each in self._by_interface}
        if name in known:
            return f"the {name} that is implemented is that of {known[name].__module__}: import it from there"
        # Strict, since half of most names of interfaces is "Service".
        close = get_close_matches(name, known, n=1, cutoff=0.8)
        return f"did you mean {close[0]}?" if close else "add a service with this interface"

    def _plan(self, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Plan:
        if not callable(target):
            return Plan()
        needs = needs_of(target, args, kwargs)
        dependencies: list[tuple[str, Recipe]] = []
        without: list[str] = []
        faults: list[Fault] = []
        if needs.fault is not None:
            faults.append(Fault(None, f"its arguments do not fit: {needs.fault}", "correct what is registered for it"))
        for need in needs.parameters:
            try:
                found = self._fill(need)
            except ServiceLookupError as error:
                faults.append(Fault(need.parameter, error.message, _remedy(need, error), asks_for_service=True))
                continue
            if isinstance(found, Fault):
                faults.append(found)
            elif found is not None:
                dependencies.append((need.parameter, found))
            elif not need.has_default:
                without.append(need.parameter)
        return Plan(tuple(dependencies), tuple(without), tuple(faults))

    def _fill(self, need: Need) -> Recipe | Fault | None:
        """Give the service for a parameter, None if it can do without, or what is wrong.

        Raises:
            ServiceLookupError: No single service fits.
        """
        if not isinstance(need.interface, type) or need.by_position_only:
            return None if need.has_default else _open_parameter(need)
        is_service = need.name is not None or is_interface(need.interface) or need.interface in self._by_interface
        if not is_service:
            return None if need.has_default else _open_parameter(need)
        try:
            return self.find(need.interface, need.name)
        except UnknownServiceError:
            if need.has_default or need.may_be_none:
                return None
            raise


def _remedy(need: Need, error: ServiceLookupError) -> str:
    if isinstance(error, AmbiguousServiceError):
        return f'{error.remedy}: Annotated[{need.type_text}, Named("…")]'
    return error.remedy


def _open_parameter(need: Need) -> Fault:
    if isinstance(need.interface, str):
        return Fault(
            need.parameter,
            f"its type {need.interface!r} is not known at run time",
            "import it outside of `if TYPE_CHECKING`, or pass the argument where the service is registered",
        )
    if need.by_position_only:
        return Fault(need.parameter, "it is taken by position only", "let it be passed by keyword")
    kind = f"nothing gives it a value of type {need.type_text}" if need.type_text else "it has no type"
    own_class = isinstance(need.interface, type) and need.interface.__module__ not in {"builtins", "inspect"}
    return Fault(
        need.parameter,
        f"{kind}, and it has no default",
        f"{'add a service of this class, ' if own_class else ''}pass it where the service is registered, "
        "or give it a default",
    )


def _did_you_mean(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there are {', '.join(map(repr, sorted(known)))}" if known else "none has a name"
