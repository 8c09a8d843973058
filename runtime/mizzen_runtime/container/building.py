"""Making one service: its constructor or factory, then its `initialize()`, within its time."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from mizzen_runtime.container.closing import GRACE_SECONDS, OnCloseFailure, Opened
from mizzen_runtime.container.errors import ServiceStartError
from mizzen_runtime.container.graph import Plan, Recipe
from mizzen_runtime.services import ServiceError
from mizzen_runtime.services.conformance import conformance_problems


@dataclass(frozen=True)
class Limits:
    """How long services may take, and who is told when one fails to close."""

    initialize_seconds: float
    close_seconds: float
    on_close_failure: OnCloseFailure | None


Provide = Callable[[Recipe], Awaitable[Any]]
"""Gives the service that a recipe makes, as whoever needs it shares it with others."""


async def arguments_of(plan: Plan, provide: Provide) -> dict[str, Any]:
    """Give the services that fill open parameters."""
    return {parameter: await provide(each) for parameter, each in plan.dependencies}


async def make(recipe: Recipe, provide: Provide, opened: list[Opened], limits: Limits) -> Any:
    """Make a service and get it ready.

    Args:
        recipe: Which one.
        provide: Gives the services that it needs.
        opened: Takes what must be closed later, whether this succeeds or not.
        limits: How long it may take, without the time for the services that it needs.

    Raises:
        ServiceStartError: It, or one that it needs, could not be made ready.
    """
    try:
        arguments = await arguments_of(recipe.plan, provide)
    except ServiceStartError as error:
        raise error.needed_by(recipe.label) from error.__cause__
    service = construct(recipe, arguments)
    if not isinstance(recipe.registration.implementation, type) and inspect.isawaitable(service):
        service = await _in_time(recipe, "its factory", service, limits)
    note_opened(recipe, service, opened)
    if not recipe.conforms:
        _look_at(recipe, service)
    if (initialize := getattr(service, "initialize", None)) is not None:
        await _in_time(recipe, "its initialize()", initialize(), limits)
    return service


def construct(recipe: Recipe, arguments: dict[str, Any]) -> Any:
    """Call an implementation.

    Raises:
        ServiceStartError: It raised something.
    """
    try:
        return recipe.call(**arguments)
    except BaseException as error:  # own code may even ask Python to exit
        raise _failure(recipe, "it", error) from error


def note_opened(recipe: Recipe, service: Any, opened: list[Opened]) -> None:
    """Note how a service is closed, if there is anything to close."""
    if (close := getattr(service, "close", None)) is not None:
        opened.append((close, recipe.registration))


def _look_at(recipe: Recipe, service: Any) -> None:
    """Check what a factory made that does not say what it makes."""
    problems = conformance_problems(recipe.registration.interface, type(service), recipe.label)
    if problems:
        raise ServiceStartError((recipe.label,), "; ".join(f"{each.message}: {each.remedy}" for each in problems))
    recipe.conforms = True


async def _in_time(recipe: Recipe, what: str, work: Awaitable[Any], limits: Limits) -> Any:
    """Wait for own code, as long as it may take, and a little for its end if it has to be cancelled."""
    task = asyncio.ensure_future(_guarded(work))
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody may be left to look at it
    try:
        done, _ = await asyncio.wait({task}, timeout=limits.initialize_seconds)
        if done:
            return task.result()
    except _ExitedError as error:
        raise _failure(recipe, what, error.__cause__ or error) from error.__cause__
    except Exception as error:
        raise _failure(recipe, what, error) from error
    finally:
        if not task.done():
            await _end(task)
    raise ServiceStartError((recipe.label,), f"{what} took longer than {limits.initialize_seconds:g} s")


class _ExitedError(Exception):
    """Own code raised what would end the event loop, or was cancelled; the cause says what."""


async def _guarded(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except Exception:
        raise
    except BaseException as error:
        raise _ExitedError from error


async def _end(task: asyncio.Future[Any]) -> None:
    """Cancel a task and wait for it; not for one that goes on all the same."""
    task.cancel()
    await asyncio.wait({task}, timeout=GRACE_SECONDS)


def _failure(recipe: Recipe, what: str, error: BaseException) -> ServiceStartError:
    """Say which service failed; a ServiceError's text is ours, any other's may hold a secret."""
    reason = str(error) if isinstance(error, ServiceError) else f"{what} raised {type(error).__qualname__}"
    return ServiceStartError((recipe.label,), reason)
