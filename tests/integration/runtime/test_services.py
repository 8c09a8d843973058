"""Services in a real process: injected, kept from the model, healthy or said not to be, reloaded."""

import os
import sqlite3
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.model_server import ModelServer, calls, says
from tests.integration.runtime.mounts import mount
from tests.integration.runtime.process import (
    START_SECONDS,
    Json,
    RuntimeProcess,
    Start,
    config_of,
    events_of,
    scripted,
    until,
)

ACME = '''
    """Tools, an interface and an agent of one's own."""

    import asyncio
    from dataclasses import dataclass
    from typing import Annotated, Protocol

    from pydantic import BaseModel
    from pydantic_ai import Agent, RunContext
    from mizzen_runtime.container import AgentServices, Named
    from mizzen_runtime.services import CacheService, DatabaseService, ServiceUnavailableError

    async def remember(text: str, database: DatabaseService) -> str:
        """Keep a text.

        Args:
            text: What is kept.
        """
        return await database.save_result({"text": text})

    async def look_up(result_id: str, database: DatabaseService, cache: CacheService) -> str:
        """Find a text."""
        found = await database.get_result(result_id)
        await cache.set("last", found)
        return found["text"]

    def plain(context: RunContext, database: DatabaseService) -> str:
        """Say which service there is."""
        return f"{type(database).__name__} {type(context.deps).__name__}"

    async def away(database: DatabaseService) -> str:
        """Fail."""
        raise ServiceUnavailableError("SECRET-TEXT")

    class Pricing(Protocol):
        async def price(self, sku: str) -> float: ...

    class PriceSettings(BaseModel):
        factor: float

    class TablePricing:
        opened = closed = 0

        def __init__(self, settings: PriceSettings, database: DatabaseService) -> None:
            self.settings, self.database = settings, database

        async def initialize(self) -> None:
            TablePricing.opened += 1

        async def close(self) -> None:
            TablePricing.closed += 1

        async def price(self, sku: str) -> float:
            return len(sku) * self.settings.factor

    @dataclass
    class Deps:
        pricing: Pricing
        database: DatabaseService

    shop = Agent(deps_type=Deps)

    @shop.tool
    async def price(context: RunContext[Deps], sku: str) -> str:
        """Give a price."""
        kept = await context.deps.database.save_result({"sku": sku})
        return f"{await context.deps.pricing.price(sku)} {len(kept) > 0} {TablePricing.opened - TablePricing.closed}"

    class Moody:
        """Healthy as long as its file says so; its name is settled at start."""

        def __init__(self, settings: "MoodSettings") -> None:
            self.settings = settings

        async def health_check(self) -> bool:
            if self.settings.mood == "hangs":
                await asyncio.sleep(3600)
            return open(self.settings.path).read() == "well"

        async def get(self, key: str) -> object:
            return self.settings.mood

        async def set(self, key: str, value: object, ttl: int = 3600) -> None: ...

        async def invalidate(self, pattern: str) -> int:
            return 0

    class MoodSettings(BaseModel):
        path: str
        mood: str = "calm"

    async def mood(cache: CacheService) -> str:
        """Give the mood."""
        return str(await cache.get(""))
'''


@pytest.fixture
def code(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "acme.py").write_text(textwrap.dedent(ACME))
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}


def service(name: str, interface: str, implementation: str, **fields: Any) -> Json:
    return {"name": name, "interface": interface, "implementation": implementation, **fields}


def sqlite_service(tmp_path: Path, **fields: Any) -> Json:
    return service("database", "DatabaseService", "sqlite", settings={"path": str(tmp_path / "results.db")}, **fields)


def with_tools(server: ModelServer, *tools: str, services: list[Json]) -> Json:
    capability = {"PythonTools": {"tools": [f"acme:{tool}" for tool in tools]}}
    return {**config_of(scripted(server), capabilities=[capability]), "services": services}


def wait_ready(runtime: RuntimeProcess) -> None:
    until(lambda: runtime.manage("/readyz").status == 200, "it is ready", START_SECONDS)


