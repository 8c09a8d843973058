"""The chain of models: each attempt is noted, and one that is not the last leaves time for those after it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from types import TracebackType
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.exceptions import ModelRequestTimeout
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from mizzen_runtime.agent.failures import facts_of, failure_of, falls_over
from mizzen_runtime.attempts import current_attempts
from mizzen_runtime.errors import Outcome
from mizzen_runtime.trace_context import onward_headers


def chain(models: Sequence[tuple[str, Model]]) -> Model:
    """Give one model that asks `models` in order, the next one when one fails in a way that `falls_over` tells.

    Args:
        models: Names as the configuration has them, and models; at least one.
    """
    last = len(models) - 1
    chained = [ChainedModel(model, name, followers=last - place) for place, (name, model) in enumerate(models)]
    return FallbackModel(*chained, fallback_on=_settle_and_fall_over) if last else chained[0]


def _settle_and_fall_over(error: Exception) -> bool:
    """Decide; and say what an attempt came to that pydantic-ai cancelled because its `request_timeout` was over."""
    if (attempts := current_attempts.get()) is not None:
        attempts.settle(failure_of(error).outcome)
    return falls_over(error)


class ChainedModel(WrapperModel):
    """One model of the chain."""

    def __init__(self, wrapped: Model, name: str, *, followers: int) -> None:
        """Wrap a model.

        Args:
            wrapped: The model.
            name: What it is called in the request's attempts.
            followers: How many models the chain has after it.
        """
        super().__init__(wrapped)
        self._name = name
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
        with _Noted(self._name):
            share = self._share()
            if share is None:
                return await self.wrapped.request(messages, model_settings, model_request_parameters)
            async with self._bounded(share):
                return await self.wrapped.request(messages, model_settings, model_request_parameters)

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
        stream: StreamedResponse | None = None
        model_settings = self._with_trace(model_settings)

        def has_begun() -> bool:
            return stream is not None and stream.time_to_first_chunk(0) is not None

        with _Noted(self._name):
            share = self._share()
            async with (
                nullcontext() if share is None else self._bounded(share, has_begun),
                self.wrapped.request_stream(messages, model_settings, model_request_parameters, run_context) as stream,
            ):
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


def _innermost(model: Model) -> Model:
    while isinstance(model, WrapperModel):
        model = model.wrapped
    return model


class _Noted:
    """Notes one attempt in the request that is being answered. A plain class: every request to a model pays for it."""

    def __init__(self, model: str) -> None:
        attempts = current_attempts.get()
        self._attempt = attempts.begin(model) if attempts is not None else None

    def __enter__(self) -> None:
        """The attempt has begun."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._attempt is None:
            return
        if error is None:
            self._attempt.end(Outcome.OK)
        elif isinstance(error, Exception):
            self._attempt.end(failure_of(error).outcome, facts_of(error))
        else:
            self._attempt.end(None)  # cancelled, and whoever did it knows what that means
