"""Services that are reloaded: which, together with which others, and what stays as it was."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, Protocol

import pytest
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from mizzen_api.breakers import DEFAULT_BREAKER
from mizzen_api.contract import RuntimeService
from mizzen_runtime import running_services
from mizzen_runtime.breakers import Breakers, State
from mizzen_runtime.dependencies import Dependencies
from mizzen_runtime.metrics import ServiceMetrics
from mizzen_runtime.reloads import Reloads
from mizzen_runtime.running_services import RunningServices
from mizzen_runtime.service_wiring import ServiceDefinition
from mizzen_runtime.services import ServiceUnavailableError
from mizzen_runtime.settings_fields import AgentName

pytestmark = pytest.mark.anyio


class Settings(BaseModel):
    value: str = ""


class Base:
    def __init__(self, settings: Settings) -> None:
        self.value = settings.value

    async def initialize(self) -> None:
        if self.value == "wrong":
            raise ServiceUnavailableError("the server is away")


class Extra(Base):
    """Made of the other one, and up or away by itself."""

    def __init__(self, settings: Settings, base: Base) -> None:
        super().__init__(settings)
        self.base = base


def definition_of(folder: Path, index: int, name: str, kind: type[Base], **fields: str) -> ServiceDefinition:
    source = {"kind": "Secret", "name": name, "path": str(folder / name)}
    service = {"name": name, "interface": "i", "implementation": "i", "sources": [source], **fields}
    return ServiceDefinition(
        RuntimeService.model_validate(service), f"spec.services[{index}]", kind, kind, ("settings", Settings)
    )


@asynccontextmanager
async def running(folder: Path, required: str, **values: str) -> AsyncIterator[RunningServices]:
    """An agent's services `base` and `extra`, once both were pinged."""
    definitions = []
    for index, (name, kind) in enumerate((("base", Base), ("extra", Extra))):
        write(folder, name, values[name])
        definitions.append(definition_of(folder, index, name, kind, **({"required": required} if index else {})))
    metrics = ServiceMetrics(CollectorRegistry())
    reloads = Reloads(metrics.count_reload)
    services = RunningServices(definitions, AgentName("support", "triage"), metrics, reloads)
    assert services.wire(None) == ()
    for definition in definitions:
        name = definition.service.name
        services._health.note(name, "the server is away" if values[name] == "wrong" else None)
    await services._container.start(may_fail=values)
    yield services
    await services.close()


def failures(services: RunningServices) -> list[str]:
    return [str(each) for each in services._reloads.failures]


def write(folder: Path, name: str, value: str) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "value").write_text(value)


async def value_of(services: RunningServices, kind: type[Base]) -> str:
    async with services.request_scope() as scope:
        return (await scope.get_service(kind)).value


async def test_what_the_agent_does_without_keeps_no_other_from_its_new_settings(tmp_path: Path) -> None:
    async with running(tmp_path, "Never", base="old", extra="wrong") as services:
        write(tmp_path, "base", "new")
        assert await services.reload()
        assert await value_of(services, Base) == "new"


async def test_what_the_agent_needs_does_until_it_is_healthy(tmp_path: Path) -> None:
    async with running(tmp_path, "AtStart", base="old", extra="wrong") as services:
        write(tmp_path, "base", "new")
        assert not await services.reload()
        assert await value_of(services, Base) == "old"


async def test_what_works_stays_until_its_new_settings_do_although_the_agent_does_without(tmp_path: Path) -> None:
    async with running(tmp_path, "Never", base="old", extra="old") as services:
        write(tmp_path, "extra", "wrong")
        assert not await services.reload()
        assert await value_of(services, Extra) == "old"


async def test_a_service_that_is_away_and_not_needed_takes_its_new_settings_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, "Never", base="old", extra="wrong") as services:
        write(tmp_path, "extra", "new")
        assert await services.reload()
        assert await value_of(services, Extra) == "new"


async def test_two_that_are_made_of_each_other_and_were_both_wrong_are_mended_together(tmp_path: Path) -> None:
    async with running(tmp_path, "AtStart", base="wrong", extra="wrong") as services:
        for name in ("base", "extra"):
            write(tmp_path, name, "new")
        assert await services.reload()
        assert [await value_of(services, kind) for kind in (Base, Extra)] == ["new", "new"]


async def test_one_that_is_wrong_keeps_no_other_that_changed_with_it(tmp_path: Path) -> None:
    async with running(tmp_path, "AtStart", base="old", extra="old") as services:
        write(tmp_path, "base", "new")
        write(tmp_path, "extra", "wrong")
        assert not await services.reload()
        assert [await value_of(services, kind) for kind in (Base, Extra)] == ["new", "old"]
        (told,) = failures(services)
        assert told.startswith(
            "spec.services[1]: the changed settings of service 'extra' in Secret 'extra' are not taken"
        )

        write(tmp_path, "extra", "old")
        assert await services.reload()
        assert failures(services) == []


