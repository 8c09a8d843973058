"""The fixtures of `mizzen_runtime.testing`, as a user's tests have them."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelMessage, ModelResponse, RunContext, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel

from mizzen_runtime.agent_service import RunResult, TextDelta
from mizzen_runtime.config import ConfigRefused
from mizzen_runtime.container import ContainerError, DependencyContainer
from mizzen_runtime.errors import Outcome, RunError
from mizzen_runtime.service_wiring import DOUBLES as WIRED
from mizzen_runtime.services import CacheService, DatabaseService, ExternalAPIService, ServiceUnavailableError
from mizzen_runtime.testing import TestCacheService, TestDatabaseService, TestExternalAPIService
from mizzen_runtime.testing.agent_under_test import StartAgent
from mizzen_runtime.testing.doubles import DOUBLES, NAMES

pytest_plugins = ["mizzen_runtime.testing.fixtures"]
pytestmark = pytest.mark.anyio


class Pricing(Protocol):
    async def price(self, sku: str) -> float: ...


class Settings(BaseModel):
    factor: float


class TablePricing:
    def __init__(self, settings: Settings, database: DatabaseService) -> None:
        self.settings, self.database = settings, database
        self.closed = False

    async def price(self, sku: str) -> float:
        await self.database.save_result({"sku": sku})
        return len(sku) * self.settings.factor

    async def close(self) -> None:
        self.closed = True


class FixedPricing:
    async def price(self, sku: str) -> float:
        return {"o-1": 9.5}[sku]


class NoPricing:
    async def price(self) -> float:
        return 0.0


class AwayPricing(FixedPricing):
    async def health_check(self) -> bool:
        return False


@dataclass
class Deps:
    pricing: Pricing
    database: DatabaseService


shop = Agent("test", deps_type=Deps)


@shop.tool
async def price(context: RunContext[Deps], sku: str) -> float:
    """Give a price."""
    await context.deps.database.save_result({"asked": sku})
    return await context.deps.pricing.price(sku)


async def remember(text: str, database: DatabaseService, cache: CacheService) -> str:
    """Keep a text."""
    await cache.set("last", text)
    return await database.save_result({"text": text})


async def fail(text: str) -> str:
    """Fail."""
    raise ServiceUnavailableError(text)


async def price_of(sku: str, pricing: Pricing) -> float:
    """Give a price."""
    return await pricing.price(sku)


def calling(tool: str, **arguments: str) -> FunctionModel:
    """A model that calls a tool, and answers with what the tool gave."""

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        returned = [part.content for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
        return ModelResponse([TextPart(str(returned[0])) if returned else ToolCallPart(tool, arguments)])

    return FunctionModel(answer)


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write an AgentDeployment with functions of this module as its tools."""
    # The name under which pytest's importlib mode has this module is its real one.
    tools = [f"{__name__}:{function.__name__}" for function in (remember, fail)]

    def write(services: str = "[]", extra: str = "", tools: list[str] = tools) -> Path:
        path = tmp_path / "agent.yaml"
        text = f"""
            apiVersion: v1
            kind: ConfigMap
            metadata: {{name: other}}
            ---
            apiVersion: mizzen.dev/v1alpha1
            kind: AgentDeployment
            metadata: {{name: triage}}
            spec:
              agent:
                instructions: Help {{{{shop}}}}.
                capabilities:
                  - PythonTools: {{tools: {tools}}}
                model_settings: {{temperature: 0.0, openai_logprobs: true}}
              models:
                - model: openai:gpt-5
                  apiKey: {{secretKeyRef: {{name: llm, key: token}}}}
              vars: {{shop: Acme}}
              services: {services}
              {extra}
            """
        path.write_text(textwrap.dedent(text))
        return path

    return write


OURS = """
                - {name: results, interface: DatabaseService, implementation: postgres, secretRef: {name: db}}
                - {name: cache, interface: CacheService, implementation: redis, scope: request}
"""
PRICING = f"""
                - name: pricing
                  interface: "{__name__}:Pricing"
                  implementation: "{__name__}:TablePricing"
                  configMapRef: {{name: pricing}}
                - {{name: database, interface: DatabaseService, implementation: sqlite}}
"""


