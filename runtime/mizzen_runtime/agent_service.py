"""The data plane: a request becomes an answer, a stream of events, or one error of the closed set. Knows no HTTP.

Every request is observed exactly once, in whatever way it ends. Cancelling the task that runs or consumes it is how a
caller gives up.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from pydantic_ai import AgentRunResultEvent, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta
from pydantic_ai.usage import RunUsage
from pydantic_core import PydanticSerializationError, to_json

from mizzen_runtime import log
from mizzen_runtime.agent.build import BuiltAgent
from mizzen_runtime.agent.failures import AGENT_FAILED, failure_of
from mizzen_runtime.agent.in_force import AgentInForce
from mizzen_runtime.attempts import Attempts, current_attempts
from mizzen_runtime.dependencies import Dependencies
from mizzen_runtime.errors import Outcome, RunError
from mizzen_runtime.metrics import AgentMetrics
from mizzen_runtime.request_log import log_end, log_unread

RunInput = str | dict[str, Any]
"""What the agent is asked: a text, or a JSON object, which reaches the model as JSON."""
RunOutput = Any
"""What the agent answers: a text, or whatever fits its output schema; it can be written as JSON."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One thing to do."""

    id: str
    """Names the request in log and answer."""
    input: RunInput
    arrived: float
    """When its head had come (`time.perf_counter`): what it may take, and what it took, count from here."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the models charged for one request."""

    requests: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class RunResult:
    """The answer."""

    id: str
    output: RunOutput
    usage: Usage
    seconds: float
    """From the request's arrival to its answer."""
    attempts: Mapping[str, object] = field(default_factory=dict)
    """What was asked of models, in the form that the caller is told; see `mizzen_runtime.attempts`."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of what the model says on its way to a text answer."""

    text: str


StreamEvent = TextDelta | RunResult


class InFlight:
    """How many requests are being answered."""

    def __init__(self) -> None:
        self.count = 0


class AgentService:
    """Runs the agent for callers."""

    def __init__(
        self,
        agent: AgentInForce,
        dependencies: Dependencies,
        metrics: AgentMetrics,
        in_flight: InFlight,
        *,
        timeout: float,
    ) -> None:
        """Bind what a request needs.

        Args:
            agent: The agent, as it is when a request begins.
            dependencies: What each run is given.
            metrics: Where requests are counted.
            in_flight: Counts running requests.
            timeout: Seconds that a request may take.
        """
        self._agent = agent
        self._dependencies = dependencies
        self._metrics = metrics
        self._in_flight = in_flight
        self._timeout = timeout

    async def run(self, request: RunRequest) -> RunResult:
        """Answer a request.

        Raises:
            RunError: There is no answer; which one of the set says why.
            asyncio.CancelledError: The caller gave up.
        """
        with _Observed(self, request) as observed, self._agent.current as built:
            async with self._opened(observed) as deps:
                result = await built.agent.run(_prompt(request), **_run_arguments(built, observed, deps))
            return observed.result(result.output)

    async def stream(self, request: RunRequest) -> AsyncGenerator[StreamEvent, None]:
        """Answer a request piece by piece: any number of `TextDelta`, then one `RunResult`.

        A structured answer has no pieces, because a part of it cannot fit the output schema. Where an agent uses
        tools, the pieces also hold what the model says before it calls them; the result has the answer alone.

        Raises:
            RunError: There is no answer; which one of the set says why.
            asyncio.CancelledError: The caller gave up.
        """
        with _Observed(self, request) as observed, self._agent.current as built:
            async with (
                self._opened(observed) as deps,
                built.agent.run_stream_events(_prompt(request), **_run_arguments(built, observed, deps)) as events,
            ):
                async for event in events:
                    if isinstance(event, AgentRunResultEvent):
                        yield observed.result(event.result.output)
                    elif built.streams_text and (text := _text_of(event)):
                        yield TextDelta(text.encode(errors="replace").decode())

    @asynccontextmanager
    async def _opened(self, observed: "_Observed") -> AsyncIterator[object]:
        """Open what the run is given, within the request's time.

        Raises:
            RunError: That was not enough.
        """
        async with AsyncExitStack() as opened:
            bound = asyncio.timeout(observed.time_left)
            try:
                async with bound:
                    deps = await opened.enter_async_context(self._dependencies.for_run())
            except TimeoutError as error:
                if not bound.expired():
                    raise
                raise RunError(
                    Outcome.DEADLINE_EXCEEDED, "the agent's services were not ready within the request's time"
                ) from error
            yield deps

    def receiving(self, arrived: float) -> "Reception":
        """Count a request while the transport reads it, and for good if it does not become a `RunRequest`.

        Args:
            arrived: When its head had come (`time.perf_counter`).
        """
        return Reception(self._metrics, self._in_flight, arrived)


