"""The base of every agent: one frame around each request, whether a model answers it or own code does.

Own code derives from it and gets admission, deadline, metrics, health and batches. It works without a server, in a
script or a notebook: then gate and metrics are the agent's own. In a pod they are the process's.
"""

import asyncio
import inspect
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable
from concurrent.futures import Executor
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypedDict

from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict, Field
from pydantic_ai import Agent
from pydantic_ai.usage import RunUsage
from typing_extensions import TypeVar

from mizzen_runtime.admission import AdmissionGate, Priority
from mizzen_runtime.agent.exits import contained
from mizzen_runtime.batch import each_of, in_order
from mizzen_runtime.container import AgentServices
from mizzen_runtime.errors import RunError
from mizzen_runtime.metrics import RequestMetrics
from mizzen_runtime.run_frame import Arrival, Frames, InFlight, Run, current_run
from mizzen_runtime.statistics.agent_metrics import AgentMetrics
from mizzen_runtime.thread_pool import THREADS, thread_pool

TOO_LATE = "the answer was not complete within the time that a request may take"
_SERVICES_TOO_LATE = "the agent's services were not ready within the request's time"
_MIN_REQUESTS = 10
"""Requests that there must have been lately before anything is said of their failures."""
_DEGRADED_PERCENT = 10
_UNHEALTHY_PERCENT = 90


class AgentConfig(BaseModel):
    """What an agent may take. Derive from it for settings of one's own; each needs a default to be served by a pod.

    In a pod, the resource's `spec.limits` decide in the place of these.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_concurrent_requests: int = Field(10, ge=1, le=1000)
    """How many requests are answered at once, items of batches among them."""
    max_queued_requests: int = Field(100, ge=0, le=10_000)
    """How many more wait for their turn; further ones are refused at once."""
    request_timeout: float = Field(60.0, gt=0)
    """Seconds that a request may take, the wait for its turn included."""
    max_threads: int = Field(THREADS, ge=1, le=1000)
    """How many calls of synchronous code run at once."""


RequestT = TypeVar("RequestT", bound=BaseModel, default=BaseModel)
AnswerT = TypeVar("AnswerT", bound=BaseModel, default=BaseModel)
HealthStatus = Literal["healthy", "degraded", "unhealthy"]


class AgentHealth(TypedDict):
    """How an agent is."""

    status: HealthStatus
    uptime_seconds: float
    memory_mb: float
    """Of the process."""
    success_rate: float
    """Percent of the requests since the start that were answered; 100 before the first."""
    total_requests: int
    """Since the start."""
    avg_response_time_ms: float
    """Of the last minutes; see `AgentMetrics`."""


@dataclass(frozen=True)
class BatchResult(Generic[AnswerT]):
    """What became of one item of a batch."""

    index: int
    """Its place, from 0."""
    output: AnswerT | None = None
    """The answer; None for an error."""
    error: RunError | None = None
    """Why there is no answer; its cause is what was raised."""

    @property
    def status(self) -> Literal["ok", "error"]:
        """Which of the two it is."""
        return "ok" if self.error is None else "error"


class Batch(Generic[AnswerT]):
    """The results of a batch in the order of its items: `await` it for a list, or `async for` to hold only a few."""

    def __init__(self, results: AsyncGenerator[BatchResult[AnswerT], None]) -> None:
        """Begin nothing yet.

        Args:
            results: Gives them.
        """
        self._results = results

    def __aiter__(self) -> AsyncIterator[BatchResult[AnswerT]]:
        """Give each result as soon as those before it are there."""
        return self._results

    def __await__(self) -> Generator[Any, None, list[BatchResult[AnswerT]]]:
        """Give all results."""
        return self._all().__await__()

    async def _all(self) -> list[BatchResult[AnswerT]]:
        return [result async for result in self._results]


@dataclass(frozen=True)
class Platform:
    """What an agent runs with: its own, or in a pod the process's."""

    frames: Frames
    threads: Executor
    """Where synchronous code runs."""
    services: Callable[[], AbstractAsyncContextManager[Any] | None] = lambda: None
    """Gives what each run gets of the agent's services, if it gets any."""
    status: Callable[[], HealthStatus] | None = None
    """Tells how the process is; without it the agent's metrics say how the agent is."""


