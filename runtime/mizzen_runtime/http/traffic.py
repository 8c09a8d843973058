"""The traffic port: `POST /v1/run` and `/v1/batch` (see `batch`), `GET /v1/agent`, `/v1/health` and `/v1/metrics`.

A streamed answer is server-sent events: `delta` with `{"text"}`, any number of them, for an agent that answers text;
then `result` with the body that the unstreamed answer has, or `error` with problem details. What goes wrong before the
first event is an ordinary answer with its HTTP status.

The connection is closed behind a stream, and says so at its head: a pod may be asked to leave while it streams, when it
is too late to say so, and the client's next request would meet a connection that is being closed.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import to_json

from mizzen_runtime.agent_service import AgentService, RunRequest, RunResult, StreamEvent, TextDelta
from mizzen_runtime.errors import Outcome, RunError
from mizzen_runtime.health_report import HealthReport
from mizzen_runtime.http.answers import as_json, result_members
from mizzen_runtime.http.asgi import CLOSE, App, Receive, Scope, Send, respond
from mizzen_runtime.http.batch import SLOW_READER_SECONDS, BatchEndpoint, BatchSettings
from mizzen_runtime.http.body import BodyKinds, ClientGone, RunBody, read_run_body, too_slow
from mizzen_runtime.http.deadline import seconds_allowed
from mizzen_runtime.http.disconnect import CancelWhenClientLeaves
from mizzen_runtime.http.outcomes import problem_of
from mizzen_runtime.http.problem import RequestRefused
from mizzen_runtime.http.request_frame import RequestFrame, request_id_of
from mizzen_runtime.http.routes import Routes, get, post
from mizzen_runtime.lifecycle import Lifecycle
from mizzen_runtime.statistics.agent_metrics import AgentMetrics
from mizzen_runtime.tracing import Tracing

log = logging.getLogger("mizzen.http")

_JSON = b"application/json"


@dataclass(frozen=True)
class TrafficSettings:
    """What the transport needs to know."""

    revision: str
    """The configuration in force; part of every answer."""
    kinds: BodyKinds
    """What bodies must look like."""
    max_body_bytes: int
    request_timeout: float
    """Seconds from a request's arrival in which its body is read and its answer made."""
    batch_timeout: float
    """Seconds for a whole batch."""
    count_batch: Callable[[Outcome], None]
    """Counts a batch that has ended."""
    agent_card: dict[str, Any]
    """What `GET /v1/agent` answers."""
    health: Callable[[], HealthReport]
    """What `GET /v1/health` answers: with 503 if the pod is to get no requests, and for no other reason. Whoever routes
    by it would else take away every pod of an agent whose model is down."""
    metrics: Callable[[], AgentMetrics]
    """What `GET /v1/metrics` answers."""


def traffic_app(service: AgentService, lifecycle: Lifecycle, settings: TrafficSettings, tracing: Tracing) -> App:
    """Compose the application of the traffic port."""
    card = to_json(settings.agent_card, inf_nan_mode="null")

    def health() -> tuple[int, bytes]:
        report = settings.health()
        return 200 if report.ready else 503, to_json(report)

    routes = {
        "/v1/run": post(RunEndpoint(service, settings)),
        "/v1/batch": post(BatchEndpoint(service, _batch_settings(settings))),
        "/v1/agent": get(lambda: (200, card)),
        "/v1/health": get(health),
        "/v1/metrics": get(lambda: (200, settings.metrics().model_dump_json().encode())),
    }
    return RequestFrame(Routes(routes), lifecycle, tracing)


def agent_card(
    *,
    name: str,
    description: str | None,
    revision: str,
    input_schema: dict[str, Any] | None,
    output_schema: dict[str, Any],
) -> dict[str, Any]:
    """Give what `GET /v1/agent` answers: who the agent is, and the shapes of its input and output."""
    return {
        "name": name,
        "description": description,
        "revision": revision,
        "input_schema": input_schema or RunBody.model_json_schema()["properties"]["input"] | {"title": "Input"},
        "output_schema": output_schema,
    }


def _batch_settings(settings: TrafficSettings) -> BatchSettings:
    return BatchSettings(
        revision=settings.revision,
        kinds=settings.kinds,
        max_body_bytes=settings.max_body_bytes,
        request_timeout=settings.request_timeout,
        batch_timeout=settings.batch_timeout,
        count=settings.count_batch,
    )


