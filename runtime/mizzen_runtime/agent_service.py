"""The data plane: a request becomes an answer, a stream of events, or one error of the closed set. Knows no HTTP.

Every request is observed exactly once, in whatever way it ends. Cancelling the task that runs or consumes it is how a
caller gives up.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from mizzen_runtime.admission import Priority
from mizzen_runtime.errors import Outcome, RunError
from mizzen_runtime.model_agent import Answer, Question
from mizzen_runtime.production_agent import ProductionAgentBase
from mizzen_runtime.run_frame import Arrival, Frames, Reception, Run

RunInput = str | dict[str, Any] | BaseModel
"""What the agent is asked: a text, a JSON object, or what own code has as its type for it."""
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
    timeout: float | None = None
    """Seconds that it may take, where that is less than the agent's own bound."""
    priority: Priority = Priority.SINGLE
    """Whose turn is first."""


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


class AgentService:
    """Runs the agent for callers."""

    def __init__(self, agent: ProductionAgentBase[Any, Any], frames: Frames) -> None:
        """Bind what a request needs.

        Args:
            agent: Answers.
            frames: The frames that the agent's requests have, by which those are counted that do not come so far.
        """
        self._agent = agent
        self._frames = frames

    @property
    def at_once(self) -> int:
        """How many requests are answered at a time."""
        return self._agent.config.max_concurrent_requests

    async def run(self, request: RunRequest) -> RunResult:
        """Answer a request.

        Raises:
            RunError: There is no answer; which one of the set says why.
            asyncio.CancelledError: The caller gave up.
        """
        async with self._frames.around(self._arrival(request)) as run:
            return _result(run, await self._agent.answer_in(run, _asked(request)))

    async def stream(self, request: RunRequest) -> AsyncGenerator[StreamEvent, None]:
        """Answer a request piece by piece: any number of `TextDelta`, then one `RunResult`.

        Raises:
            RunError: There is no answer; which one of the set says why.
            asyncio.CancelledError: The caller gave up.
        """
        async with (
            self._frames.around(self._arrival(request)) as run,
            aclosing(self._agent.pieces_in(run, _asked(request))) as pieces,
        ):
            async for piece in pieces:
                if isinstance(piece, str):
                    yield TextDelta(piece.encode(errors="replace").decode())
                else:
                    yield _result(run, piece)

    def receiving(self, arrived: float) -> Reception:
        """Count a request while the transport reads it, and for good if it does not become a `RunRequest`.

        Args:
            arrived: When its head had come (`time.perf_counter`).
        """
        return self._frames.receiving(arrived)

    def _arrival(self, request: RunRequest) -> Arrival:
        bound = self._agent.config.request_timeout
        seconds = bound if request.timeout is None else min(request.timeout, bound)
        return Arrival(request.id, request.arrived, request.arrived + seconds, request.priority, allowed=bound)


def _asked(request: RunRequest) -> BaseModel:
    given = request.input
    return given if isinstance(given, BaseModel) else Question(given)


def _result(run: Run, answer: BaseModel) -> RunResult:
    """Give the answer.

    Raises:
        RunError: It cannot be written as JSON.
    """
    output = answer.root if isinstance(answer, Answer) else answer
    _check_json(output)
    run.answered()
    usage = run.usage
    return RunResult(
        id=run.id,
        output=output,
        usage=Usage(usage.requests, usage.input_tokens, usage.output_tokens),
        seconds=run.seconds,
        attempts=run.attempts,
    )


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