class ProductionAgentBase(ABC, Generic[RequestT, AnswerT]):
    """Derive from it and write `_process_core_request`; its annotations say what goes in and out."""

    def __init__(self, name: str, config: AgentConfig | None = None) -> None:
        """Make an agent that can be asked at once.

        Args:
            name: Names it in metrics.
            config: What it may take.
        """
        self.name = name
        self.config = config or AgentConfig()
        self._platform = _own_platform(name, self.config)

    @abstractmethod
    def _process_core_request(self, request: RequestT) -> AnswerT | Awaitable[AnswerT]:
        """Answer one request.

        `async def` runs on the event loop and must not block it. Plain `def` runs in one of a bounded number of
        threads. Whatever is raised becomes a `RunError`; its text is not told to callers.
        """

    async def process_request(self, request: RequestT) -> AnswerT:
        """Answer one request within the agent's limits.

        Raises:
            RunError: There is no answer; `outcome` says why, and the cause is what was raised.
            asyncio.CancelledError: The caller gave up.
        """
        return await self._process(request, Priority.SINGLE)

    def process_batch(self, requests: Iterable[RequestT] | AsyncIterable[RequestT]) -> Batch[AnswerT]:
        """Answer many requests, each within the agent's limits, after those that are asked one by one.

        Args:
            requests: Taken as they can be answered.

        Returns:
            A result for each in its place, an answer or an error. `await` it for a list of all; `async for` holds only
            a few at a time, and takes requests no faster than results are taken.
        """

        async def answer(index: int, request: RequestT) -> BatchResult[AnswerT]:
            try:
                return BatchResult(index, output=await self._process(request, Priority.BATCH))
            except RunError as error:
                return BatchResult(index, error=error)

        return Batch(in_order(each_of(requests), answer, at_once=self.config.max_concurrent_requests))

    async def health_check(self) -> AgentHealth:
        """Tell how the agent is. What makes it degraded is the share of requests that failed lately, never one."""
        metrics = self.metrics
        return AgentHealth(
            status=self._platform.status() if self._platform.status is not None else status_outside_a_pod(metrics),
            uptime_seconds=metrics.uptime_seconds,
            memory_mb=metrics.memory_usage_mb,
            success_rate=metrics.success_rate_percent,
            total_requests=metrics.total_requests,
            avg_response_time_ms=metrics.average_response_time_ms,
        )

    @property
    def metrics(self) -> AgentMetrics:
        """The agent's metrics at this moment."""
        return self._platform.frames.metrics.snapshot()

    @property
    def services(self) -> AgentServices:
        """The services of the request that is being answered, as they are now.

        Raises:
            LookupError: No request is being answered, or there are no services: outside a pod, hand over what the
                agent needs by its `__init__`.
        """
        given = self._run().given
        if isinstance(given, AgentServices):
            return given
        raise LookupError(f"agent {self.name!r} has no services here; in a pod they are those of spec.services")

    @property
    def usage(self) -> RunUsage:
        """What models charged for the request: hand it to pydantic-ai as `usage=`, and the answer tells it.

        Raises:
            LookupError: No request is being answered.
        """
        return self._run().usage

    @property
    def time_left(self) -> float:
        """Seconds until the request must be answered, for whoever asks others in the meantime.

        Raises:
            LookupError: No request is being answered.
        """
        return self._run().time_left

    def _run(self) -> Run:
        run = current_run.get()
        if run is None:
            raise LookupError(f"agent {self.name!r} answers no request here: ask in _process_core_request")
        return run

    def serve_on(self, platform: Platform, config: AgentConfig) -> None:
        """Run with the gate, the metrics, the threads and the services of a process from now on.

        Args:
            platform: What it runs with.
            config: What it may take there, which is what the platform was made for.
        """
        self._platform = platform
        self.config = config

    async def _process(self, request: RequestT, priority: Priority) -> AnswerT:
        now = time.perf_counter()
        arrival = Arrival(uuid.uuid4().hex, now, now + self.config.request_timeout, priority)
        async with self._platform.frames.around(arrival) as run:
            answer = await self.answer_in(run, request)
            run.answered()
            return answer

    async def answer_in(self, run: Run, request: RequestT) -> AnswerT:
        """Answer a request whose frame is entered.

        Args:
            run: The frame.
            request: What is asked.

        Raises:
            RunError: It took too long.
            Exception: What own code raised.
        """
        async with self._with_services(run), run.within_time(TOO_LATE):
            with contained(), self._own_threads():
                return await self._core(request)

    async def pieces_in(self, run: Run, request: RequestT) -> AsyncGenerator[str | AnswerT, None]:
        """Answer a request whose frame is entered, piece by piece: texts, if there are any, then the answer.

        Raises:
            RunError: It took too long.
            Exception: What own code raised.
        """
        yield await self.answer_in(run, request)

    def _with_services(self, run: Run) -> AbstractAsyncContextManager[None]:
        services = self._platform.services()
        return nullcontext() if services is None else self._opened(run, services)

    @asynccontextmanager
    async def _opened(self, run: Run, services: AbstractAsyncContextManager[Any]) -> AsyncGenerator[None, None]:
        async with AsyncExitStack() as opened:
            async with run.within_time(_SERVICES_TOO_LATE):
                run.given = await opened.enter_async_context(services)
            yield

    def _own_threads(self) -> AbstractContextManager[None]:
        """Have pydantic-ai call synchronous tools in the agent's threads."""
        return Agent.using_thread_executor(self._platform.threads)

    async def _core(self, request: RequestT) -> AnswerT:
        process = self._process_core_request
        if inspect.iscoroutinefunction(process):
            answer: AnswerT = await process(request)
            return answer
        loop = asyncio.get_running_loop()
        made = await loop.run_in_executor(self._platform.threads, copy_context().run, process, request)
        return await made if inspect.isawaitable(made) else made


def _own_platform(name: str, config: AgentConfig) -> Platform:
    """Give what an agent runs with outside a pod."""
    gate = AdmissionGate(max_running=config.max_concurrent_requests, max_queued=config.max_queued_requests)
    in_flight = InFlight()
    metrics = RequestMetrics(
        CollectorRegistry(), namespace="", agent=name, revision="", in_flight=lambda: in_flight.count, models=()
    )
    return Platform(Frames(gate, metrics, in_flight), thread_pool(config.max_threads))


def status_outside_a_pod(metrics: AgentMetrics) -> HealthStatus:
    """Tell how an agent is whose metrics are all that is known of it."""
    if metrics.window_requests < _MIN_REQUESTS or metrics.error_rate_percent < _DEGRADED_PERCENT:
        return "healthy"
    return "degraded" if metrics.error_rate_percent < _UNHEALTHY_PERCENT else "unhealthy"