class RunEndpoint:
    """`POST /v1/run`.

    The order of a request's steps, all of them:
     1. `RequestFrame`: it gets its id, and its trace.
     2. `Routes`: who answers its path and method.
     3. `RunEndpoint.__call__`: its time begins.
     4. `AgentService.receiving`: it counts as in flight.
     5. `seconds_allowed` and `read_run_body`: its deadline is set, its body read and checked.
     6. `CancelWhenClientLeaves`: from here on it ends when its client leaves.
     7. `run_frame.Run`: its one observation, whatever comes.
     8. `AdmissionGate.admitted`: it waits for its turn, or is refused.
     9. `Dependencies.for_run`: its services, in a request scope of the container.
    10. `ProductionAgentBase.answer_in` or `pieces_in`: the run itself, of own code, or of a model with its output
        schema enforced; `AgentInForce.current` is the model's agent as it is now, also if it is reloaded meanwhile.
    11. `RunEndpoint._answer`: the answer, or problem details.
    An item of a batch goes the same way; `BatchEndpoint` says how it comes to its seventh step.
    """

    def __init__(self, service: AgentService, settings: TrafficSettings) -> None:
        self._service = service
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the request, run the agent, answer; stop when the client leaves."""
        arrived = time.perf_counter()
        request_id = request_id_of(scope)
        try:
            seconds, body = await self._read(scope, receive, arrived)
            async with CancelWhenClientLeaves(receive):
                await self._answer(RunRequest(request_id, body.input, arrived, seconds), body, send)
        except RequestRefused as refused:
            await replace(refused.details, request_id=request_id).send(send)
        except RunError as error:
            await problem_of(error, request_id).send(send)
        except ClientGone:
            pass  # whoever counted it has logged it

    async def _read(self, scope: Scope, receive: Receive, arrived: float) -> tuple[float, RunBody]:
        """Read head and body, within the time that the whole request may take; give that time, and the body.

        Raises:
            RequestRefused: It cannot become a request, or did not come in time.
            RunError: Own code's type of input failed.
            ClientGone: The client left while sending.
        """
        settings = self._settings
        seconds = settings.request_timeout
        with self._service.receiving(arrived) as reception:
            try:
                seconds = seconds_allowed(scope, seconds)
                async with asyncio.timeout(seconds):
                    return seconds, await read_run_body(scope, receive, settings.max_body_bytes, settings.kinds.run)
            except RequestRefused:
                reception.outcome = Outcome.INVALID_INPUT
                raise
            except RunError as error:
                reception.outcome = error.outcome
                raise
            except TimeoutError as error:
                reception.outcome = Outcome.DEADLINE_EXCEEDED
                raise too_slow(seconds) from error

    async def _answer(self, request: RunRequest, body: RunBody, send: Send) -> None:
        try:
            if body.stream:
                async with aclosing(self._service.stream(request)) as events:
                    await self._stream(request, events, send)
            else:
                result = await self._service.run(request)
                await respond(send, 200, self._json_of(result), _JSON)
        except RunError as error:
            await problem_of(error, request.id).send(send)

    async def _stream(self, request: RunRequest, events: AsyncIterator[StreamEvent], send: Send) -> None:
        """Send the events as they come.

        Raises:
            RunError: It went wrong before the first event: nothing has been sent yet.
        """
        first = await anext(events)
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"), CLOSE]
        try:
            seconds = self._settings.request_timeout if request.timeout is None else request.timeout
            left = seconds - (time.perf_counter() - request.arrived)
            async with asyncio.timeout(left + SLOW_READER_SECONDS):
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await self._send_event(send, first)
                try:
                    async for event in events:
                        await self._send_event(send, event)
                except RunError as error:
                    await _send_event(send, b"error", as_json(problem_of(error, request.id).as_part()))
                await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            # uvicorn closes the connection of an answer that is left incomplete.
            log.warning("the client read too slowly, its connection is closed")

    async def _send_event(self, send: Send, event: StreamEvent) -> None:
        if isinstance(event, TextDelta):
            await _send_event(send, b"delta", to_json({"text": event.text}))
        else:
            await _send_event(send, b"result", self._json_of(event))

    def _json_of(self, result: RunResult) -> bytes:
        return as_json(result_members(result, self._settings.revision))


async def _send_event(send: Send, name: bytes, data: bytes) -> None:
    await send({"type": "http.response.body", "body": b"event: %b\ndata: %b\n\n" % (name, data), "more_body": True})
