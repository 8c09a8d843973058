"""A service that all share: made once, however many ask for it at the same time."""

import asyncio
from collections.abc import Mapping
from contextvars import Context
from itertools import count
from typing import Any

from mizzen_runtime.container.building import Limits, make
from mizzen_runtime.container.closing import Closing, Opened
from mizzen_runtime.container.errors import ContainerClosedError, ContainerError, ServiceStartError
from mizzen_runtime.container.graph import Recipe
from mizzen_runtime.container.registration import Scope

_numbers = count(1)


class Singleton:
    """One service, with the transient ones that it was made of."""

    def __init__(self, recipe: Recipe, needed: Mapping[Recipe, "Singleton"], limits: Limits) -> None:
        """Make nothing yet.

        Args:
            recipe: How it is made.
            needed: The others that it is made of.
            limits: How long it may take.
        """
        self.recipe = recipe
        self.users = 0
        """Generations that it belongs to; without any it is over."""
        self.service: Any = None
        self.is_ready = False
        self.number = 0
        """Its place in the order in which services became ready."""
        self.opened: list[Opened] = []
        """What is to be closed once it has no users."""
        self._needed = needed
        self._limits = limits
        self._making: asyncio.Task[ContainerError | None] | None = None

    async def get(self) -> Any:
        """Give the service, ready for use.

        Raises:
            ServiceStartError: It could not be made ready; it is tried again when it is asked for again.
            ContainerClosedError: It is over.
        """
        if self.is_ready:
            return self.service
        making = self.begin()
        await asyncio.wait({making})  # whoever is cancelled here leaves it to the others
        error = self.failure(making)
        if isinstance(error, ServiceStartError):
            # A copy: each who waits adds its own way here.
            raise ServiceStartError(error.path, error.reason) from error.__cause__
        if error is not None:
            raise error
        return self.service

    def begin(self) -> "asyncio.Task[ContainerError | None]":
        """Have the service made, unless it is or was; in a context of its own, since it outlives whoever asks."""
        if self._making is None or (self._making.done() and not self.is_ready):
            if not self.users:
                raise self._over()
            self._making = asyncio.get_running_loop().create_task(self._make(), context=Context())
        return self._making

    def failure(self, making: "asyncio.Task[ContainerError | None]") -> ContainerError | None:
        """Tell why an attempt that has ended came to nothing; None if it did not."""
        return self._over() if making.cancelled() else making.result()

    def give_up(self) -> "asyncio.Task[ContainerError | None] | None":
        """Cancel what is being made; give the task to wait for, if there is any."""
        if self._making is None or self._making.done():
            return None
        self._making.cancel()
        return self._making

    async def _make(self) -> ContainerError | None:
        opened: list[Opened] = []
        try:
            for needed in self._needed.values():
                needed.begin()  # all at the same time; below they are waited for one by one
            service = await make(self.recipe, lambda recipe: self._provide(recipe, opened), opened, self._limits)
        except ContainerError as error:
            await self._close(opened)
            return error
        except BaseException:
            await self._close(opened)
            raise
        wrap = self.recipe.registration.wrap
        self.service = service if wrap is None else wrap(service)
        self.number, self.opened, self.is_ready = next(_numbers), opened, True
        return None

    async def _provide(self, recipe: Recipe, opened: list[Opened]) -> Any:
        if recipe.scope is Scope.SINGLETON:
            return await self._needed[recipe].get()
        return await make(recipe, lambda needed: self._provide(needed, opened), opened, self._limits)

    async def _close(self, opened: list[Opened]) -> None:
        await Closing(opened, self._limits.close_seconds, self._limits.on_close_failure).wait()

    def _over(self) -> ContainerClosedError:
        return ContainerClosedError(f"{self.recipe.label} is not to be had any more: the container closes")
