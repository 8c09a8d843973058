"""Services that are reloaded although another that the agent does without is away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from mizzen_api.contract import RuntimeService
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


@asynccontextmanager
async def running(folder: Path, required: str, **values: str) -> AsyncIterator[RunningServices]:
    """An agent's services `base` and `extra`, once both were pinged."""
    definitions = []
    for index, (name, kind) in enumerate((("base", Base), ("extra", Extra))):
        write(folder, name, values[name])
        source = {"kind": "Secret", "name": name, "path": str(folder / name)}
        service: dict[str, Any] = {"name": name, "interface": "i", "implementation": "i", "sources": [source]}
        if name == "extra":
            service["required"] = required
        definitions.append(
            ServiceDefinition(
                RuntimeService.model_validate(service), f"spec.services[{index}]", kind, kind, ("settings", Settings)
            )
        )
    metrics = ServiceMetrics(CollectorRegistry())
    services = RunningServices(definitions, AgentName("support", "triage"), metrics, Reloads(metrics.count_reload))
    assert services.wire(None) == ()
    for definition in definitions:
        name = definition.service.name
        services._health.note(name, "the server is away" if values[name] == "wrong" else None)
    yield services
    await services.close()


def write(folder: Path, name: str, value: str) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "value").write_text(value)


async def value_of(services: RunningServices, kind: type[Base]) -> str:
    async with services.request_scope() as scope:
        return (await scope.get_service(kind)).value


async def test_what_the_agent_does_without_keeps_no_other_from_its_new_settings(tmp_path: Path) -> None:
    async with running(tmp_path, "Never", base="old", extra="wrong") as services:
        write(tmp_path, "base", "new")
        assert await services.reload("base")
        assert await value_of(services, Base) == "new"


async def test_what_the_agent_needs_does_until_it_is_healthy(tmp_path: Path) -> None:
    async with running(tmp_path, "AtStart", base="old", extra="wrong") as services:
        write(tmp_path, "base", "new")
        assert not await services.reload("base")
        assert await value_of(services, Base) == "old"


async def test_what_works_stays_until_its_new_settings_do_although_the_agent_does_without(tmp_path: Path) -> None:
    async with running(tmp_path, "Never", base="old", extra="old") as services:
        write(tmp_path, "extra", "wrong")
        assert not await services.reload("extra")
        assert await value_of(services, Extra) == "old"


async def test_a_service_that_is_away_and_not_needed_takes_its_new_settings_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, "Never", base="old", extra="wrong") as services:
        write(tmp_path, "extra", "new")
        assert await services.reload("extra")
        assert await value_of(services, Extra) == "new"
