"""The scope of one request: its own services, made when they are first asked for and closed when it is left."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from mizzen_runtime.container.building import Limits, arguments_of, construct, make, note_opened
from mizzen_runtime.container.closing import Closing, Opened
from mizzen_runtime.container.errors import InvalidContainerError, ScopeError, ServiceStartError
from mizzen_runtime.container.generations import Generation
from mizzen_runtime.container.graph import Recipe
from mizzen_runtime.container.registration import Scope, implementation_name, interface_name
from mizzen_runtime.container.validation import problems_of_consumer
from mizzen_runtime.services import ServiceUnavailableError

T = TypeVar("T")

Waiters = list["asyncio.Future[ServiceStartError | None]"]


class NotReady:
    """Stands in for a service that all share and that is not ready: using it raises `ServiceUnavailableError`."""

    def __init__(self, recipe: Recipe) -> None:
        self._label = recipe.label

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # Python asks for such names itself, and wants this error
            raise AttributeError(name=name, obj=self)
        raise ServiceUnavailableError(f"{self._label} is not ready")


class RequestScope:
    """One run of an agent: `async with container.request_scope() as scope`.

    It may be used by several tasks at once. Leaving it closes its services, each within its time, also when whoever
    leaves it is cancelled; a service that fails in this is logged and counted, and nothing is raised.
    """

    __slots__ = (
        "_enter",
        "_generation",
        "_is_entered",
        "_leave",
        "_limits",
        "_made",
        "_opened",
        "_ready_only",
        "_waiting",
        "name",
    )

    def __init__(
        self,
        enter: Callable[["RequestScope"], Generation],
        leave: Callable[["RequestScope"], None],
        limits: Limits,
        name: str | None,
        *,
        ready_only: bool = False,
    ) -> None:
        self.name = name
        self._ready_only = ready_only
        self._enter = enter
        self._leave = leave
        self._limits = limits
        self._generation: Generation | None = None
        self._is_entered = False
        self._made: dict[Recipe, Any] = {}
        self._opened: list[Opened] = []
        self._waiting: dict[Recipe, Waiters] = {}

    async def __aenter__(self) -> Self:
        """Enter the scope; from now on it sees the services of one generation.

        Raises:
            ContainerClosedError: The container is closed.
            InvalidContainerError: What is registered does not fit together.
            ScopeError: Another scope with this name is open, or this one was entered before.
        """
        if self._is_entered:
            raise ScopeError("a request scope is entered once: ask the container for another")
        self._generation = self._enter(self)
        self._is_entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the scope."""
        generation = self.generation
        self._generation = None
        self._leave(self)
        if self._opened:
            await self._close(self._opened, generation).done
        else:
            generation.release()

    @property
    def generation(self) -> Generation:
        """The services that it sees.

        Raises:
            ScopeError: It is not entered yet, or left.
        """
        if self._generation is None:
            raise ScopeError("the request scope is not open: use it within `async with`")
        return self._generation

    async def get_service(self, interface: Callable[..., T], name: str | None = None) -> T:
        """Give the service that implements an interface, ready for use.

        Args:
            interface: A Protocol or class; typed as a callable, since mypy takes no Protocol for `type[T]`.
            name: Which one, where several implement it.

        Raises:
            UnknownServiceError: There is none.
            AmbiguousServiceError: There are several, and no name was given.
            ServiceStartError: It could not be made ready.
            ScopeError: The scope is left, or not entered yet.
        """
        generation = self.generation
        recipe = generation.graph.find(interface, name)
        try:
            if self._is_at_hand(recipe, generation):
                service: T = self._take(recipe, generation)
            else:
                service = await self.provide(recipe)
        except ServiceStartError as error:
            raise error.needed_by(interface_name(interface)) from error.__cause__
        return service

    async def resolve_annotations(self, target: Callable[..., Any]) -> dict[str, Any]:
        """Give the services that a function's parameters, or a dataclass's fields, ask for by their annotations.

        Returns:
            Arguments by their name: `TriageDeps(**await scope.resolve_annotations(TriageDeps))`. What is no service is
            left to the caller.

        Raises:
            InvalidContainerError: It asks for services that are not there.
            ServiceStartError: One could not be made ready.
            ScopeError: The scope is left, or not entered yet.
        """
        graph = self.generation.graph
        if problems := tuple(problems_of_consumer(graph, target)):
            raise InvalidContainerError(problems)
        plan = graph.plan_for(target)
        try:
            return dict.fromkeys(plan.without) | await arguments_of(plan, self.provide)
        except ServiceStartError as error:
            raise error.needed_by(implementation_name(target)) from error.__cause__

    async def provide(self, recipe: Recipe) -> Any:
        """Give what a recipe makes.

        Raises:
            ServiceStartError: It could not be made ready.
            ScopeError: The scope is left, or not entered yet.
        """
        generation = self.generation
        if self._is_at_hand(recipe, generation):
            return self._take(recipe, generation)
        if recipe.scope is Scope.SINGLETON:
            return NotReady(recipe) if self._ready_only else await generation.singletons[recipe].get()
        return await (self._make(recipe) if recipe.scope is Scope.TRANSIENT else self._make_once(recipe))

    def _is_at_hand(self, recipe: Recipe, generation: Generation) -> bool:
        """Tell whether a service is there, or made without waiting for anything. Most are."""
        if recipe.scope is Scope.SINGLETON:
            return generation.singletons[recipe].is_ready
        if recipe in self._made:
            return True
        needed = recipe.singletons
        return recipe.is_immediate and (not needed or all(generation.singletons[each].is_ready for each in needed))

    def _take(self, recipe: Recipe, generation: Generation) -> Any:
        """Give what is at hand, at a third of what it costs to wait for it."""
        if recipe.scope is Scope.SINGLETON:
            return generation.singletons[recipe].service
        made = self._made.get(recipe)
        if made is not None:
            return made
        arguments = {}
        for parameter, needed in recipe.plan.dependencies:
            arguments[parameter] = self._take(needed, generation)
        service = construct(recipe, arguments)
        note_opened(recipe, service, self._opened)
        if recipe.scope is Scope.REQUEST:
            self._made[recipe] = service
        return service

    async def _make_once(self, recipe: Recipe) -> Any:
        while (waiters := self._waiting.get(recipe)) is not None:
            attempt: asyncio.Future[ServiceStartError | None] = asyncio.get_running_loop().create_future()
            waiters.append(attempt)
            if (error := await attempt) is not None:
                raise ServiceStartError(error.path, error.reason) from error.__cause__
            if recipe in self._made:
                return self._made[recipe]
            # Whoever made it was cancelled: the next one takes its place.
        waiters = self._waiting[recipe] = []
        failure: ServiceStartError | None = None
        try:
            service = self._made[recipe] = await self._make(recipe)
        except ServiceStartError as error:
            failure = error
            raise
        finally:
            del self._waiting[recipe]
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(failure)
        return service

    async def _make(self, recipe: Recipe) -> Any:
        generation = self.generation
        opened: list[Opened] = []  # its own until it is ready: nobody closes what still initializes
        generation.acquire()
        try:
            service = await make(recipe, self.provide, opened, self._limits)
        finally:
            if self._generation is None and opened:  # left meanwhile: nobody else closes it any more
                self._close(opened, generation)
            else:
                self._opened += opened
                generation.release()
        if self._generation is None:
            raise ScopeError(f"the request scope was left before {recipe.label} was ready")
        return service

    def _close(self, opened: list[Opened], generation: Generation) -> Closing:
        limits = self._limits
        return Closing(opened, limits.close_seconds, limits.on_close_failure, finished=generation.release)