def test_tools_that_yaml_names_get_services_and_the_model_does_not_see_them(
    start: Start, model_server: ModelServer, code: dict[str, str], tmp_path: Path
) -> None:
    memory = service("cache", "CacheService", "memory")
    config = with_tools(model_server, "remember", "look_up", "plain", services=[sqlite_service(tmp_path), memory])
    model_server.will(calls("remember", {"text": "hello"}), says("Kept"))
    runtime = start(config, **code)
    wait_ready(runtime)

    assert runtime.run("Keep hello").json["output"] == "Kept"

    functions = {tool["function"]["name"]: tool["function"] for tool in model_server.requests[0]["tools"]}
    assert functions.keys() == {"remember", "look_up", "plain"}
    assert functions["remember"]["description"] == "Keep a text."
    text = {"type": "string", "description": "What is kept."}
    assert functions["remember"]["parameters"]["properties"] == {"text": text}
    assert functions["plain"]["parameters"]["properties"] == {}
    kept = model_server.requests[1]["messages"][-1]["content"]
    with sqlite3.connect(tmp_path / "results.db") as database:
        assert database.execute("SELECT count(*) FROM mizzen_results").fetchall() == [(1,)]
    model_server.will(calls("look_up", {"result_id": kept}), says("Found"))
    model_server.will(calls("plain", {}), says("Done"))
    runtime.run("Find it")
    assert model_server.requests[3]["messages"][-1]["content"] == "hello"
    told = events_of(runtime.run("Tell", stream=True).body)
    assert told[-1].data["output"].strip() == "Done"  # the server streams word by word, each with a blank behind it
    assert model_server.requests[5]["messages"][-1]["content"] == "SqliteDatabaseService AgentServices"


def test_an_agent_of_own_code_gets_a_dataclass_of_services_its_own_among_them(
    start: Start, model_server: ModelServer, code: dict[str, str], tmp_path: Path
) -> None:
    pricing = service("pricing", "acme:Pricing", "acme:TablePricing", settings={"factor": 2.5}, scope="request")
    names = {"namespace": "support", "name": "triage", "revision": "r", "contractVersion": 1}
    models = [scripted(model_server)]
    config = {**names, "entrypoint": "acme:shop", "models": models, "services": [sqlite_service(tmp_path), pricing]}
    runtime = start(config, **code)
    wait_ready(runtime)
    for _ in range(2):
        model_server.will(calls("price", {"sku": "abcd"}), says("Cheap"))
        assert runtime.run("How much?").json["output"] == "Cheap"
        assert model_server.requests[-1]["messages"][-1]["content"] == "10.0 True 1"  # made for this run alone


def test_all_that_is_wrong_with_services_is_told_at_once(start: Start, code: dict[str, str], tmp_path: Path) -> None:
    config = config_of()
    config["services"] = [
        service("database", "DatabaseServis", "postgres"),
        service("cache", "CacheService", "acme:nothing"),
        service("pricing", "acme:Pricing", "acme:TablePricing", settings={"factor": "much"}),
    ]
    runtime = start(config, **code)
    assert runtime.exit_code() == 78
    told = runtime.termination_log.read_text()
    assert "spec.services[0].interface" in told
    assert "did you mean 'DatabaseService'?" in told
    assert "acme has no 'nothing'" in told

    config["services"] = [service("pricing", "acme:Pricing", "acme:TablePricing", settings={"factor": 1})]
    other = tmp_path / "other"
    other.mkdir()
    runtime = RuntimeProcess(other, config, **code)
    assert runtime.exit_code() == 78
    assert "AgentServices -> pricing (TablePricing) -> database" in runtime.termination_log.read_text()


def test_the_test_profile_puts_doubles_in_the_place_of_services(
    start: Start, model_server: ModelServer, code: dict[str, str]
) -> None:
    database = service("database", "DatabaseService", "postgres")
    config = with_tools(model_server, "remember", services=[database])
    model_server.will(calls("remember", {"text": "hello"}), says("Kept"))
    runtime = start(config, **code, MIZZEN_PROFILE="test")
    wait_ready(runtime)
    runtime.run("Keep hello")
    assert model_server.requests[1]["messages"][-1]["content"] == "test_0"


def test_a_service_that_is_away_is_answered_with_503_and_a_time(
    start: Start, model_server: ModelServer, code: dict[str, str], tmp_path: Path
) -> None:
    model_server.will(calls("away", {}))
    runtime = start(with_tools(model_server, "away", services=[sqlite_service(tmp_path)]), **code)
    wait_ready(runtime)
    answer = runtime.run("Fail")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.json["type"] == "urn:mizzen:problem:service-unavailable"
    assert "SECRET-TEXT" not in runtime.log_text() + answer.body.decode()
    assert runtime.outcome("service_unavailable") == 1


def moody(tmp_path: Path, required: str, **settings: str) -> Json:
    (tmp_path / "mood").write_text("well")
    source = {"kind": "ConfigMap", "name": "mood", "path": str(tmp_path / "mounted")}
    mount(tmp_path / "mounted", path=str(tmp_path / "mood"), **settings)
    return service("cache", "CacheService", "acme:Moody", sources=[source], required=required)


def health_codes(runtime: RuntimeProcess) -> list[str]:
    return [reason["code"] for reason in runtime.request("GET", "/v1/health").json["reasons"]]


READY_WITHOUT = {"AtStart": 200, "Always": 503, "Never": 200}
"""What `/readyz` answers when a service has failed, by when it is required."""


