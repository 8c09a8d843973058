"""The agent's services while the process lives: started, pinged, reloaded, closed."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from mizzen_api.problems import Problem
from mizzen_api.timing import SERVICES_CLOSE_SECONDS
from mizzen_runtime.container import (
    AgentServices,
    ContainerError,
    DependencyContainer,
    Registrations,
    RequestScope,
    StartFailedError,
)
from mizzen_runtime.container.registration import Registration, Scope
from mizzen_runtime.metrics import ServiceMetrics
from mizzen_runtime.mounted_files import TakeUp
from mizzen_runtime.reloads import Reloads
from mizzen_runtime.service_health import ServiceHealth, ServiceState, ping
from mizzen_runtime.service_wiring import ServiceDefinition, register
from mizzen_runtime.settings_fields import AgentName

log = logging.getLogger("mizzen.services")


class _UnhealthyError(Exception):
    """New services are not healthy, so that the old ones stay."""


class RunningServices:
    """All services of one agent."""

    def __init__(
        self, definitions: Sequence[ServiceDefinition], agent: AgentName, metrics: ServiceMetrics, reloads: Reloads
    ) -> None:
        """Start nothing yet.

        Args:
            definitions: What `spec.services` stands for.
            agent: Whose services they are.
            metrics: Where pings are counted.
            reloads: Where attempts to take up changes are noted.
        """
        self._definitions = {definition.service.name: definition for definition in definitions}
        self._agent = agent
        self._reloads = reloads
        self._container = DependencyContainer()
        self._tasks: list[asyncio.Task[None]] = []
        self._singletons = [each for each in definitions if each.service.scope == "singleton"]
        self._health = ServiceHealth(((each.service.name, each.service.required) for each in self._singletons), metrics)

    def wire(self, deps_type: Callable[..., Any] | None, *, are_all: bool = True) -> tuple[Problem, ...]:
        """Read the settings and check that everything fits together; opens nothing.

        Args:
            deps_type: What the agent wants as its dependencies, if anything.
            are_all: Whether these are all services of the resource. If not, those that are lacking are known to be,
                and what needs them is not told.
        """
        problems: list[Problem] = []
        for definition in self._definitions.values():
            if wrong := register(definition, self._container, self._agent):
                problems.extend(wrong)
                # Its settings are not told as missing once more, and all others are checked with it.
                _replace(_without_settings(definition), self._container)
        if not are_all:
            return tuple(problems)
        consumers = () if deps_type in {None, AgentServices} else (deps_type,)
        return (*problems, *self._container.validate(*filter(None, consumers)))

    async def start(self) -> None:
        """Begin to make the services ready. It goes on in the background: one that is away may come back."""
        for definition in self._singletons:
            provide = partial(self._container.get_service, definition.interface, name=definition.service.name)
            watching = self._health.watch(definition.service.name, provide)
            self._tasks.append(asyncio.create_task(watching))

    def watched(self) -> Iterator[tuple[Path, TakeUp]]:
        """Give the folders that hold settings, with what takes up their changes."""
        for definition in self._definitions.values():
            yield from ((Path(source.path), self.reload) for source in definition.service.sources)

    async def close(self) -> None:
        """Close all services, each within its time, and all within `SERVICES_CLOSE_SECONDS`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        closing = asyncio.ensure_future(self._container.close())
        if not (await asyncio.wait({closing}, timeout=SERVICES_CLOSE_SECONDS))[0]:
            log.warning("services did not close in time", extra={"seconds": SERVICES_CLOSE_SECONDS})

    def request_scope(self) -> RequestScope:
        """Give the scope of one run, which does not wait for a service that is away: that is done in the background."""
        return self._container.request_scope(ready_only=True)

    @property
    def states(self) -> Mapping[str, ServiceState]:
        """How each is that lives as long as the process, by name."""
        return self._health.states

    @property
    def ready(self) -> bool:
        """Whether requests may come."""
        return self._health.ready

    @property
    def missing(self) -> str | None:
        """Name a service without which no request can be answered now; None if there is none."""
        return self._health.missing

    async def reload(self) -> bool:
        """Take up changed settings of services, unless what they make is not healthy.

        Those of several services are put in force together, since one may be made of another; if that fails, each by
        itself. What cannot be put in force leaves all as it was, and is noted.

        Returns:
            Whether all that the files hold is in force.
        """
        changed: dict[str, Registration] = {}
        outcomes: dict[str, tuple[Problem, ...]] = {}
        for name in self._definitions:
            registration, problems = self._read(name)
            if registration is not None:
                changed[name] = registration
            elif problems or self._reloads.has_failed(_subject(name)):
                outcomes[name] = problems
        outcomes |= await self._take_up(changed)
        noted = [self._reloads.note(_subject(name), problems) for name, problems in outcomes.items()]
        return all(noted)

    def _read(self, name: str) -> tuple[Registration | None, tuple[Problem, ...]]:
        """Give a service as the files have it, unless it is in force like that; or what is wrong with them."""
        read = Registrations()
        try:
            if problems := register(self._definitions[name], read, self._agent):
                return None, problems
            (registration,) = read
            is_in_force = any(each.name == name and each.kwargs == registration.kwargs for each in self._container)
        except Exception as error:  # own code checks settings
            log.exception("settings could not be read", extra={"service": name})
            return None, (self._not_taken_up(name, f"reading them raised {type(error).__qualname__}"),)
        return None if is_in_force else registration, ()

    async def _take_up(self, changed: Mapping[str, Registration]) -> dict[str, tuple[Problem, ...]]:
        """Put services in force, and give for each why it is not."""
        fault = await self._put_in_force(changed.values()) if changed else None
        faults: dict[str, str | None] = dict.fromkeys(changed, fault)
        if fault is not None and len(changed) > 1:
            faults = {name: await self._put_in_force([each]) for name, each in changed.items()}
        return {name: () if fault is None else (self._not_taken_up(name, fault),) for name, fault in faults.items()}

    async def _put_in_force(self, changed: Collection[Registration]) -> str | None:
        """Put services in the place of those with their names; give why all stays as it was, or None."""
        draft = self._container.draft()
        dispensable = self._dispensable()
        try:
            for each in changed:
                _replace(each, draft)
            await self._container.reload(draft, partial(self._check, dispensable), may_fail=dispensable)
        except StartFailedError as error:
            return "; ".join(f"{failure.path[-1]}: {failure.reason}" for failure in error.failures)
        except (_UnhealthyError, ContainerError) as error:
            return str(error)
        except Exception as error:  # own code may raise what it likes, and the text may hold a secret
            log.exception("changed settings could not be put in force")
            return f"{type(error).__qualname__} was raised"
        for each in changed:
            self._reset_breaker(each.short)
        return None

    def _reset_breaker(self, name: str) -> None:
        """Let a service with new settings be asked: those before failed, not these."""
        if (breaker := self._definitions[name].breaker) is not None:
            breaker.reset()

    def _not_taken_up(self, name: str, fault: str) -> Problem:
        definition = self._definitions[name]
        sources = " and ".join(f"{source.kind} {source.name!r}" for source in definition.service.sources)
        return Problem(
            field=definition.field,
            message=f"the changed settings of service {name!r} in {sources} are not taken up: {fault}",
            remedy=f"correct {sources}; until then the settings before stay in force",
        )

    def _dispensable(self) -> frozenset[str]:
        """Name the services that may be put in force although they are not healthy: there is nothing to lose.

        One that the agent does without and that is not healthy now must not keep others from their new settings, which
        it may be made of. One that works stays until its own new settings do.
        """
        states = self._health.states.values()
        return frozenset(each.name for each in states if each.required == "Never" and not each.healthy)

    async def _check(self, dispensable: frozenset[str], fresh: Mapping[str, Any]) -> None:
        needed = [name for name in fresh if name not in dispensable]
        faults = await asyncio.gather(*(ping(fresh[name]) for name in needed))
        told = [f"{name}: {fault}" for name, fault in zip(needed, faults, strict=True) if fault is not None]
        if told:
            raise _UnhealthyError("; ".join(told))


def _without_settings(definition: ServiceDefinition) -> Registration:
    taken = {definition.settings[0]: None} if definition.settings is not None else {}
    service = definition.service
    return Registration(definition.interface, definition.make, Scope(service.scope), service.name, kwargs=taken)


def _subject(name: str) -> str:
    return f"service {name!r}"


def _replace(registration: Registration, draft: Registrations) -> None:
    """Put a service in the place of the one with its name, if there is one."""
    with suppress(KeyError):
        draft.remove(registration.short)
    draft.register_factory(
        registration.interface,
        registration.implementation,
        *registration.args,
        name=registration.name,
        scope=registration.scope,
        wrap=registration.wrap,
        **registration.kwargs,
    )
