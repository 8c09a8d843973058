"""Generations: the services of one state of the configuration, which end when the last request ends that uses them.

A swap builds anew what has changed and what depends on that; all else is shared by both generations.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any

from mizzen_runtime.container.building import Limits, make
from mizzen_runtime.container.closing import GRACE_SECONDS, Closing, Opened
from mizzen_runtime.container.errors import ContainerClosedError, ServiceStartError, StartFailedError
from mizzen_runtime.container.graph import Graph, Recipe
from mizzen_runtime.container.registration import Registration, Scope
from mizzen_runtime.container.singleton import Singleton
from mizzen_runtime.container.validation import ROOT

log = logging.getLogger("mizzen.services")


class Generation:
    """All services as one state of the configuration has them."""

    def __init__(
        self,
        graph: Graph,
        limits: Limits,
        before: "Generation | None" = None,
        *,
        on_end: "Callable[[Generation], None]",
    ) -> None:
        """Build nothing yet.

        Args:
            graph: Which services there are; without problems.
            limits: How long each may take.
            before: The generation whose place this one takes. What is the same in both is shared.
            on_end: Is called when all that it alone used is closed.
        """
        self.graph = graph
        self.singletons: dict[Recipe, Singleton] = {}
        self.fresh: list[Singleton] = []
        """Those that it does not share with the one before."""
        self._opened: list[Opened] = []
        """Transient services that were asked for without a request scope; no singleton is made of them."""
        self._limits = limits
        self._on_end = on_end
        self._users = 0
        self._is_retired = False
        self._ending: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()
        """Set when all that it alone used is closed."""
        shared = _shared(graph, before) if before is not None else {}
        for recipe in graph.recipes:
            if recipe.scope is Scope.SINGLETON:
                self._add(recipe, shared)
        for singleton in self.singletons.values():
            singleton.users += 1

    def _add(self, recipe: Recipe, shared: dict[Recipe, Singleton]) -> Singleton:
        if recipe in self.singletons:
            return self.singletons[recipe]
        singleton = shared.get(recipe)
        if singleton is None:
            needed = {each: self._add(each, shared) for each in recipe.singletons}
            singleton = Singleton(recipe, needed, self._limits)
            self.fresh.append(singleton)
        self.singletons[recipe] = singleton
        return singleton

    async def start(self, may_fail: Collection[str] = (), *, fresh_only: bool = False) -> None:
        """Get all services ready, at the same time where none needs the other.

        Args:
            fresh_only: Only those that it does not share with the one before.
            may_fail: Names of services that need not be ready; whoever asks for one has it tried again.

        Raises:
            StartFailedError: With every service that could not be made ready. What is ready stays so.
        """
        singletons = self.fresh if fresh_only else self.singletons.values()
        attempts = [(each, each.begin()) for each in singletons]
        if not attempts:
            return
        await asyncio.wait([making for _, making in attempts])
        failures: list[ServiceStartError] = []
        for singleton, making in attempts:
            error = singleton.failure(making)
            if error is None:
                continue
            if not isinstance(error, ServiceStartError):
                raise error
            if singleton.recipe.registration.name in may_fail:
                told = {"service": singleton.recipe.label, "reason": error.reason}
                log.warning("a service is not ready", extra=told, exc_info=error.__cause__)
            else:
                failures.append(error.needed_by(ROOT))
        if failures:
            raise StartFailedError(_one_for_each_cause(failures))

    async def provide(self, recipe: Recipe) -> Any:
        """Give a singleton, or a transient service that is closed with this generation.

        Raises:
            ServiceStartError: It could not be made ready.
            ContainerClosedError: The generation is over.
        """
        if recipe.scope is Scope.SINGLETON:
            return await self.singletons[recipe].get()
        self.acquire()
        try:
            return await self._make(recipe)
        finally:
            self.release()

    async def _make(self, recipe: Recipe) -> Any:
        opened: list[Opened] = []  # its own until it is ready: nobody closes what still initializes
        try:
            service = await make(recipe, self.provide, opened, self._limits)
        except BaseException:
            await self._close(opened)
            raise
        if self._ending is not None:
            await self._close(opened)
            raise ContainerClosedError(f"the container was closed before {recipe.label} was ready")
        self._opened += opened
        return service

    def acquire(self) -> None:
        """Note that somebody uses its services from now on."""
        self._users += 1

    def release(self) -> None:
        """Note that one who did does so no more."""
        self._users -= 1
        if self._is_retired and not self._users:
            self.end()

    @property
    def users(self) -> int:
        """How many use its services now."""
        return self._users

    def retire(self) -> None:
        """Let it end when nobody uses it any more; nobody new will."""
        self._is_retired = True
        if not self._users:
            self.end()

    def end(self) -> None:
        """Close what it alone uses, now, in a task of its own; nothing happens if that was begun before."""
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end())

    async def _end(self) -> None:
        await self._close(self._opened)
        left = list(self.singletons.values())
        # What others use too is let go last: until then, what is closed here may still need it. If the others have
        # ended by then, it is closed here as well.
        while own := [each for each in left if each.users == 1]:
            left = [each for each in left if each.users > 1]
            await self._end_singletons(own)
        for singleton in left:
            singleton.users -= 1
        self.ended.set()
        self._on_end(self)

    async def _end_singletons(self, singletons: list[Singleton]) -> None:
        for singleton in singletons:
            singleton.users = 0
        making = [task for each in singletons if (task := each.give_up()) is not None]
        if making:
            # Each closes what it has opened itself; one that cannot be cancelled does so whenever it comes back.
            await asyncio.wait(making, timeout=self._limits.close_seconds + 2 * GRACE_SECONDS)
        singletons.sort(key=lambda each: each.number)
        await self._close([each for singleton in singletons for each in singleton.opened])

    async def _close(self, opened: list[Opened]) -> None:
        await Closing(opened, self._limits.close_seconds, self._limits.on_close_failure).wait()


def _shared(graph: Graph, before: Generation) -> dict[Recipe, Singleton]:
    """Give those singletons of a generation that are the same in another graph."""
    known = {each.registration: each for each in before.graph.recipes}
    same: dict[Recipe, bool] = {}
    for recipe in graph.recipes:
        _is_same(recipe, known, same)
    return {
        recipe: before.singletons[known[recipe.registration]]
        for recipe, is_same in same.items()
        if is_same and recipe.scope is Scope.SINGLETON
    }


def _is_same(recipe: Recipe, known: dict[Registration, Recipe], same: dict[Recipe, bool]) -> bool:
    """Tell whether a service is registered as before, and made of the same services, of which each is too."""
    if recipe not in same:
        old = known.get(recipe.registration)
        same[recipe] = (
            old is not None
            and _wiring(recipe) == _wiring(old)
            and all(_is_same(each, known, same) for _, each in recipe.plan.dependencies)
        )
    return same[recipe]


def _wiring(recipe: Recipe) -> list[tuple[str, Registration]]:
    return [(parameter, each.registration) for parameter, each in recipe.plan.dependencies]


def _one_for_each_cause(failures: list[ServiceStartError]) -> list[ServiceStartError]:
    """Keep one failure for each service that failed by itself: that with the longest way to it."""
    longest: dict[str, ServiceStartError] = {}
    for failure in failures:
        known = longest.get(failure.path[-1])
        if known is None or len(failure.path) > len(known.path):
            longest[failure.path[-1]] = failure
    return list(longest.values())
