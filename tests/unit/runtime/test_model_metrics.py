"""What is counted of requests to models: each once, by model and by how it failed; and what they cost."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

import pytest
from prometheus_client import CollectorRegistry
from pydantic_ai import Agent, AgentRunResultEvent, UsageLimits
from pydantic_ai.exceptions import ModelRateLimitError, ModelServerError, UsageLimitExceeded
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage

from mizzen_api.contract import RuntimeModel
from mizzen_api.price import ModelPrice
from mizzen_runtime.agent.chain import chain
from mizzen_runtime.agent.models import build_model
from mizzen_runtime.agent.prices import observed_models
from mizzen_runtime.attempts import MAX_TOLD, Attempts, current_attempts
from mizzen_runtime.errors import Outcome
from mizzen_runtime.model_metrics import DURATION_BUCKETS, TOKEN_BUCKETS, ModelMetrics, ObservedModel

pytestmark = pytest.mark.anyio

CHEAP = ModelPrice(input_per_million_tokens="0.5", output_per_million_tokens="2")


def says(text: str) -> FunctionModel:
    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart(text)], usage=RequestUsage(input_tokens=1000, output_tokens=100))

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield text

    return FunctionModel(answer, stream_function=stream, model_name="big")


def fails(error: Exception, model_name: str = "broken") -> FunctionModel:
    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        raise error

    return FunctionModel(answer, model_name=model_name)


def hangs(asked: asyncio.Event) -> FunctionModel:
    async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    return FunctionModel(answer, model_name="hanging")


class Setup:
    """A chain of models, asked within a request, and what is counted of it."""

    def __init__(self, *models: Model, prices: Sequence[ModelPrice | None] = ()) -> None:
        self.observed = observed_models(models, prices)
        self.registry = CollectorRegistry()
        self.metrics = ModelMetrics(self.registry, self.observed)
        self.chain = chain([(f"x:{place}", model) for place, model in enumerate(models)])
        self.agent: Agent[None, str] = Agent()
        self.attempts = Attempts(time.perf_counter() + 60, self.metrics.observe)
        current_attempts.set(self.attempts)

    async def run(self, limits: UsageLimits | None = None) -> str:
        return (await self.agent.run("Hi", model=self.chain, usage_limits=limits)).output

    def requests(self, model: str, error: str = "") -> float | None:
        return self._value("gen_ai_client_operation_duration_seconds_count", model, error_type=error)

    def tokens(self, model: str, token_type: str) -> float | None:
        return self._value("gen_ai_client_token_usage_sum", model, gen_ai_token_type=token_type)

    def measured(self, model: str) -> float | None:
        return self._value("gen_ai_client_token_usage_count", model, gen_ai_token_type="input")

    def cost(self, model: str) -> float | None:
        return self._of("mizzen_cost_usd_total", model)

    def price_known(self, model: str) -> float | None:
        return self._of("mizzen_model_price_known", model)

    def _value(self, name: str, model: str, **labels: str) -> float | None:
        return self._of(name, model, gen_ai_operation_name="chat", **labels)

    def _of(self, name: str, model: str, **labels: str) -> float | None:
        labels |= {"gen_ai_provider_name": "function", "gen_ai_request_model": model}
        return self.registry.get_sample_value(name, labels)


async def test_an_answer_is_counted_by_its_model_with_its_tokens() -> None:
    setup = Setup(says("Hello"))

    assert await setup.run() == "Hello"

    assert setup.requests("big") == 1
    assert (setup.tokens("big", "input"), setup.tokens("big", "output")) == (1000, 100)


async def test_a_failure_is_counted_by_its_kind_and_the_next_model_for_itself() -> None:
    setup = Setup(fails(ModelRateLimitError("broken", "slow down")), says("Hello"))

    assert await setup.run() == "Hello"

    assert (setup.requests("broken"), setup.requests("broken", Outcome.MODEL_UNAVAILABLE)) == (0, 1)
    assert setup.measured("broken") == 0
    assert setup.requests("big") == 1


async def test_a_stream_is_counted_when_it_ends_with_the_tokens_of_all_of_it() -> None:
    setup = Setup(says("Hello to all of you"))

    async with setup.agent.run_stream_events("Hi", model=setup.chain) as events:
        (usage,) = [event.result.usage async for event in events if isinstance(event, AgentRunResultEvent)]

    assert setup.requests("big") == 1
    assert setup.tokens("big", "output") == usage.output_tokens > 0


async def test_an_attempt_that_was_cancelled_is_counted_when_it_is_known_why() -> None:
    setup = Setup(hangs(asked := asyncio.Event()))
    run = asyncio.create_task(setup.run())
    await asked.wait()
    run.cancel()
    await asyncio.wait([run])
    before = setup.requests("hanging", Outcome.DEADLINE_EXCEEDED)

    setup.attempts.settle(Outcome.DEADLINE_EXCEEDED)
    setup.attempts.settle(Outcome.CANCELLED)

    assert (before, setup.requests("hanging", Outcome.DEADLINE_EXCEEDED)) == (None, 1)
    assert (setup.requests("hanging"), setup.requests("hanging", Outcome.CANCELLED)) == (0, None)


async def test_attempts_are_counted_beyond_those_that_are_told() -> None:
    setup = Setup(says("Hello"))

    for _ in range(MAX_TOLD + 5):
        await setup.run()

    assert setup.requests("big") == setup.measured("big") == MAX_TOLD + 5


async def test_a_provider_that_reports_no_tokens_is_not_taken_for_one_that_used_none() -> None:
    metrics = ModelMetrics(registry := CollectorRegistry(), [ObservedModel("p", "m")])
    attempt = Attempts(0, metrics.observe).begin("p:m", 0)
    attempt.response = ModelResponse(parts=[TextPart("Hello")])

    attempt.end(Outcome.OK)

    labels = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "p", "gen_ai_request_model": "m"}
    value = registry.get_sample_value
    assert value("gen_ai_client_operation_duration_seconds_count", {**labels, "error_type": ""}) == 1
    assert value("gen_ai_client_token_usage_count", {**labels, "gen_ai_token_type": "input"}) == 0


async def test_the_price_of_the_resource_makes_the_cost() -> None:
    setup = Setup(fails(ModelServerError("broken", "overloaded")), says("Hello"), prices=[None, CHEAP])

    await setup.run()
    await setup.run()

    assert (setup.price_known("broken"), setup.price_known("big")) == (0, 1)
    assert setup.cost("big") == pytest.approx(2 * (1000 * 0.5 + 100 * 2) / 1e6)
    assert setup.cost("broken") == 0


async def test_the_price_of_the_resource_counts_for_the_runs_own_limit() -> None:
    setup = Setup(says("Hello"), prices=[CHEAP])

    with pytest.raises(UsageLimitExceeded, match="cost_limit"):
        await setup.run(UsageLimits(cost_limit=Decimal("0.0001")))


async def test_one_model_at_two_prices_costs_what_each_place_says() -> None:
    dear = ModelPrice(input_per_million_tokens="100", output_per_million_tokens="0")
    setup = Setup(fails(ModelServerError("big", "overloaded"), "big"), says("Hello"), prices=[CHEAP, dear])

    await setup.run()

    assert (setup.requests("big"), setup.requests("big", Outcome.MODEL_UNAVAILABLE)) == (1, 1)
    assert setup.cost("big") == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("model", "known"),
    [("openai-chat:gpt-5", True), ("anthropic:claude-opus-4-5", True), ("vllm:qwen3-32b", False), ("test", False)],
)
def test_the_list_of_prices_is_asked_by_provider_and_name(model: str, known: bool) -> None:
    address = "http://vllm.models:8000/v1" if model.startswith("vllm") else None
    endpoint = RuntimeModel(model=model, base_url=address)

    (observed,) = observed_models([build_model(endpoint, None if model == "test" else "a key", "f")], ())

    assert (observed.price is not None) is known


def test_a_listed_price_is_the_providers() -> None:
    (observed,) = observed_models([build_model(RuntimeModel(model="openai-chat:gpt-4o"), "a key", "f")], ())
    assert observed.price is not None
    usage = RequestUsage(input_tokens=1_000_000, output_tokens=1_000_000)

    def answered_by(name: str) -> ModelResponse:
        return ModelResponse(parts=[], model_name=name, provider_name="openai", usage=usage)

    assert observed.price(answered_by("gpt-4o")) == Decimal("12.5")
    assert observed.price(answered_by("a-model-of-next-year")) is None
    assert observed.price(ModelResponse(parts=[], usage=usage)) is None


def test_what_has_no_name_is_called_as_pydantic_ai_calls_it() -> None:
    assert observed_models([TestModel()], ()) == (ObservedModel("test", "test", None),)


def test_the_buckets_are_the_conventions() -> None:
    """https://github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai/gen-ai-metrics.md."""
    assert DURATION_BUCKETS == (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
    assert TOKEN_BUCKETS[:6] == (1, 4, 16, 64, 256, 1024)
    assert (len(TOKEN_BUCKETS), TOKEN_BUCKETS[-1]) == (14, 67_108_864)