def _run_arguments(built: BuiltAgent, observed: "_Observed", deps: object) -> dict[str, Any]:
    return {
        "deps": deps,
        "model": built.model,
        "capabilities": built.run_capabilities,
        "usage": observed.usage,
        "timeout": observed.time_left,
        "infer_name": False,
    }


class Reception:
    """The frame of a request that is being read; an exception inside counts it as ended."""

    def __init__(self, metrics: AgentMetrics, in_flight: InFlight, arrived: float) -> None:
        self._metrics = metrics
        self._in_flight = in_flight
        self._arrived = arrived
        self.outcome = Outcome.CANCELLED
        """What an exception inside means; to be set by who knows better."""

    def __enter__(self) -> Self:
        """Count it as in flight."""
        self._in_flight.count += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hand over to the run, or count the end."""
        self._in_flight.count -= 1
        if error is not None:
            seconds = time.perf_counter() - self._arrived
            self._metrics.observe(self.outcome, seconds)
            log_unread(self.outcome, seconds)


class _Observed:
    """The frame of one request: counts it once, whatever happens inside, and translates what is raised."""

    def __init__(self, service: AgentService, request: RunRequest) -> None:
        self._metrics = service._metrics  # noqa: SLF001 - the service's own frame
        self._in_flight = service._in_flight  # noqa: SLF001 - as above
        self._request = request
        self._attempts = Attempts(request.arrived + service._timeout)  # noqa: SLF001 - as above
        self._answered = False
        self.usage = RunUsage()

    @property
    def time_left(self) -> float:
        """Seconds until the request must be answered."""
        return self._attempts.time_left

    def __enter__(self) -> Self:
        self._in_flight.count += 1
        current_attempts.set(self._attempts)
        log.begin_request(request_id=self._request.id)  # an item of a batch has its own
        return self

    def result(self, output: RunOutput) -> RunResult:
        """Give the answer.

        Raises:
            RunError: It cannot be written as JSON.
        """
        _check_json(output)
        self._answered = True
        return RunResult(
            id=self._request.id,
            output=output,
            usage=Usage(self.usage.requests, self.usage.input_tokens, self.usage.output_tokens),
            seconds=time.perf_counter() - self._request.arrived,
            attempts=self._attempts.as_json(),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        failure = _translate(error)
        self._in_flight.count -= 1
        tokens = (self.usage.input_tokens, self.usage.output_tokens)
        self._metrics.count_tokens(*tokens)
        outcome = self._outcome(error, failure)
        seconds = time.perf_counter() - self._request.arrived
        self._metrics.observe(outcome, seconds)
        self._attempts.settle(outcome)
        log_end(outcome, seconds, self._attempts, tokens=tokens, failure=failure, cause=error)
        if failure is not None and error is not None:
            failure.attempts = self._attempts.as_json()
            raise failure from error
        return False

    def _outcome(self, error: BaseException | None, failure: RunError | None) -> Outcome:
        if failure is not None:
            return failure.outcome
        return Outcome.CANCELLED if error is not None and not self._answered else Outcome.OK


def _check_json(output: RunOutput) -> None:
    """Check that an answer can be written as JSON.

    Raises:
        RunError: It cannot. A model may send half a surrogate pair, which is no character; own code may answer with an
            object that no JSON has.
    """
    try:
        to_json(output)
    except PydanticSerializationError as error:
        if "surrogates not allowed" in str(error):
            raise RunError(Outcome.MODEL_MISBEHAVED, "the model's answer holds what is no text") from error
        raise RunError(
            Outcome.AGENT_FAILED, "the agent's answer is an object that cannot be written as JSON"
        ) from error


def _translate(error: BaseException | None) -> RunError | None:
    """Give the error of the set; None for no error and for a caller who gave up (cancelled, or closed the stream)."""
    if error is None or isinstance(error, RunError):
        return error
    if isinstance(error, Exception):
        return failure_of(error)
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() == 0:
        # Nobody cancelled the request: something that it waited for was.
        return RunError(Outcome.AGENT_FAILED, AGENT_FAILED)
    if isinstance(error, BaseExceptionGroup):
        return RunError(Outcome.AGENT_FAILED, AGENT_FAILED)
    return None


def _prompt(request: RunRequest) -> str:
    return request.input if isinstance(request.input, str) else json.dumps(request.input, ensure_ascii=False)


def _text_of(event: object) -> str | None:
    if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
        return event.delta.content_delta
    if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
        return event.part.content
    return None
