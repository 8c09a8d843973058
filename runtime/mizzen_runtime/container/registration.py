"""What is registered: which implementation serves an interface, with what arguments, and for how long."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any


class Scope(StrEnum):
    """How long a service lives, and who shares it."""

    SINGLETON = "singleton"
    """As long as the container, shared by all."""
    REQUEST = "request"
    """As long as one request scope, shared within it."""
    TRANSIENT = "transient"
    """As long as who asked for it, shared by nobody."""


@dataclass(frozen=True)
class Named:
    """Picks a service by name: `Annotated[DatabaseService, Named("reports")]`."""

    name: str


@dataclass(frozen=True, eq=False)
class Registration:
    """One service."""

    interface: Any
    """The class that its users ask for."""
    implementation: Any
    """A class, or a function that gives the service, async or not."""
    scope: Scope
    name: str | None = None
    args: tuple[Any, ...] = field(default=(), repr=False)
    kwargs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    wrap: Callable[[Any], Any] | None = None
    """Gives what takes the place of a singleton for all who use it, once it is ready."""

    @property
    def label(self) -> str:
        """What it is called in messages: `pricing (HttpPricing)`."""
        implementation = implementation_name(self.implementation)
        return f"{self.name} ({implementation})" if self.name is not None else implementation

    @property
    def short(self) -> str:
        """Its name, or that of its implementation."""
        return self.name if self.name is not None else implementation_name(self.implementation)


def implementation_name(implementation: Any) -> str:
    """Give the name of a class or function; of the class, where it is one of its class methods."""
    while isinstance(implementation, partial):
        implementation = implementation.func
    owner = getattr(implementation, "__self__", None)
    found = owner if isinstance(owner, type) else implementation
    name: str = getattr(found, "__qualname__", type(found).__qualname__)
    return name.rpartition("<locals>.")[2]


def interface_name(interface: Any) -> str:
    """Give the name of an interface."""
    return implementation_name(interface)


class Registrations:
    """A list of services to which one adds."""

    def __init__(self) -> None:
        self._registrations: list[Registration] = []

    def register_singleton(
        self, interface: Callable[..., Any], implementation: Any, /, *args: Any, name: str | None = None, **kwargs: Any
    ) -> None:
        """Add a service that all share.

        Args:
            interface: A Protocol or class; what its users ask for.
            implementation: A class, one of its class methods, or a function, async or not, that gives the service.
                Parameters whose annotation is a registered interface are filled with that service.
            args: Passed to the implementation.
            name: Tells it from others with the same interface; no two services have the same.
            kwargs: Passed to the implementation.
        """
        self._add(Registration(interface, implementation, Scope.SINGLETON, name, args, kwargs))

    def register_scoped(
        self, interface: Callable[..., Any], implementation: Any, /, *args: Any, name: str | None = None, **kwargs: Any
    ) -> None:
        """Add a service of which each request scope has its own; arguments as for `register_singleton`."""
        self._add(Registration(interface, implementation, Scope.REQUEST, name, args, kwargs))

    def register_transient(
        self, interface: Callable[..., Any], implementation: Any, /, *args: Any, name: str | None = None, **kwargs: Any
    ) -> None:
        """Add a service of which whoever asks has their own; arguments as for `register_singleton`."""
        self._add(Registration(interface, implementation, Scope.TRANSIENT, name, args, kwargs))

    def register_factory(
        self,
        interface: Callable[..., Any],
        factory: Callable[..., Any],
        /,
        *args: Any,
        name: str | None = None,
        scope: Scope = Scope.SINGLETON,
        wrap: Callable[[Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Add a service that a function gives, which lives as `scope` says; else as `register_singleton`.

        Args:
            interface: As there.
            factory: The function.
            args: Passed to it.
            name: As there.
            scope: How long the service lives.
            wrap: Gives what takes the place of a singleton for all who use it, once it is ready; it is still the
                service itself that is initialised and closed.
            kwargs: Passed to the function.
        """
        self._add(Registration(interface, factory, Scope(scope), name, args, kwargs, wrap))

    def remove(self, name: str) -> None:
        """Take a service out again.

        Raises:
            KeyError: No service has this name.
        """
        left = [each for each in self._registrations if each.name != name]
        if len(left) == len(self._registrations):
            raise KeyError(name)
        self._registrations = left

    def __iter__(self) -> Iterator[Registration]:
        return iter(tuple(self._registrations))

    def _add(self, registration: Registration) -> None:
        self._registrations.append(registration)
