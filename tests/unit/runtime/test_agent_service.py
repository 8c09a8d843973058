import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_core import to_json

from mizzen_runtime.admission import AdmissionGate
from mizzen_runtime.agent.build import BuiltAgent
from mizzen_runtime.agent.chain import chain
from mizzen_runtime.agent_service import AgentService, RunRequest, RunResult, TextDelta
from mizzen_runtime.errors import Outcome, RunError
from mizzen_runtime.log import JsonFormatter
from mizzen_runtime.metrics import RequestMetrics
from mizzen_runtime.model_metrics import ObservedModel
from mizzen_runtime.production_agent import AgentConfig, Platform
from mizzen_runtime.run_frame import Frames, InFlight
from mizzen_runtime.served_agent import serve
from mizzen_runtime.thread_pool import thread_pool

pytestmark = pytest.mark.anyio

MODEL_LABELS = {
    "gen_ai_operation_name": "chat",
    "gen_ai_provider_name": "tests",
    "gen_ai_request_model": "test",
}


class Ticket(BaseModel):
    urgency: float


@dataclass
class Refund:
    amount: float


def request(age: float = 0) -> RunRequest:
    return RunRequest(id="r1", input="Hello", arrived=time.perf_counter() - age)


class Harness:
    """A service around an agent, and what it counted."""

    def __init__(self, model: Model, timeout: float = 5, output_type: Any = str) -> None:
        self.agent: Agent[None, Any] = Agent(output_type=output_type)
        self.in_flight = InFlight()
        self.registry = CollectorRegistry()
        self.metrics = RequestMetrics(
            self.registry,
            namespace="support",
            agent="triage",
            revision="r1",
            in_flight=lambda: self.in_flight.count,
            models=[ObservedModel("tests", "test", lambda response: Decimal(response.usage.output_tokens))],
        )
        frames = Frames(AdmissionGate(max_running=10, max_queued=0), self.metrics, self.in_flight)
        built = BuiltAgent(self.agent, chain([("test", model)]), ("test",))
        served = serve(built, "triage", AgentConfig(request_timeout=timeout), Platform(frames, thread_pool(1)))
        self.service = AgentService(served.agent, frames)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def tokens(self, token_type: str) -> float | None:
        return self.value("gen_ai_client_token_usage_sum", **MODEL_LABELS, gen_ai_token_type=token_type)

    def assert_counted_once_as(self, outcome: Outcome) -> None:
        counts = {each: self.value("mizzen_requests_total", outcome=each.value) for each in Outcome}
        assert counts == {each: float(each is outcome) for each in Outcome}
        assert self.value("mizzen_request_duration_seconds_count") == 1
        assert self.value("mizzen_requests_in_flight") == 0
        assert self.metrics.snapshot().total_requests == 1


def hanging(asked: asyncio.Event | None = None) -> FunctionModel:
    async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if asked is not None:
            asked.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield "Once "
        await asyncio.Event().wait()

    return FunctionModel(answer, stream_function=stream)


async def test_an_answer_is_counted_with_its_tokens() -> None:
    harness = Harness(TestModel(custom_output_text="Good morning"))

    result = await harness.service.run(request())

    assert (result.id, result.output, result.usage.requests) == ("r1", "Good morning", 1)
    harness.assert_counted_once_as(Outcome.OK)
    assert harness.tokens("input") == result.usage.input_tokens > 0
    assert harness.tokens("output") == result.usage.output_tokens > 0


async def test_a_stream_is_counted_when_it_ends() -> None:
    harness = Harness(TestModel(custom_output_text="Good morning"))

    async with aclosing(harness.service.stream(request())) as events:
        received = [event async for event in events]

    assert received[:-1] == [TextDelta("Good "), TextDelta("morning")]
    assert isinstance(received[-1], RunResult)
    harness.assert_counted_once_as(Outcome.OK)


async def test_the_deadline_ends_a_run() -> None:
    harness = Harness(hanging(), timeout=0.05)

    with pytest.raises(RunError) as raised:
        await harness.service.run(request())

    assert raised.value.outcome is Outcome.DEADLINE_EXCEEDED
    harness.assert_counted_once_as(Outcome.DEADLINE_EXCEEDED)


async def test_the_deadline_ends_a_stream() -> None:
    harness = Harness(hanging(), timeout=0.5)

    async with aclosing(harness.service.stream(request())) as events:
        assert await anext(events) == TextDelta("Once ")
        with pytest.raises(RunError) as raised:
            await anext(events)

    assert raised.value.outcome is Outcome.DEADLINE_EXCEEDED
    harness.assert_counted_once_as(Outcome.DEADLINE_EXCEEDED)


async def test_a_caller_who_gives_up_cancels_its_run() -> None:
    asked = asyncio.Event()
    harness = Harness(hanging(asked))
    task = asyncio.create_task(harness.service.run(request()))
    await asked.wait()
    assert harness.in_flight.count == 1

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    harness.assert_counted_once_as(Outcome.CANCELLED)


