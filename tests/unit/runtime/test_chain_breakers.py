"""The breakers of a chain: which ends of an attempt count, who is passed over, what the caller is told."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
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
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelRequestTimeout,
    ModelServerError,
    RunTimedOut,
    UnexpectedModelBehavior,
    UserError,
)
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.settings import ModelSettings

from mizzen_api.breakers import DEFAULT_BREAKER
from mizzen_runtime.agent.chain import chain
from mizzen_runtime.agent.failures import failure_of
from mizzen_runtime.attempts import Attempts, current_attempts
from mizzen_runtime.breakers import BreakerOpenError, CircuitBreaker, State
from mizzen_runtime.errors import Outcome

pytestmark = pytest.mark.anyio

FIRST, SECOND = "x:first", "x:second"


class Script:
    """A model that does what the test says, and counts how often it is asked."""

    def __init__(self, *, settings: ModelSettings | None = None) -> None:
        self.asked = 0
        self.raises: Exception | None = None
        self.hangs = False
        self.before_piece: Callable[[int], None] = lambda _: None

        async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            await self._do()
            return ModelResponse(parts=[TextPart("Hello")])

        async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
            await self._do()
            for index in range(3):
                self.before_piece(index)
                yield "Hello "

        self.model = FunctionModel(answer, stream_function=stream, settings=settings)

    async def _do(self) -> None:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.raises is not None:
            raise self.raises


class Served:
    """An agent with a chain of models behind breakers, whose clock the test holds."""

    def __init__(self, *scripts: Script, **settings: Any) -> None:
        self.now = 0.0
        self.scripts = scripts
        self.settings = DEFAULT_BREAKER.model_copy(update=settings)
        names = [FIRST, SECOND][: len(scripts)]
        self.breakers = [CircuitBreaker(name, self.settings, clock=lambda: self.now) for name in names]
        self._chain = chain([(name, each.model) for name, each in zip(names, scripts, strict=True)], self.breakers)
        self.agent: Agent[None, str] = Agent()
        self.attempts = Attempts(0, allowed=0)

    async def answer(self, *, allowed: float = 60, given: float | None = None, run_out: bool = False) -> str:
        seconds = allowed if given is None else given
        self._begin(allowed, seconds)
        return (await self.agent.run("Hi", model=self._chain, timeout=seconds if run_out else None)).output

    async def stream(self) -> str:
        self._begin(60, 60)
        async with self.agent.run_stream_events("Hi", model=self._chain) as events:
            async for event in events:
                if isinstance(event, AgentRunResultEvent):
                    return str(event.result.output)
        raise AssertionError("no result")

    def _begin(self, allowed: float, given: float) -> None:
        self.attempts = Attempts(time.perf_counter() + given, allowed=allowed)
        current_attempts.set(self.attempts)

    @property
    def noted(self) -> list[tuple[str, str, bool]]:
        told = self.attempts.as_json()["attempts"]
        assert isinstance(told, list)
        return [(each["model"], each["outcome"], each["seconds"] == 0) for each in told]

    def counts(self, place: int = 0) -> tuple[int, int, int]:
        counts = self.breakers[place].counts
        return counts.successful, counts.failed, counts.ignored


@pytest.fixture(autouse=True)
def nothing_noted_after() -> Iterator[None]:
    yield
    current_attempts.set(None)


SUCCESS, FAILURE, IGNORED = (1, 0, 0), (0, 1, 0), (0, 0, 1)


@pytest.mark.parametrize("way", [Served.answer, Served.stream])
@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (None, SUCCESS),
        (ContentFilterError("x"), SUCCESS),
        (ModelConnectionError("m", "x"), FAILURE),
        (ModelServerError("m", "x"), FAILURE),
        (ModelRateLimitError("m", "x"), FAILURE),
        (ModelQuotaExceededError("m", "x"), FAILURE),
        (ModelAPIError("m", "x"), FAILURE),
        (UnexpectedModelBehavior("x"), FAILURE),
        (ModelAuthenticationError("m", "x"), FAILURE),
        (ModelNotFoundError("m", "x"), FAILURE),
        (ModelRequestRejectedError("m", "x"), IGNORED),
        (ModelContextWindowExceededError("m", "x"), IGNORED),
        (UserError("x"), IGNORED),
        (KeyError("x"), IGNORED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_what_the_end_of_an_attempt_says_of_the_model(
    way: Any, error: Exception | None, counts: tuple[int, int, int]
) -> None:
    script = Script()
    script.raises = error
    served = Served(script)

    with nullcontext() if error is None else pytest.raises(type(error)):
        await way(served)

    assert served.counts() == counts


async def test_a_model_that_fails_is_passed_over_until_it_is_tried_again_and_answers() -> None:
    first, second = Script(), Script()
    served = Served(first, second)
    first.raises = ModelServerError("m", "x")
    for _ in range(5):
        await served.answer()
        assert served.noted == [(FIRST, "model_unavailable", False), (SECOND, "ok", False)]
        assert served.attempts.any_failed

    for way in (served.answer, served.stream):
        await way()
        assert served.noted == [(FIRST, "model_unavailable", True), (SECOND, "ok", False)]
        assert not served.attempts.any_failed, "it was not asked, and that is worth no line of the log"
    assert first.asked == 5
    assert served.attempts.as_log()[0]["breaker"] == FIRST

    first.raises = None
    served.now = 30
    for _ in range(4):
        await served.answer()
        assert served.noted == [(FIRST, "ok", False)]
    assert served.breakers[0].state_now().state is State.CLOSED


async def test_when_nobody_is_asked_the_caller_is_told_the_soonest_time() -> None:
    first, second = Script(), Script()
    served = Served(first, second)
    first.raises, second.raises = ModelRateLimitError("m", "x", retry_after=40), ModelServerError("m", "x")
    for _ in range(5):
        with pytest.raises(FallbackExceptionGroup):
            await served.answer()
    served.now = 10

    with pytest.raises(FallbackExceptionGroup) as raised:
        await served.answer()

    assert (first.asked, second.asked) == (1, 5)
    failure = failure_of(raised.value)
    assert (failure.outcome, failure.retry_after) == (Outcome.MODEL_UNAVAILABLE, 20)
    assert failure.detail == "no model of the chain is asked for now: all failed"
    assert served.noted == [(FIRST, "model_unavailable", True), (SECOND, "model_unavailable", True)]


async def test_a_model_alone_is_answered_for_at_once_too() -> None:
    script = Script()
    script.raises = ModelServerError("m", "x")
    served = Served(script)
    for _ in range(5):
        with pytest.raises(ModelServerError):
            await served.answer()

    with pytest.raises(BreakerOpenError) as raised:
        await served.answer()

    failure = failure_of(raised.value)
    assert (failure.outcome, failure.retry_after, script.asked) == (Outcome.MODEL_UNAVAILABLE, 30, 5)


async def test_a_retry_after_is_honoured_whatever_the_rate() -> None:
    first, second = Script(), Script()
    served = Served(first, second)
    for _ in range(20):
        await served.answer()
    first.raises = ModelRateLimitError("m", "x", retry_after=4)
    await served.answer()
    first.raises = None

    await served.answer()
    assert (first.asked, second.asked) == (21, 2)
    served.now = 4
    await served.answer()
    assert (first.asked, second.asked) == (22, 2)


async def test_a_caller_who_leaves_gives_the_permit_back() -> None:
    script = Script()
    script.raises = ModelServerError("m", "x")
    served = Served(script, permitted_calls_in_half_open=1)
    for _ in range(5):
        with pytest.raises(ModelServerError):
            await served.answer()
    script.raises, script.hangs, served.now = None, True, 30
    for _ in range(10):
        asked = script.asked
        task = asyncio.create_task(served.answer())
        while script.asked == asked:  # noqa: ASYNC110 - a model sets no event
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    script.hangs = False
    assert await served.answer() == "Hello"
    assert served.breakers[0].state_now().state is State.CLOSED
    assert served.counts() == (1, 5, 10)


async def test_a_model_that_uses_up_the_requests_time_has_failed() -> None:
    script = Script()
    script.hangs = True
    served = Served(script)

    with pytest.raises(RunTimedOut):
        await served.answer(allowed=0.2, run_out=True)

    assert served.counts() == FAILURE


async def test_a_caller_in_a_hurry_does_not_make_it_look_away() -> None:
    script = Script()
    script.hangs = True
    served = Served(script)

    with pytest.raises(RunTimedOut):
        await served.answer(allowed=60, given=0.1, run_out=True)

    assert served.counts() == IGNORED


async def test_nor_does_one_who_leaves_it_a_share_that_is_too_short() -> None:
    first, second = Script(), Script()
    first.hangs = True
    served = Served(first, second)

    assert await served.answer(allowed=60, given=1) == "Hello"
    assert served.counts() == IGNORED
    assert await served.answer(allowed=1) == "Hello"
    assert served.counts() == (0, 1, 1)


@pytest.mark.parametrize("alone", [True, False])
async def test_a_model_that_uses_up_its_own_timeout_has_failed(alone: bool) -> None:
    script = Script(settings=ModelSettings(request_timeout=0.1))
    script.hangs = True
    served = Served(script, *([] if alone else [Script()]))

    for way in (served.answer, served.stream):
        try:
            await way()
        except ModelAPIError:
            assert alone

    assert served.counts() == (0, 2, 0)


@pytest.mark.parametrize(
    ("settings", "counts"),
    [(ModelSettings(request_timeout=0.1), (0, 2, 0)), (ModelSettings(first_event_timeout=0.1), (0, 1, 0))],
    ids=["for the whole", "for the first event of a stream"],
)
async def test_a_model_that_uses_up_what_the_agent_gives_it_has_failed(
    settings: ModelSettings, counts: tuple[int, int, int]
) -> None:
    script = Script()
    script.hangs = True
    served = Served(script)
    served.agent.model_settings = settings

    with pytest.raises(ModelRequestTimeout):
        await served.stream()
    if "request_timeout" in settings:
        with pytest.raises(ModelRequestTimeout):
            await served.answer()

    assert served.counts() == counts


async def test_a_slow_answer_counts_as_slow_and_a_stream_by_its_first_piece() -> None:
    script = Script()
    served = Served(script, slow_call_seconds=0.5)

    script.before_piece = lambda index: time.sleep(0.6) if index == 2 else None
    await served.stream()
    assert served.breakers[0].counts.slow == 0

    script.before_piece = lambda index: time.sleep(0.6) if index == 0 else None
    await served.stream()
    assert served.breakers[0].counts.slow == 1


async def test_a_stream_that_breaks_after_its_first_piece_is_a_failure() -> None:
    def breaks(index: int) -> None:
        if index == 2:
            raise ModelConnectionError("m", "x")

    script, second = Script(), Script()
    script.before_piece = breaks
    served = Served(script, second)

    with pytest.raises(ModelConnectionError):
        await served.stream()

    assert served.counts() == FAILURE
    assert second.asked == 0


async def test_outside_of_a_request_it_is_guarded_all_the_same() -> None:
    script = Script()
    script.raises = ModelServerError("m", "x")
    breaker = CircuitBreaker(FIRST, DEFAULT_BREAKER)
    agent: Agent[None, str] = Agent()
    for _ in range(5):
        with pytest.raises(ModelServerError):
            await agent.run("Hi", model=chain([(FIRST, script.model)], [breaker]))

    with pytest.raises(BreakerOpenError):
        await agent.run("Hi", model=chain([(FIRST, script.model)], [breaker]))
    assert script.asked == 5
