"""The frame of every request: its turn, its time, exactly one observation, and errors of a closed set.

Whoever answers, a model or own code, and whoever asks, a single request or an item of a batch, goes through it.
"""

import asyncio
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self

from pydantic_ai.usage import RunUsage

from mizzen_runtime import log
from mizzen_runtime.admission import AdmissionGate, Priority
from mizzen_runtime.agent.failures import AGENT_FAILED, failure_of
from mizzen_runtime.attempts import Attempts, current_attempts
from mizzen_runtime.errors import Outcome, RunError
from mizzen_runtime.metrics import RequestMetrics
from mizzen_runtime.request_log import log_end, log_unread

_BATCH_AGAIN_SECONDS = 1.0
"""After which a batch item asks for its turn again that found the queue full."""


class InFlight:
    """How many requests are being answered."""

    def __init__(self) -> None:
        self.count = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as the frame sees it."""

    id: str
    """Names the request in log and answer."""
    at: float
    """When its head had come (`time.perf_counter`): what it took counts from here."""
    deadline: float
    """When it must be answered, by the same clock."""
    priority: Priority = Priority.SINGLE
    """Whose turn is first."""
    allowed: float | None = None
    """Seconds that the agent gives any request, where the caller gave this one less."""


class Frames:
    """What all requests of one agent share: the gate, the metrics, and how many are in flight."""

    def __init__(self, gate: AdmissionGate, metrics: RequestMetrics, in_flight: InFlight) -> None:
        """Bind what a request needs.

        Args:
            gate: Gives each request its turn.
            metrics: Where requests are counted.
            in_flight: Counts those that run.
        """
        self.gate = gate
        self.metrics = metrics
        self.in_flight = in_flight

    def around(self, arrival: Arrival) -> "Run":
        """Give the frame of one request: `async with frames.around(arrival) as run`."""
        return Run(self, arrival)

    def receiving(self, arrived: float) -> "Reception":
        """Count a request while the transport reads it, and for good if it does not come as far as its frame.

        Args:
            arrived: When its head had come (`time.perf_counter`).
        """
        return Reception(self.metrics, self.in_flight, arrived)


class Reception:
    """The frame of a request that is being read; an exception inside counts it as ended."""

    def __init__(self, metrics: RequestMetrics, in_flight: InFlight, arrived: float) -> None:
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
            log_unread(self.outcome, seconds, error)


class Run:
    """The frame of one request: waits for its turn, counts it once whatever happens inside, translates what is raised.

    A class, because a generator would double what the frame costs.
    """

    def __init__(self, frames: Frames, arrival: Arrival) -> None:
        self._frames = frames
        self._arrival = arrival
        allowed = arrival.deadline - arrival.at if arrival.allowed is None else arrival.allowed
        self._attempts = Attempts(arrival.deadline, frames.metrics.models.observe, allowed=allowed)
        self._admission = frames.gate.admitted(priority=arrival.priority, deadline=arrival.deadline)
        self._is_answered = False
        self._before = (current_run.get(), current_attempts.get(), log.request_fields())
        self.usage = RunUsage()
        """What models charged; whoever asks them adds to it."""
        self.given: Any = None
        """What the run is given of services, in the form that the agent wants."""

    @property
    def id(self) -> str:
        """Names the request in log and answer."""
        return self._arrival.id

    @property
    def time_left(self) -> float:
        """Seconds until the request must be answered; 0 when they are over."""
        return self._attempts.time_left

    @property
    def seconds(self) -> float:
        """How long it takes since its arrival."""
        return time.perf_counter() - self._arrival.at

    @property
    def attempts(self) -> Mapping[str, object]:
        """What was asked of models, in the form that the caller is told."""
        return self._attempts.as_json()

    def answered(self) -> None:
        """Note that there is an answer: a caller who leaves from now on has missed it, and does not end the run."""
        self._is_answered = True

    def within_time(self, too_late: str) -> "WithinTime":
        """Bound what is inside by the request's time.

        Args:
            too_late: What the caller is told if that was not enough.

        Raises:
            RunError: It was not.
        """
        return WithinTime(self.time_left, too_late)

    async def __aenter__(self) -> Self:
        """Wait for its turn.

        Raises:
            RunError: It does not come: too many wait, its time is over, or the pod leaves.
        """
        current_run.set(self)
        current_attempts.set(self._attempts)
        log.begin_request(request_id=self.id)  # an item of a batch has its own
        try:
            await self._turn()
        except BaseException as error:
            self._end(error)
            raise
        self._frames.in_flight.count += 1
        return self

    async def _turn(self) -> None:
        while True:
            try:
                await self._admission.__aenter__()
            except RunError as error:
                # Who sends a batch is not in a hurry: its items wait, where a single request is better told at once.
                waits = self._arrival.priority is Priority.BATCH and error.outcome is Outcome.OVERLOADED
                if not waits or self.time_left <= _BATCH_AGAIN_SECONDS:
                    raise
                await asyncio.sleep(_BATCH_AGAIN_SECONDS)
            else:
                return

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        """Let the next one in, and count the end.

        Raises:
            RunError: In the place of what was raised inside.
        """
        self._frames.in_flight.count -= 1
        await self._admission.__aexit__(kind, error, trace)
        self._end(error)
        return False

    def _end(self, error: BaseException | None) -> None:
        run, attempts, fields = self._before
        current_run.set(run)
        current_attempts.set(attempts)
        failure = _translate(error)
        outcome = self._outcome(error, failure)
        seconds = self.seconds
        self._frames.metrics.observe(outcome, seconds)
        self._attempts.settle(outcome)
        tokens = (self.usage.input_tokens, self.usage.output_tokens)
        # In the loop's next turn: by then the answer is on its way, and is not held up by the line.
        asyncio.get_running_loop().call_soon(
            partial(log_end, outcome, seconds, self._attempts, tokens=tokens, failure=failure, cause=error)
        )
        log.set_request_fields(fields)  # the line keeps those that were there when it was put off
        if failure is not None and error is not None:
            failure.attempts = self._attempts.as_json()
            if failure is not error:
                raise failure from error

    def _outcome(self, error: BaseException | None, failure: RunError | None) -> Outcome:
        if failure is not None:
            return failure.outcome
        return Outcome.CANCELLED if error is not None and not self._is_answered else Outcome.OK


class WithinTime:
    """Ends what is inside when its time is over. A class for the reason that `Run` is one."""

    __slots__ = ("_bound", "_too_late")

    def __init__(self, seconds: float, too_late: str) -> None:
        self._bound = asyncio.timeout(seconds)
        self._too_late = too_late

    async def __aenter__(self) -> None:
        await self._bound.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._bound.__aexit__(kind, error, trace)
        except TimeoutError as over:
            raise RunError(Outcome.DEADLINE_EXCEEDED, self._too_late) from over


current_run: ContextVar[Run | None] = ContextVar("current_run", default=None)
"""The request that is being answered; the tasks and threads that it starts copy this."""


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