async def test_a_caller_who_closes_a_stream_cancels_its_run() -> None:
    harness = Harness(hanging())

    async with aclosing(harness.service.stream(request())) as events:
        assert await anext(events) == TextDelta("Once ")

    harness.assert_counted_once_as(Outcome.CANCELLED)


async def test_a_failing_tool_is_opaque_outside_and_placed_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[ToolCallPart("find_customer", {})])

    harness = Harness(FunctionModel(answer))

    @harness.agent.tool_plain
    def find_customer() -> str:
        raise KeyError("postgres://user:SECRET@db")

    caplog.handler.setFormatter(JsonFormatter())
    with caplog.at_level(logging.ERROR), pytest.raises(RunError) as raised:
        await harness.service.run(request())
    await asyncio.sleep(0)  # the line is written behind the answer

    assert raised.value.outcome is Outcome.AGENT_FAILED
    assert "SECRET" not in raised.value.detail + caplog.text
    line = json.loads(caplog.text)
    assert line["request_id"] == "r1"
    assert line["error"]
    harness.assert_counted_once_as(Outcome.AGENT_FAILED)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), BaseExceptionGroup("", [asyncio.CancelledError()])])
async def test_a_cancellation_that_nobody_asked_for_is_a_failure_of_the_agent(error: BaseException) -> None:
    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        raise error

    harness = Harness(FunctionModel(answer))

    with pytest.raises(RunError) as raised:
        await harness.service.run(request())

    assert raised.value.outcome is Outcome.AGENT_FAILED
    harness.assert_counted_once_as(Outcome.AGENT_FAILED)


def make_ticket(urgency: float) -> Ticket:
    return Ticket(urgency=urgency)


def make_opaque(urgency: float) -> Any:
    return object()


@pytest.mark.parametrize(
    ("output_type", "output"),
    [
        (Ticket, b'{"urgency":0.0}'),
        (list[Ticket], b'[{"urgency":0.0}]'),
        (Refund, b'{"amount":0.0}'),
        (make_ticket, b'{"urgency":0.0}'),
    ],
)
async def test_an_output_of_own_types_can_be_written_as_json(output_type: Any, output: bytes) -> None:
    harness = Harness(TestModel(), output_type=output_type)

    assert to_json((await harness.service.run(request())).output) == output


async def test_an_output_that_cannot_be_written_as_json_is_the_agents_fault() -> None:
    harness = Harness(TestModel(), output_type=make_opaque)

    with pytest.raises(RunError) as raised:
        await harness.service.run(request())

    assert raised.value.detail == "the agent's answer is an object that cannot be written as JSON"
    harness.assert_counted_once_as(Outcome.AGENT_FAILED)


async def test_half_a_surrogate_pair_is_no_answer() -> None:
    harness = Harness(TestModel(custom_output_text="smile \ud83d"))

    with pytest.raises(RunError) as raised:
        await harness.service.run(request())

    assert raised.value.outcome is Outcome.MODEL_MISBEHAVED
    harness.assert_counted_once_as(Outcome.MODEL_MISBEHAVED)


async def test_half_a_surrogate_pair_is_replaced_in_the_pieces_of_a_stream() -> None:
    harness = Harness(TestModel(custom_output_text="smile \ud83d"))

    async with aclosing(harness.service.stream(request())) as events:
        assert [await anext(events), await anext(events)] == [TextDelta("smile "), TextDelta("?")]
        with pytest.raises(RunError):
            await anext(events)

    harness.assert_counted_once_as(Outcome.MODEL_MISBEHAVED)


async def test_what_is_left_of_the_time_counts_from_the_arrival() -> None:
    harness = Harness(hanging(), timeout=3600)

    with pytest.raises(RunError) as raised:
        await harness.service.run(request(age=3600))

    assert raised.value.outcome is Outcome.DEADLINE_EXCEEDED
    assert (harness.value("mizzen_request_duration_seconds_sum") or 0) >= 3600


def test_a_request_is_in_flight_while_it_is_read() -> None:
    harness = Harness(TestModel())

    with harness.service.receiving(time.perf_counter()):
        assert harness.in_flight.count == 1

    assert harness.in_flight.count == 0
    assert harness.value("mizzen_request_duration_seconds_count") == 0, "it has not ended yet"


def test_a_request_that_is_not_read_to_its_end_is_counted_as_what_the_transport_says() -> None:
    harness = Harness(TestModel())

    def refuse() -> None:
        with harness.service.receiving(time.perf_counter()) as reception:
            reception.outcome = Outcome.INVALID_INPUT
            raise ValueError("no JSON")

    with pytest.raises(ValueError, match="no JSON"):
        refuse()

    harness.assert_counted_once_as(Outcome.INVALID_INPUT)
