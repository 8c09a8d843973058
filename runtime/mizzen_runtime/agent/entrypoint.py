"""Loads an agent out of own code: imports it, calls its factory, and tells in words what goes wrong."""

import asyncio
import concurrent.futures
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic_ai.agent import AbstractAgent

from mizzen_api.problems import MAX_SHOWN, Problem, shortened
from mizzen_runtime.agent.own_base import FIELD, OwnBase, maker_of
from mizzen_runtime.own_code.imports import OwnCode, OwnCodeLoader
from mizzen_runtime.own_code.start_watch import StartWatch
from mizzen_runtime.production_agent import AgentConfig, ProductionAgentBase

OwnAgent = AbstractAgent[Any, Any]

_AGENTS = (AbstractAgent, ProductionAgentBase)
_EXPECTED = (
    "name a pydantic_ai.Agent, a class that derives from ProductionAgentBase, or a function without parameters that "
    "gives an agent"
)


@dataclass(frozen=True)
class Host:
    """What the process gives to own code at its start."""

    loop: asyncio.AbstractEventLoop
    """The server's event loop: an async factory runs on it, since its clients and pools belong there."""
    loop_thread: int
    """The thread that it runs in."""
    seconds: float
    """How long import and factory may take together."""
    give_up: Callable[[Problem], NoReturn]
    """Ends the process, from whatever thread, and says why."""


def load_agent(
    entrypoint: str, host: Host, loader: OwnCodeLoader, name: str, config: AgentConfig
) -> OwnAgent | OwnBase:
    """Import own code, and call its factory or its class if that is what the entrypoint names.

    To be called in another thread than the event loop's.

    Args:
        entrypoint: `package.module:name`.
        host: Where it runs.
        loader: Loads it.
        name: What the agent is called.
        config: What it may take.

    Raises:
        ConfigRefused: It cannot be imported, is no agent, or its factory fails.
    """
    code = loader.named(entrypoint, FIELD, _EXPECTED)
    found = code.load()
    if isinstance(found, _AGENTS):
        return found
    if isinstance(found, type) and issubclass(found, ProductionAgentBase):
        factory: Callable[[], object] = maker_of(code, found, name, config)
    else:
        factory = _factory(code, found)
    loader.watch.doing = f"calling {entrypoint}"
    made = _call(code, factory, host, loader.watch)
    loader.restore_log(entrypoint.partition(":")[0].partition(".")[0])  # it may have set up the log in its own way
    if isinstance(made, _AGENTS):
        return made
    raise code.refused(f"{entrypoint} gives a value of type {_type_name(made)}, which is no agent")


def _factory(code: OwnCode, found: object) -> Callable[[], object]:
    if isinstance(found, type) and not issubclass(found, AbstractAgent):
        raise code.refused(f"{code.path} is the class {found.__qualname__}, which is no agent")
    if not callable(found):
        raise code.refused(f"{code.path} is of type {_type_name(found)}, which is no agent")
    required = _required_parameters(found)
    if required:
        raise code.refused(
            f"{code.path} needs {', '.join(required)}, and nothing gives it that",
            "give each parameter a default, or let the function make what it needs itself",
        )
    return found


def _call(code: OwnCode, factory: Callable[[], object], host: Host, watch: StartWatch) -> object:
    try:
        made = factory()
        return _wait_for(made, host, watch) if inspect.isawaitable(made) else made
    except concurrent.futures.CancelledError:
        raise  # the process is asked to stop, and nobody waits for an agent any more
    except BaseException as error:
        raise code.failed(error) from error


def _wait_for(made: Awaitable[object], host: Host, watch: StartWatch) -> object:
    """Wait for what an async factory gives.

    Raises:
        concurrent.futures.CancelledError: The event loop ends.
        BaseException: What the factory raised.
    """
    watch.awaited = (made, host.loop_thread)
    result, error = asyncio.run_coroutine_threadsafe(_outcome_of(made), host.loop).result()
    watch.awaited = None
    if error is not None:
        raise error
    return result


async def _outcome_of(awaited: Awaitable[object]) -> tuple[object, BaseException | None]:
    """Hand over also what would end the event loop, such as `SystemExit`."""
    try:
        return await awaited, None
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return None, error
    except BaseException as error:  # noqa: BLE001 - it is raised again where it was asked for
        return None, error


def _required_parameters(function: Callable[..., object]) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return []
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is each.empty and each.kind not in optional]


def _type_name(value: object) -> str:
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    return shortened(name, MAX_SHOWN)