async def test_a_container_has_the_doubles_and_takes_the_tests_own(service_container: DependencyContainer) -> None:
    service_container.register_singleton(Pricing, TablePricing, Settings(factor=2.5))
    pricing = await service_container.get_service(Pricing)

    assert await pricing.price("abcd") == 10.0

    database = await service_container.get_service(TestDatabaseService)
    assert database.get_call_log() == [("save", "test_0", {"sku": "abcd"})]
    assert await service_container.get_service(DatabaseService) is database
    assert isinstance(await service_container.get_service(CacheService), TestCacheService)
    assert isinstance(await service_container.get_service(ExternalAPIService, name="external_api"), ExternalAPIService)


async def test_a_double_gives_way_to_the_tests_own(service_container: DependencyContainer) -> None:
    service_container.remove("database")
    service_container.register_singleton(DatabaseService, TestDatabaseService, max_result_bytes=10)
    database = await service_container.get_service(DatabaseService)
    with pytest.raises(ValueError, match="10 bytes"):
        await database.save_result({"text": "much too long"})
    with pytest.raises(ContainerError, match="registered before the first is asked for"):
        service_container.remove("cache")


async def test_an_agent_of_a_file_runs_with_doubles(start_agent: StartAgent, write: Write) -> None:
    agent = await start_agent(write(OURS), model=calling("remember", text="hello"))

    answer = await agent.run("Keep hello")

    assert (answer.output, answer.usage.requests) == ("test_0", 2)
    assert agent.service(TestDatabaseService).get_call_log() == [("save", "test_0", {"text": "hello"})]
    assert agent.service(TestCacheService, "cache").get_call_log() == [("set", "last", "hello", 3600)]
    with pytest.raises(LookupError, match=r"there are: results \(TestDatabaseService\), cache \(TestCacheService\)"):
        agent.service(TestExternalAPIService)


async def test_the_model_of_a_test_sees_the_filled_instructions(start_agent: StartAgent, write: Write) -> None:
    seen: list[str | None] = []

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.append(info.instructions)
        return ModelResponse([TextPart("Hello")])

    await (await start_agent(write(OURS), model=FunctionModel(answer))).run("Hello")
    assert seen == ["Help Acme."]


async def test_an_agent_without_a_model_of_the_tests_own_answers_all_the_same(
    start_agent: StartAgent, write: Write
) -> None:
    agent = await start_agent(write(OURS))
    assert (await agent.run("Hello")).output == "success (no tool calls)"


async def test_an_agent_is_asked_for_a_stream(start_agent: StartAgent, write: Write) -> None:
    agent = await start_agent(write(OURS), model=TestModel(call_tools=[], custom_output_text="one two"))
    events = [event async for event in agent.stream("Hello")]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "one two"
    assert isinstance(events[-1], RunResult)


async def test_an_error_is_the_one_of_a_pod_with_its_cause(start_agent: StartAgent, write: Write) -> None:
    agent = await start_agent(write(OURS), model=calling("fail", text="gone"))
    with pytest.raises(RunError) as raised:
        await agent.run("Fail")
    assert raised.value.outcome is Outcome.SERVICE_UNAVAILABLE
    assert str(raised.value.__cause__) == "gone"


@pytest.mark.parametrize("key", [Pricing, "pricing"], ids=["by interface", "by name"])
async def test_a_service_of_the_tests_own_takes_the_place_of_one_in_the_file(
    start_agent: StartAgent, write: Write, key: type | str
) -> None:
    path = write(PRICING, tools=[f"{__name__}:price_of"])
    agent = await start_agent(path, model=calling("price_of", sku="o-1"), services={key: FixedPricing()})
    assert (await agent.run("How much?")).output == "9.5"
    assert isinstance(agent.service(FixedPricing), FixedPricing)


