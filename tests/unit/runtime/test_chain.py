"""Which model answers, how long each has, and what is noted of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextvars import copy_context
from typing import Any

import pytest
from pydantic_ai import Agent, AgentRunResultEvent
from pydantic_ai.exceptions import (
    ContentFilterError,
    FallbackExceptionGroup,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestTimeout,
    ModelServerError,
    UnexpectedModelBehavior,
    UserError,
)
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.settings import ModelSettings

from mizzen_runtime.agent.chain import ChainedModel, chain
from mizzen_runtime.agent.failures import falls_over
from mizzen_runtime.attempts import MAX_TOLD, Attempts, current_attempts
from mizzen_runtime.errors import Outcome

pytestmark = pytest.mark.anyio

HELLO = "Hello from the second"


def says(text: str) -> FunctionModel:
    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart(text)])

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield text

    return FunctionModel(answer, stream_function=stream)


def fails(error: Exception) -> FunctionModel:
    def fail() -> str:
        raise error

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart(fail())])

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield fail()

    return FunctionModel(answer, stream_function=stream)


def hangs(settings: ModelSettings | None = None) -> FunctionModel:
    async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        await asyncio.Event().wait()
        raise AssertionError("never")

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield "never"

    return FunctionModel(answer, stream_function=stream, settings=settings)


def speaks(*pieces: str, pause: float) -> FunctionModel:
    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        for piece in pieces:
            yield piece
            await asyncio.sleep(pause)

    return FunctionModel(stream_function=stream)


class Run:
    """Runs of an agent with a chain, each a request with a deadline of its own."""

    def __init__(self, *models: Model, seconds: float = 60, **agent: Any) -> None:
        names = [f"x:{place}" for place in range(len(models))]
        self._chain = chain(list(zip(names, models, strict=True)))
        self._seconds = seconds
        self.agent: Agent[None, Any] = Agent(**agent)
        self.attempts = Attempts(0, allowed=seconds)

    async def answer(self) -> str:
        self._begin()
        result = await self.agent.run("Hi", model=self._chain)
        return str(result.output)

    async def stream(self) -> str:
        self._begin()
        async with self.agent.run_stream_events("Hi", model=self._chain) as events:
            async for event in events:
                if isinstance(event, AgentRunResultEvent):
                    return str(event.result.output)
        raise AssertionError("no result")

    def _begin(self) -> None:
        self.attempts = Attempts(time.perf_counter() + self._seconds, allowed=self._seconds)
        current_attempts.set(self.attempts)

    @property
    def noted(self) -> list[tuple[str, str]]:
        told = self.attempts.as_json()["attempts"]
        assert isinstance(told, list)
        return [(each["model"], each["outcome"]) for each in told]


@pytest.fixture(autouse=True)
def nothing_noted_before() -> Iterator[None]:
    assert copy_context().get(current_attempts) is None
    yield
    current_attempts.set(None)


def seconds_of(error: BaseException) -> float:
    """Give the time that a model had."""
    assert isinstance(error, ModelRequestTimeout)
    return error.timeout


def test_several_models_are_asked_in_their_order() -> None:
    model = chain([("a", says("a")), ("b", says("b"))])

    assert isinstance(model, FallbackModel)
    assert [each.name for each in model.models if isinstance(each, ChainedModel)] == ["a", "b"]


def test_one_model_needs_no_chain() -> None:
    assert isinstance(chain([("a", says("a"))]), ChainedModel)


UNAVAILABLE, REJECTED = "model_unavailable", "model_rejected"


@pytest.mark.parametrize("way", [Run.answer, Run.stream])
@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ModelConnectionError("m", "x"), UNAVAILABLE),
        (ModelRequestTimeout("m", 1), UNAVAILABLE),
        (ModelRateLimitError("m", "x"), UNAVAILABLE),
        (ModelQuotaExceededError("m", "x"), UNAVAILABLE),
        (ModelServerError("m", "x"), UNAVAILABLE),
        (ModelAuthenticationError("m", "x"), REJECTED),
        (ModelContextWindowExceededError("m", "x"), "invalid_input"),
        (ModelAPIError("m", "x"), "model_misbehaved"),
        (UnexpectedModelBehavior("x"), "model_misbehaved"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_the_next_model_is_asked_when_one_cannot_answer(way: Any, error: Exception, outcome: str) -> None:
    run = Run(fails(error), says(HELLO))

    assert await way(run) == HELLO
    assert run.noted == [("x:0", outcome), ("x:1", "ok")]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ContentFilterError("x"), "model_refused"),
        (UserError("x"), "agent_failed"),
        (KeyError("x"), "agent_failed"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_refusal_and_a_fault_of_own_code_are_final(error: Exception, outcome: str) -> None:
    run = Run(fails(error), says(HELLO))

    with pytest.raises(type(error)):
        await run.answer()
    assert run.noted == [("x:0", outcome)]
    assert not falls_over(error)


async def test_a_chain_that_failed_has_noted_every_model() -> None:
    run = Run(fails(ModelServerError("m", "x")), fails(ModelAuthenticationError("m", "x")))

    with pytest.raises(FallbackExceptionGroup):
        await run.answer()
    assert run.noted == [("x:0", UNAVAILABLE), ("x:1", REJECTED)]
    assert [each["kind"] for each in run.attempts.as_log()] == ["ModelServerError", "ModelAuthenticationError"]


@pytest.mark.parametrize("way", [Run.answer, Run.stream])
async def test_a_model_that_hangs_leaves_an_even_share_of_the_time_to_those_after_it(way: Any) -> None:
    run = Run(hangs(), hangs(), fails(ModelServerError("m", "x")), seconds=0.6)

    with pytest.raises(FallbackExceptionGroup) as raised:
        await way(run)

    first, second = map(seconds_of, raised.value.exceptions[:2])
    assert 0 < first <= 0.2
    assert 0 < second <= 0.2
    assert run.noted == [("x:0", UNAVAILABLE), ("x:1", UNAVAILABLE), ("x:2", UNAVAILABLE)]


async def test_what_a_model_left_over_is_shared_by_those_after_it() -> None:
    run = Run(fails(ModelServerError("m", "x")), hangs(), fails(ModelServerError("m", "x")), seconds=2)

    with pytest.raises(FallbackExceptionGroup) as raised:
        await run.answer()

    assert 0.67 < seconds_of(raised.value.exceptions[1]) <= 1, "a half of what is left; a third of all would be 0.67"


async def test_the_last_model_has_all_the_time_that_is_left() -> None:
    run = Run(fails(ModelServerError("m", "x")), hangs(), seconds=0.05)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run.answer(), 0.3)
    run.attempts.settle(Outcome.DEADLINE_EXCEEDED)
    assert run.noted == [("x:0", UNAVAILABLE), ("x:1", "deadline_exceeded")]


@pytest.mark.parametrize("way", [Run.answer, Run.stream])
async def test_a_models_own_timeout_stands_in_place_of_its_share(way: Any) -> None:
    run = Run(hangs(ModelSettings(request_timeout=0.05)), says(HELLO), seconds=3600)

    assert await way(run) == HELLO
    assert run.noted == [("x:0", UNAVAILABLE), ("x:1", "ok")]


async def test_a_stream_that_has_begun_is_not_cut_when_its_share_is_over() -> None:
    run = Run(speaks("Once ", "upon ", "a time", pause=0.6), says(HELLO), seconds=2)

    assert await run.stream() == "Once upon a time"
    assert run.noted == [("x:0", "ok")]


async def test_a_stream_never_switches_its_model_after_its_first_piece() -> None:
    async def breaks(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield "Once "
        raise ModelConnectionError("m", "x")

    run = Run(FunctionModel(stream_function=breaks), says(HELLO))

    with pytest.raises(ModelConnectionError):
        await run.stream()
    assert run.noted == [("x:0", UNAVAILABLE)]


async def test_a_caller_who_gives_up_is_no_models_fault() -> None:
    asked = asyncio.Event()

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    run = Run(FunctionModel(answer), says(HELLO), seconds=3600)
    task = asyncio.create_task(run.answer())
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    run.attempts.settle(Outcome.CANCELLED)
    assert run.noted == [("x:0", "cancelled")]


async def test_a_run_with_many_requests_tells_the_last_ones_and_how_many_came_before() -> None:
    asked = 0

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        nonlocal asked
        asked += 1
        return ModelResponse(parts=[ToolCallPart("look", {}) if asked <= MAX_TOLD + 4 else TextPart("Done")])

    run = Run(FunctionModel(answer))
    run.agent.tool_plain(lambda: "nothing", name="look")  # type: ignore[call-overload]

    assert await run.answer() == "Done"
    told = run.attempts.as_json()
    assert run.noted == [("x:0", "ok")] * MAX_TOLD
    assert told["attempts_omitted"] == 5


async def test_requests_at_the_same_time_note_their_own_attempts() -> None:
    async def one(model: Model, seconds: float = 3600) -> list[tuple[str, str]]:
        run = Run(model, says(HELLO), seconds=seconds)
        await run.answer()
        return run.noted

    first, second, third = await asyncio.gather(
        one(says("Hi")), one(fails(ModelServerError("m", "x"))), one(hangs(), seconds=0.2)
    )

    assert first == [("x:0", "ok")]
    assert second == third == [("x:0", UNAVAILABLE), ("x:1", "ok")]


async def test_outside_of_a_request_nothing_is_noted_and_nothing_bounded() -> None:
    agent: Agent[None, Any] = Agent()

    result = await agent.run("Hi", model=chain([("a", fails(ModelServerError("m", "x"))), ("b", says(HELLO))]))

    assert result.output == HELLO
