"""The chain of models: who is asked, for how long, and what is noted of it.

Each attempt is noted, one that is not the last leaves time for those after it, and a model whose breaker is open is
passed over.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from types import TracebackType
from typing import Any, Self

from pydantic_ai import RunContext
from pydantic_ai.exceptions import ModelRequestTimeout
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from mizzen_runtime.agent.breaker_verdict import Verdict, tell, verdict_on
from mizzen_runtime.agent.failures import facts_of, failure_of, falls_over
from mizzen_runtime.attempts import Attempts, current_attempts
from mizzen_runtime.breakers import BreakerOpenError, CircuitBreaker, Permit
from mizzen_runtime.errors import Outcome, RunError
from mizzen_runtime.trace_context import onward_headers

_BOUNDS = ("request_timeout",)
"""Settings of a model, or of the agent, that end an attempt."""
_STREAM_BOUNDS = (*_BOUNDS, "first_event_timeout")
"""Those that end one that has not begun to answer with a stream."""
_TIMER_SECONDS = 0.02
"""By how much a timer may be early: an event loop counts in milliseconds, from the beginning of a turn."""


def chain(models: Sequence[tuple[str, Model]], breakers: Sequence[CircuitBreaker] = ()) -> Model:
    """Give one model that asks `models` in order, the next one when one fails in a way that `falls_over` tells.

    Args:
        models: Names as the configuration has them, and models; at least one.
        breakers: One for each model, or none at all.
    """
    last = len(models) - 1
    chained = [
        ChainedModel(model, name, place, last - place, breakers[place] if breakers else None)
        for place, (name, model) in enumerate(models)
    ]
    return FallbackModel(*chained, fallback_on=_settle_and_fall_over) if last else chained[0]


def _settle_and_fall_over(error: Exception) -> bool:
    """Decide; and say what an attempt came to that pydantic-ai cancelled because its `request_timeout` was over."""
    if (attempts := current_attempts.get()) is not None:
        attempts.settle(failure_of(error).outcome)
    return falls_over(error)


class ChainedModel(WrapperModel):
    """One model of the chain."""

    def __init__(
        self, wrapped: Model, name: str, place: int, followers: int, breaker: CircuitBreaker | None = None
    ) -> None:
        """Wrap a model.

        Args:
            wrapped: The model.
            name: What it is called in the request's attempts.
            place: How many models the chain has before it.
            followers: How many models the chain has after it.
            breaker: Its breaker; it is always asked without one.
        """
        super().__init__(wrapped)
        self.name = name
        self.place = place
        self.breaker = breaker
        self._followers = followers
        self._has_own_timeout = "request_timeout" in (wrapped.settings or {})
        self._takes_headers = "extra_headers" not in _innermost(wrapped).unsupported_settings

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask for an answer, within this model's share of the time."""
        model_settings = self._with_trace(model_settings)
        with _Noted(self, self._set_bound(model_settings, _BOUNDS)) as noted:
            share = self._share()
            if share is None:
                return noted.answered(await self.wrapped.request(messages, model_settings, model_request_parameters))
            async with self._bounded(share):
                return noted.answered(await self.wrapped.request(messages, model_settings, model_request_parameters))

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Ask for a stream, whose first event must come within this model's share of the time.

        After it the stream has all the time that the request has: nobody takes over any more.
        """
        model_settings = self._with_trace(model_settings)
        with _Noted(self, self._set_bound(model_settings, _STREAM_BOUNDS)) as noted:
            share = self._share()
            async with (
                nullcontext() if share is None else self._bounded(share, noted.has_begun),
                self.wrapped.request_stream(messages, model_settings, model_request_parameters, run_context) as stream,
            ):
                noted.stream = stream
                yield stream

    @asynccontextmanager
    async def _bounded(self, share: float, has_begun: Callable[[], bool] = lambda: False) -> AsyncIterator[None]:
        """End what is inside after `share` seconds, unless it `has_begun` to answer by then.

        Raises:
            ModelRequestTimeout: They are over.
        """
        loop = asyncio.get_running_loop()
        bound = asyncio.timeout(None)

        def expire() -> None:
            if not has_begun():
                bound.reschedule(loop.time())

        try:
            async with bound:
                timer = loop.call_later(share, expire)
                try:
                    yield
                finally:
                    timer.cancel()
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise ModelRequestTimeout(self.model_name, share) from error

    def _with_trace(self, settings: ModelSettings | None) -> ModelSettings | None:
        """Have the request carry the trace that it belongs to, if it belongs to one."""
        headers = onward_headers() if self._takes_headers else None
        if not headers:
            return settings
        own = (settings or {}).get("extra_headers") or (self.wrapped.settings or {}).get("extra_headers") or {}
        return {**(settings or {}), "extra_headers": {**headers, **own}}

    def _share(self) -> float | None:
        """Give the seconds that this attempt may take: an even share of what is left, or no bound of its own.

        The last model has all that is left, and a model with a `requestTimeout` has that; pydantic-ai enforces it.
        """
        attempts = current_attempts.get()
        if attempts is None or self._followers == 0 or self._has_own_timeout:
            return None
        return attempts.time_left / (self._followers + 1)

    def _set_bound(self, model_settings: ModelSettings | None, names: tuple[str, ...]) -> float | None:
        """Give the seconds after which pydantic-ai ends an attempt because a setting says so; None if none does."""
        settings = {**(self.wrapped.settings or {}), **(model_settings or {})}
        given = (settings.get(name) for name in names)
        return min((each for each in given if isinstance(each, int | float)), default=None)

    def was_time_enough(self, seconds: float, attempts: Attempts | None) -> bool:
        """Tell whether a model that no setting bounds, and that has not answered, had time enough to be blamed for it.

        It had, with as long as a slow call takes, or half of what it has in a request that nobody hurries: a caller who
        gives a request less must not make it look as if the model were away.
        """
        if attempts is None or self.breaker is None:
            return False
        return seconds >= min(self.breaker.slow_call_seconds, attempts.allowed / (self._followers + 1) / 2)


def _innermost(model: Model) -> Model:
    while isinstance(model, WrapperModel):
        model = model.wrapped
    return model


class _Noted:
    """Notes one attempt in the request that is being answered, and tells its end to the model's breaker.

    A plain class: every request to a model pays for it.
    """

    def __init__(self, model: ChainedModel, bound: float | None) -> None:
        """Begin the attempt.

        Args:
            model: Which one is asked.
            bound: Seconds after which a setting ends it.

        Raises:
            BreakerOpenError: The model is not asked.
        """
        self._model = model
        self._bound = bound
        self._attempts = current_attempts.get()
        self._permit = self._permit_of(model)
        self._attempt = self._attempts.begin(model.name, model.place) if self._attempts is not None else None
        self._started = time.perf_counter()
        self.stream: StreamedResponse | None = None
        """What comes of the answer, where it comes as a stream."""

    def _permit_of(self, model: ChainedModel) -> Permit | None:
        if model.breaker is None:
            return None
        try:
            return model.breaker.acquire()
        except BreakerOpenError as error:
            if self._attempts is not None:
                self._attempts.pass_over(model.name, model.place, failure_of(error).outcome, facts_of(error))
            raise

    def __enter__(self) -> Self:
        """The attempt has begun."""
        return self

    def has_begun(self) -> bool:
        """Tell whether the stream has."""
        return self._seconds_to_first_piece() is not None

    def _seconds_to_first_piece(self) -> float | None:
        return self.stream.time_to_first_chunk(self._started) if self.stream is not None else None

    def answered(self, response: ModelResponse) -> ModelResponse:
        """Note the answer, and give it."""
        if self._attempt is not None:
            self._attempt.response = response
        return response

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.stream is not None:
            self.answered(self.stream.get())
        if error is None:
            self._end(Outcome.OK, Verdict.SUCCEEDED)
        elif isinstance(error, Exception):
            failure = failure_of(error)
            self._end(failure.outcome, self._verdict_on(error, failure.outcome), error, failure)
        else:  # cancelled, and whoever did it knows what that means
            self._end(None, Verdict.FAILED if self._ran_out_of_time() else Verdict.IGNORED)

    def _end(
        self,
        outcome: Outcome | None,
        verdict: Verdict,
        error: Exception | None = None,
        failure: RunError | None = None,
    ) -> None:
        if self._attempt is not None:
            self._attempt.end(outcome, facts_of(error) if error is not None else None)
        if self._permit is not None:
            tell(self._permit, verdict, failure, self._seconds_to_first_piece())

    def _verdict_on(self, error: Exception, outcome: Outcome) -> Verdict:
        if isinstance(error, ModelRequestTimeout) and not self._used_up_its_bound() and not self._had_time():
            return Verdict.IGNORED
        return verdict_on(outcome, error)

    def _ran_out_of_time(self) -> bool:
        """Tell whether it was the clock that ended the attempt, and not a caller who left.

        A stream that has begun is an answer; how long it then takes is also a matter of who reads it.
        """
        if self.has_begun():
            return False
        is_over = self._attempts is not None and self._attempts.time_left <= _TIMER_SECONDS
        return self._used_up_its_bound() or (is_over and self._had_time())

    def _used_up_its_bound(self) -> bool:
        return self._bound is not None and self._seconds >= self._bound - _TIMER_SECONDS

    def _had_time(self) -> bool:
        return self._model.was_time_enough(self._seconds, self._attempts)

    @property
    def _seconds(self) -> float:
        return time.perf_counter() - self._started