async def test_an_agent_object_runs_with_doubles_and_the_tests_own(start_agent: StartAgent) -> None:
    agent = await start_agent(shop, model=calling("price", sku="o-1"), services={Pricing: FixedPricing()})
    assert (await agent.run("How much?")).output == "9.5"
    assert agent.service(TestDatabaseService).get_call_log() == [("save", "test_0", {"asked": "o-1"})]


async def test_an_entrypoint_is_loaded_and_given_its_services(start_agent: StartAgent, tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(f"""
apiVersion: mizzen.dev/v1alpha1
kind: AgentDeployment
metadata: {{name: shop}}
spec:
  entrypoint: "{__name__}:make_shop"
  services: {PRICING}
""")
    agent = await start_agent(path, model=calling("price", sku="o-1"), services={"pricing": FixedPricing()})
    assert (await agent.run("How much?")).output == "9.5"


async def make_shop() -> Agent[Deps, str]:
    return shop


async def test_an_unhealthy_service_is_as_in_a_pod(start_agent: StartAgent) -> None:
    agent = await start_agent(shop, services={Pricing: AwayPricing()})
    with pytest.raises(RunError, match="'Pricing' is not available") as raised:
        await agent.run("How much?")
    assert raised.value.outcome is Outcome.SERVICE_UNAVAILABLE


async def test_what_a_test_has_not_is_told_with_all_else(start_agent: StartAgent, write: Write) -> None:
    with pytest.raises(ConfigRefused) as refused:
        await start_agent(write(PRICING, tools=["nowhere:tool"]), services={CacheService: TestCacheService()})
    assert [(problem.field, problem.message) for problem in refused.value.problems] == [
        ("services", "the agent has no service CacheService"),
        (
            "spec.services[0]",
            "the settings of service 'pricing' are in ConfigMap 'pricing', which a test does not have",
        ),
        ("spec.agent.capabilities[0].PythonTools.tools[0]", "there is no module 'nowhere' in this image"),
    ]
    assert "services={…}" in refused.value.problems[1].remedy


async def test_a_service_for_two_needs_a_name(start_agent: StartAgent, write: Write) -> None:
    two = """
                - {name: a, interface: CacheService, implementation: memory}
                - {name: b, interface: CacheService, implementation: memory}
"""
    with pytest.raises(ConfigRefused, match="several services implement CacheService: a, b; give each by its name"):
        await start_agent(write(two, tools=[f"{__name__}:fail"]), services={CacheService: TestCacheService()})
    agent = await start_agent(write(two, tools=[f"{__name__}:fail"]), services={"a": TestCacheService()})
    with pytest.raises(LookupError, match="2 services of the test are a TestCacheService"):
        agent.service(TestCacheService)
    assert agent.service(TestCacheService, "a") is not agent.service(TestCacheService, "b")


async def test_what_is_given_for_an_agent_object_is_checked(start_agent: StartAgent) -> None:
    with pytest.raises(ConfigRefused, match="nothing says what 'pricing' is; give it by its interface"):
        await start_agent(shop, services={"pricing": FixedPricing()})
    with pytest.raises(ConfigRefused, match="price"):
        await start_agent(shop, services={Pricing: NoPricing()})


async def test_a_file_holds_one_agent(start_agent: StartAgent, tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    path.write_text("kind: ConfigMap")
    with pytest.raises(ValueError, match="holds 0 documents of kind AgentDeployment"):
        await start_agent(path)


async def test_an_invalid_resource_is_told_by_its_fields(start_agent: StartAgent, write: Write) -> None:
    with pytest.raises(ConfigRefused, match="replicas"):
        await start_agent(write(OURS, extra="replicas: many"))


def test_the_doubles_are_those_of_the_test_profile() -> None:
    assert {each: f"{kind.__module__}:{kind.__name__}" for each, kind in DOUBLES.items()} == WIRED
    assert NAMES.keys() == DOUBLES.keys()
