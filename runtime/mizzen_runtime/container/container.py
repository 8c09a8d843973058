"""The container that builds services, hands them out and closes them.

Scopes and finalising are not dishka's, for reasons that were measured (1.10, `python -m bench.container`):

- It has one lock for all singletons: ten that need 200 ms each start in 2 s; without the lock they start together, and
  one that they share is made ten times. Here they start together, and each is made once.
- A close has no time limit, and one that is cancelled leaves all services open that were still to be closed.
- What was built cannot be shared with another graph, so that a change of one service would rebuild all.

What this costs: the same for a request scope with nothing to close, and a task, some 5 µs, for one with something.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeVar

from mizzen_api.problems import Problem
from mizzen_runtime.container.building import Limits
from mizzen_runtime.container.closing import OnCloseFailure
from mizzen_runtime.container.errors import (
    ContainerClosedError,
    ContainerError,
    InvalidContainerError,
    ScopeError,
    ServiceStartError,
)
from mizzen_runtime.container.generations import Generation
from mizzen_runtime.container.graph import Graph
from mizzen_runtime.container.registration import Registration, Registrations, interface_name
from mizzen_runtime.container.request_scope import RequestScope
from mizzen_runtime.container.validation import problems_of_graph

T = TypeVar("T")

DEFAULT_SCOPE = "default"
"""The container itself, as a scope."""

log = logging.getLogger("mizzen.services")

Check = Callable[[Mapping[str, Any]], Awaitable[None]]
"""Looks at services by their name before they are used, and raises if they are not to be."""


class DependencyContainer(Registrations):
    """Services by their interface.

    Register, `validate`, `start`, use, `close`. A service may have `async initialize()`, awaited once before anybody
    gets it, and `async close()`, awaited once after the last use, also after an `initialize()` that failed.
    """

    def __init__(
        self,
        *,
        initialize_seconds: float = 10.0,
        close_seconds: float = 5.0,
        scope_seconds: float = 5.0,
        on_close_failure: OnCloseFailure | None = None,
    ) -> None:
        """Register nothing yet.

        Args:
            initialize_seconds: What each service has for its factory, and for its `initialize()`.
            close_seconds: What each has for its `close()`.
            scope_seconds: How long `close` waits for request scopes to be left.
            on_close_failure: Is told the name of each service that fails to close.
        """
        super().__init__()
        self._limits = Limits(initialize_seconds, close_seconds, on_close_failure)
        self._scope_seconds = scope_seconds
        self._current: Generation | None = None
        self._living: list[Generation] = []
        self._is_started = False
        self._scopes: dict[str, RequestScope] = {}
        self._reloading = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None

    def validate(self, *consumers: Callable[..., Any]) -> tuple[Problem, ...]:
        """Tell all that is wrong with what is registered, without building anything.

        Args:
            consumers: Functions and dataclasses that will be given services by their annotations.
        """
        return problems_of_graph(Graph(self), consumers)

    async def start(self, *, may_fail: Collection[str] = ()) -> None:
        """Get all singletons ready; those that are so already stay as they are.

        Args:
            may_fail: Names of services that need not be ready. Each is tried again when somebody asks for it, and when
                this is called again.

        Raises:
            InvalidContainerError: What is registered does not fit together.
            StartFailedError: Services could not be made ready. At the first start, what had been ready is closed.
            ContainerClosedError: The container is closed.
        """
        generation = self._generation()
        try:
            await generation.start(may_fail)
        except BaseException:
            if not self._is_started and generation is self._current:
                self._current = self._build(generation.graph)
                generation.retire()
                await generation.ended.wait()
            raise
        self._is_started = True

    async def get_service(
        self, interface: Callable[..., T], scope: str = DEFAULT_SCOPE, *, name: str | None = None
    ) -> T:
        """Give the service that implements an interface, ready for use.

        Args:
            interface: A Protocol or class; typed as a callable, since mypy takes no Protocol for `type[T]`.
            scope: Name of an open request scope; without it, the container itself, which has no request-scoped ones.
                Only what a scope gives is sure to stay open while it is used: a reload may end what the container gave.
            name: Which one, where several implement it.

        Raises:
            UnknownServiceError: There is none.
            AmbiguousServiceError: There are several, and no name was given.
            ScopeError: It lives in a request scope, or there is no scope with this name.
            ServiceStartError: It could not be made ready.
            InvalidContainerError: What is registered does not fit together.
            ContainerClosedError: The container is closed.
        """
        generation = self._generation()
        if scope != DEFAULT_SCOPE:
            if scope not in self._scopes:
                raise ScopeError(f"no request scope is called {scope!r}: open it with request_scope({scope!r})")
            return await self._scopes[scope].get_service(interface, name)
        recipe = generation.graph.find(interface, name)
        if (needed := recipe.needs_request) is not None:
            raise ScopeError(
                f"{needed.label} lives for one request: use `async with container.request_scope() as scope` and "
                f"`await scope.get_service({interface_name(interface)})`"
            )
        try:
            service: T = await generation.provide(recipe)
        except ServiceStartError as error:
            raise error.needed_by(interface_name(interface)) from error.__cause__
        return service

    def request_scope(self, name: str | None = None, *, ready_only: bool = False) -> RequestScope:
        """Give a scope to be entered with `async with`.

        Args:
            name: For `get_service(…, scope=name)`; no two open scopes have the same.
            ready_only: Whether it makes no singleton ready. In the place of one that is not, it gives an object that
                raises `ServiceUnavailableError` when it is used.
        """
        return RequestScope(self._enter, self._leave, self._limits, name, ready_only=ready_only)

    def services(self) -> dict[str, Any]:
        """Give the singletons by their name, or else their implementation's; None for one that is not ready."""
        return _by_name(self._generation())

    def draft(self) -> Registrations:
        """Give a copy of what is registered, to be changed and then passed to `reload`."""
        draft = Registrations()
        draft._registrations = list(self)  # noqa: SLF001 - a base class of this one
        return draft

    async def reload(self, draft: Registrations, check: Check | None = None, *, may_fail: Collection[str] = ()) -> None:
        """Put other services in the place of those that have changed, and of those that are made of them.

        New request scopes see the new ones. The old ones are closed when the last scope is left that sees them. If
        this raises, everything stays as it was, and what was built for it is closed.

        Args:
            draft: What is to be registered; what it has unchanged from `draft()` is shared.
            check: Looks at the new singletons by name once they are ready.
            may_fail: Names of services that need not be ready, as for `start`.

        Raises:
            InvalidContainerError: What is registered would not fit together.
            StartFailedError: New services could not be made ready.
            ContainerClosedError: The container is closed.
            Exception: What the check raises.
        """
        async with self._reloading:
            before = self._generation()
            generation = self._build(_valid(draft), before)
            try:
                await generation.start(may_fail, fresh_only=True)
                if check is not None:
                    await check(_by_name(generation, fresh_only=True))
                self._refuse_if_closed()
            except BaseException:
                generation.retire()
                await generation.ended.wait()
                raise
            self._registrations = list(draft)
            self._current = generation
            before.retire()

    async def close(self) -> None:
        """Close all services in the reverse of the order in which they became ready; what is closed already stays so.

        Open request scopes are waited for, for some time. It goes on if whoever called it is cancelled.
        """
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())
        await asyncio.wait({self._closing})

    async def _close(self) -> None:
        if self._current is not None:
            self._current.retire()
        ends = [asyncio.ensure_future(each.ended.wait()) for each in self._living]
        if not ends:
            return
        await asyncio.wait(ends, timeout=self._scope_seconds)
        for generation in tuple(self._living):
            if generation.users:
                log.warning("services are closed while requests use them", extra={"requests": generation.users})
            generation.end()
        await asyncio.wait(ends)

    def remove(self, name: str) -> None:
        """Take a service out again, before the first is asked for.

        Raises:
            KeyError: No service has this name.
            ContainerError: It is too late.
        """
        self._refuse_if_built()
        super().remove(name)

    def _add(self, registration: Registration) -> None:
        self._refuse_if_built()
        super()._add(registration)

    def _refuse_if_built(self) -> None:
        if self._current is not None:
            raise ContainerError("services are registered before the first is asked for; later, reload a draft()")

    def _generation(self) -> Generation:
        self._refuse_if_closed()
        if self._current is None:
            self._current = self._build(_valid(self))
        return self._current

    def _build(self, graph: Graph, before: Generation | None = None) -> Generation:
        generation = Generation(graph, self._limits, before, on_end=self._living.remove)
        self._living.append(generation)
        return generation

    def _refuse_if_closed(self) -> None:
        if self._closing is not None:
            raise ContainerClosedError("the container is closed")

    def _enter(self, scope: RequestScope) -> Generation:
        generation = self._generation()
        if scope.name is not None and self._scopes.setdefault(scope.name, scope) is not scope:
            raise ScopeError(f"a request scope is called {scope.name!r} already")
        generation.acquire()
        return generation

    def _leave(self, scope: RequestScope) -> None:
        if scope.name is not None:
            del self._scopes[scope.name]


def _valid(registrations: Registrations) -> Graph:
    graph = Graph(registrations)
    if problems := problems_of_graph(graph):
        raise InvalidContainerError(problems)
    return graph


def _by_name(generation: Generation, *, fresh_only: bool = False) -> dict[str, Any]:
    singletons = generation.fresh if fresh_only else generation.singletons.values()
    return {each.recipe.registration.short: each.service for each in singletons}