@pytest.mark.parametrize("required", READY_WITHOUT)
def test_a_service_that_fails_later_shows_as_required_says(
    start: Start, model_server: ModelServer, code: dict[str, str], tmp_path: Path, required: str
) -> None:
    runtime = start(with_tools(model_server, "mood", services=[moody(tmp_path, required)]), **code)
    wait_ready(runtime)
    up = 'mizzen_service_up{service="cache"}'
    until(lambda: runtime.metric(up) == 1, "it is up")

    (tmp_path / "mood").write_text("ill")
    until(lambda: runtime.metric(up) == 0, "it is down", 60)
    assert runtime.manage("/readyz").status == READY_WITHOUT[required]
    assert runtime.manage("/livez").status == 200
    (told,) = runtime.manage("/state").json["services"]
    assert (told["healthy"], told["reason"]) == (False, "its health check says no")
    until(lambda: health_codes(runtime)[-1:] == ["ServiceUnhealthy"], "health tells it")
    report = runtime.request("GET", "/v1/health")
    assert report.status == READY_WITHOUT[required]
    assert (report.json["status"], report.json["ready"]) == (
        ("unhealthy", False) if required == "Always" else ("degraded", True)
    )
    assert health_codes(runtime) == [*(["NotReady"] if required == "Always" else []), "ServiceUnhealthy"]
    told = report.json["reasons"][-1]
    assert (told["title"], told["detail"]) == ("Service 'cache' is not healthy", "its health check says no")
    assert report.json["services"] == [
        {"name": "cache", "status": "unhealthy", "required": required, "reason": "its health check says no"}
    ]
    if required == "Never":
        model_server.will(says("I do without"))
        assert runtime.run("Hello").status == 200
    else:
        answer = runtime.run("Hello")
        assert answer.status == 503
        assert answer.json["detail"] == "the agent's service 'cache' is not available"

    (tmp_path / "mood").write_text("well")
    until(lambda: runtime.metric(up) == 1, "it is up again")
    wait_ready(runtime)
    assert runtime.request("GET", "/v1/health").status == 200
    model_server.will(says("Back"))
    assert runtime.run("Hello").status == 200
    until(lambda: runtime.request("GET", "/v1/health").json["status"] == "healthy", "it is well again", 60)


def test_a_start_waits_for_a_service_and_never_gives_up(
    start: Start, model_server: ModelServer, code: dict[str, str], tmp_path: Path
) -> None:
    settings = moody(tmp_path, "AtStart")
    (tmp_path / "mood").write_text("ill")
    runtime = start(with_tools(model_server, "mood", services=[settings]), **code)
    runtime.wait_logged("a service is not healthy")
    assert runtime.manage("/startupz").status == 200
    assert runtime.manage("/readyz?verbose").body.decode().splitlines() == [
        "[+]wired ok",
        "[+]not-leaving ok",
        "[-]services failed",
        "not ok: services",
    ]
    (tmp_path / "mood").write_text("well")
    wait_ready(runtime)


def test_changed_settings_are_taken_up_unless_they_are_wrong(
    start: Start, model_server: ModelServer, code: dict[str, str], tmp_path: Path
) -> None:
    runtime = start(with_tools(model_server, "mood", services=[moody(tmp_path, "AtStart")]), **code)
    wait_ready(runtime)

    def mood() -> str:
        asked = len(model_server.requests)
        model_server.will(calls("mood", {}), says("So it is"))
        assert runtime.run("How are you?").status == 200
        return str(model_server.requests[asked + 1]["messages"][-1]["content"])

    def reloads(outcome: str) -> float:
        return runtime.metric(f'mizzen_reloads_total{{outcome="{outcome}"}}')

    assert mood() == "calm"
    mount(tmp_path / "mounted", path=str(tmp_path / "mood"), mood="lively")
    until(lambda: reloads("ok") == 1, "the change is taken up")
    assert mood() == "lively"

    mount(tmp_path / "mounted", path=str(tmp_path / "mood"), wrong="1")
    until(lambda: reloads("failed") == 1, "the change is refused")
    (told,) = runtime.manage("/state").json["reloadFailures"]
    assert told["field"] == "ConfigMap 'mood', key 'wrong'"
    assert told["message"].startswith("the setting 'wrong' of service 'cache' does not exist")
    assert mood() == "lively"

    mount(tmp_path / "mounted", path=str(tmp_path / "not-there"), mood="odd")
    until(lambda: reloads("failed") >= 2, "what is not healthy is refused")
    assert mood() == "lively"
    assert runtime.errors()

    mount(tmp_path / "mounted", path=str(tmp_path / "mood"), mood="sad")
    until(lambda: reloads("ok") == 2, "the next change is taken up")
    assert mood() == "sad"
    assert runtime.manage("/state").json["reloadFailures"] == []
