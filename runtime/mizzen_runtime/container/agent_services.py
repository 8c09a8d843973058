"""What an agent is given: all services of its request, read-only."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from mizzen_runtime.container.graph import Recipe
from mizzen_runtime.container.registration import Scope
from mizzen_runtime.container.request_scope import RequestScope
from mizzen_runtime.services import ServiceUnavailableError

T = TypeVar("T")


class AgentServices:
    """A view of the services of one request scope: `services.get(DatabaseService)`, `services.database`.

    A service is found by its interface, by its name as an attribute, and by its name as a key where that is no
    identifier: `services["crm-eu"]`. After the request it gives nothing any more.
    """

    __slots__ = ("_made", "_scope")

    def __init__(self, scope: RequestScope, made: dict[Recipe, Any]) -> None:
        """Keep what was made; see `of`."""
        self._scope = scope
        self._made = made

    @classmethod
    async def of(cls, scope: RequestScope) -> "AgentServices":
        """Give the view of a scope, with the services that are made for it alone.

        Raises:
            ServiceStartError: One of these could not be made ready.
            ScopeError: The scope is left, or not entered yet.
        """
        recipes = scope.generation.graph.recipes
        own = [each for each in recipes if each.scope is not Scope.SINGLETON]
        return cls(scope, {each: await scope.provide(each) for each in own})

    def get(self, interface: Callable[..., T], name: str | None = None) -> T:
        """Give the service that implements an interface.

        Args:
            interface: A Protocol or class.
            name: Which one, where several implement it.

        Raises:
            UnknownServiceError: There is none.
            AmbiguousServiceError: There are several, and no name was given.
            ServiceUnavailableError: It is not ready.
            ScopeError: The request is over.
        """
        service: T = self._service(self._scope.generation.graph.find(interface, name))
        return service

    def __getitem__(self, name: str) -> Any:
        return self._service(self._scope.generation.graph.named(name))

    def __getattr__(self, name: str) -> Any:
        # Python asks for some names itself, before there is anything, and wants this error.
        if name.startswith("_") or name not in self._names():
            raise AttributeError(f"no service is called {name!r}", name=name, obj=self)
        return self[name]

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self._names()]

    def __repr__(self) -> str:
        return f"<AgentServices {', '.join(self._names())}>"

    def _names(self) -> list[str]:
        recipes = self._scope.generation.graph.recipes
        return [each.registration.name for each in recipes if each.registration.name is not None]

    def _service(self, recipe: Recipe) -> Any:
        if recipe.scope is not Scope.SINGLETON:
            return self._made[recipe]
        singleton = self._scope.generation.singletons[recipe]
        if not singleton.is_ready:
            raise ServiceUnavailableError(f"{recipe.label} is not ready")
        return singleton.service