async def test_what_has_not_changed_stays_what_it_is(tmp_path: Path) -> None:
    async with running(tmp_path, "AtStart", base="old", extra="old") as services:
        async with services.request_scope() as scope:
            base, extra = await scope.get_service(Base), await scope.get_service(Extra)
        write(tmp_path, "base", "old")
        write(tmp_path, "extra", "new")
        assert await services.reload()
        async with services.request_scope() as scope:
            assert await scope.get_service(Base) is base
            assert await scope.get_service(Extra) is not extra


async def test_what_is_raised_unexpectedly_is_told_and_the_service_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, "AtStart", base="old", extra="old") as services:
        for raising in (services._container, running_services):
            write(tmp_path, "extra", "new")
            with monkeypatch.context() as patch:
                patch.setattr(raising, "reload" if raising is services._container else "register", fail)
                assert not await services.reload()
            assert failures(services)
            assert all("LookupError" in told and "PASSWORD" not in told for told in failures(services))
            assert await value_of(services, Extra) == "old"
        assert await services.reload()
        assert failures(services) == []
        assert await value_of(services, Extra) == "new"


async def test_settings_without_which_nothing_is_registered_take_no_service_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, "AtStart", base="old", extra="old") as services:
        with monkeypatch.context() as patch:
            patch.setattr(running_services, "register", lambda *_: ())
            assert not await services.reload()
        assert await value_of(services, Base) == "old"
        write(tmp_path, "base", "new")
        assert await services.reload()
        assert await value_of(services, Base) == "new"


class Lacking(Base):
    """Made of what is not there."""

    def __init__(self, settings: Settings, unknown: Settings | int) -> None:
        super().__init__(settings)
        self.unknown = unknown


async def test_wrong_settings_of_one_hide_nothing_that_is_wrong_with_others(tmp_path: Path) -> None:
    definitions = []
    for index, (name, kind) in enumerate((("base", Base), ("extra", Extra), ("lacking", Lacking))):
        definitions.append(definition_of(tmp_path, index, name, kind))
        write(tmp_path, name, "old")
    (tmp_path / "base" / "value").rename(tmp_path / "base" / "valu")
    metrics = ServiceMetrics(CollectorRegistry())
    reloads = Reloads(metrics.count_reload)
    services = RunningServices(definitions, AgentName("support", "triage"), metrics, reloads)
    told = [each.field for each in services.wire(None)]
    assert told == ["Secret 'base', key 'valu'", "AgentServices -> lacking (Lacking) -> unknown"]


class Asked(Protocol):
    """What is behind a breaker."""

    async def ask(self) -> str:
        """Ask it."""
        ...


class Askable(Base):
    async def ask(self) -> str:
        if self.value == "away":
            raise ServiceUnavailableError("the server is away")
        return self.value


async def test_new_settings_close_a_breaker_and_settings_that_are_not_taken_up_do_not(tmp_path: Path) -> None:
    breakers = Breakers()
    breaker = breakers.add("service:asked", DEFAULT_BREAKER)
    definition = replace(definition_of(tmp_path, 0, "asked", Askable), interface=Asked, breaker=breaker)
    write(tmp_path, "asked", "away")
    metrics = ServiceMetrics(CollectorRegistry())
    services = RunningServices([definition], AgentName("support", "triage"), metrics, Reloads(metrics.count_reload))
    assert services.wire(None) == ()

    async def ask() -> str:
        async with services.request_scope() as scope:
            return await (await scope.get_service(Asked)).ask()

    await services._container.start()
    for _ in range(5):
        with pytest.raises(ServiceUnavailableError, match="the server is away"):
            await ask()
    with pytest.raises(ServiceUnavailableError, match="its breaker is open"):
        await ask()

    write(tmp_path, "asked", "wrong")
    assert not await services.reload()
    assert breaker.state_now().state is State.OPEN
    write(tmp_path, "asked", "new")
    assert await services.reload()
    assert await ask() == "new"
    await services.close()


@dataclass
class Deps:
    base: Base
    extra: Extra


async def test_a_run_does_not_wait_for_what_it_does_without_and_is_told_when_it_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, "Never", base="old", extra="wrong") as services:
        monkeypatch.setattr(Extra, "initialize", fail)
        given = Dependencies(services, Deps).for_run()
        assert given is not None
        async with given as deps:
            assert deps.base.value == "old"
            with pytest.raises(ServiceUnavailableError, match=r"^extra \(Extra\) is not ready$"):
                _ = deps.extra.value
            assert "NotReady" in repr(deps.extra)


def fail(*_: object, **__: object) -> NoReturn:
    raise LookupError("PASSWORD")
