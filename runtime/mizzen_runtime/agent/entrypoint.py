"""Loads an agent out of own code: imports it, calls its factory, and tells in words what goes wrong."""

import asyncio
import concurrent.futures
import importlib
import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from difflib import get_close_matches
from types import ModuleType
from typing import Any, NoReturn

from pydantic_ai.agent import AbstractAgent
from pydantic_ai.exceptions import UserError

from mizzen_api.problems import MAX_SHOWN, Problem, shortened
from mizzen_runtime import log as logs
from mizzen_runtime.agent.models import extra_named_in, remedy_for_missing
from mizzen_runtime.agent.places import own_part, place_of_error
from mizzen_runtime.agent.start_watch import FIELD, StartWatch
from mizzen_runtime.config import ConfigRefused
from mizzen_runtime.redaction import Redactor

OwnAgent = AbstractAgent[Any, Any]

log = logging.getLogger("mizzen.start")

_EXPECTED = "name a pydantic_ai.Agent, or a function without parameters that gives one"
_MAX_LINE = 10_000


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


def load_agent(entrypoint: str, host: Host, redact: Redactor) -> OwnAgent:
    """Import own code, and call its factory if that is what the entrypoint names.

    To be called in another thread than the event loop's.

    Args:
        entrypoint: `package.module:name`.
        host: Where it runs.
        redact: Takes secrets out of what own code says when it fails.

    Raises:
        ConfigRefused: It cannot be imported, is no agent, or its factory fails.
    """
    module_name, _, name = entrypoint.partition(":")
    package = module_name.partition(".")[0]
    try:
        with StartWatch(host.seconds, package, host.give_up) as watch:
            return _Loading(module_name, name, host, redact, watch).load()
    finally:
        logs.restore(package)


class _Loading:
    """One entrypoint being loaded."""

    def __init__(self, module_name: str, name: str, host: Host, redact: Redactor, watch: StartWatch) -> None:
        self._module_name = module_name
        self._name = name
        self._host = host
        self._redact = redact
        self._watch = watch

    def load(self) -> OwnAgent:
        self._watch.doing = f"importing {self._module_name}"
        found = self._find(self._import())
        if isinstance(found, AbstractAgent):
            return found
        factory = self._factory(found)
        self._watch.doing = f"calling {self._entrypoint}"
        made = self._call(factory)
        if isinstance(made, AbstractAgent):
            return made
        raise _refused(f"{self._entrypoint} gives a value of type {_type_name(made)}, which is no agent", _EXPECTED)

    @property
    def _entrypoint(self) -> str:
        return f"{self._module_name}:{self._name}"

    def _import(self) -> ModuleType:
        try:
            return importlib.import_module(self._module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{self._module_name}.".startswith(f"{error.name}."):
                raise _refused(
                    f"there is no module {error.name!r} in this image",
                    "name the image that holds it in spec.pod.image, or correct the name",
                ) from error
            raise self._failed(error) from error
        except BaseException as error:
            raise self._failed(error) from error

    def _find(self, module: ModuleType) -> object:
        found: object = module
        owner = self._module_name
        for part in self._name.split("."):
            try:
                found = getattr(found, part)
            except AttributeError as error:
                close = get_close_matches(part, dir(found), n=1)
                remedy = f"did you mean {close[0]!r}?" if close else _EXPECTED
                raise _refused(f"{owner} has no {part!r}", remedy) from error
            except BaseException as error:
                raise self._failed(error) from error
            owner += f"{':' if owner == self._module_name else '.'}{part}"
        return found

    def _factory(self, found: object) -> Callable[[], object]:
        if isinstance(found, type) and not issubclass(found, AbstractAgent):
            raise _refused(f"{self._entrypoint} is the class {found.__qualname__}, which is no agent", _EXPECTED)
        if not callable(found):
            raise _refused(f"{self._entrypoint} is of type {_type_name(found)}, which is no agent", _EXPECTED)
        required = _required_parameters(found)
        if required:
            raise _refused(
                f"{self._entrypoint} needs {', '.join(required)}, and nothing gives it that",
                "give each parameter a default, or let the function make what it needs itself",
            )
        return found

    def _call(self, factory: Callable[[], object]) -> object:
        try:
            made = factory()
            return self._await(made) if inspect.isawaitable(made) else made
        except concurrent.futures.CancelledError:
            raise  # the process is asked to stop, and nobody waits for an agent any more
        except BaseException as error:
            raise self._failed(error) from error

    def _await(self, made: Awaitable[object]) -> object:
        """Wait for what an async factory gives.

        Raises:
            concurrent.futures.CancelledError: The event loop ends.
            BaseException: What the factory raised.
        """
        self._watch.awaited = (made, self._host.loop_thread)
        result, error = asyncio.run_coroutine_threadsafe(_outcome_of(made), self._host.loop).result()
        self._watch.awaited = None
        if error is not None:
            raise error
        return result

    def _failed(self, error: BaseException) -> ConfigRefused:
        """Log the whole traceback, and give the refusal with its last line."""
        package = self._module_name.partition(".")[0]
        logs.restore(package)  # own code may have silenced it before it failed
        lines = traceback.format_exception(type(error), error, own_part(error.__traceback__))
        told = [shortened(line, _MAX_LINE) for line in self._redact("".join(lines)).splitlines()]
        log.error("%s failed", self._watch.doing, extra={"traceback": told})
        last = self._redact(" ".join("".join(traceback.format_exception_only(error)).split()))
        place = place_of_error(error, package)
        # The place first: a long text is cut.
        return _refused(f"{self._watch.doing} failed{f' at {place}' if place else ''}: {last}", _remedy_for(error))


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


def _remedy_for(error: BaseException) -> str:
    if isinstance(error, ImportError) and (extra := extra_named_in(error)):
        return remedy_for_missing(extra)
    if isinstance(error, ModuleNotFoundError):
        return "install it in the image"
    if isinstance(error, UserError):
        return "a key belongs in spec.pod.env, from a Secret; or name the models in spec.models and none in the code"
    return "the pod's log has the whole traceback; mend the code and build its image anew"


def _type_name(value: object) -> str:
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    return shortened(name, MAX_SHOWN)


def _refused(message: str, remedy: str) -> ConfigRefused:
    return ConfigRefused([Problem(field=FIELD, message=message, remedy=remedy)])
