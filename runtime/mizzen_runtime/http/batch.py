"""`POST /v1/batch`: many requests in one call, each answered in its place.

A batch comes as one JSON, `{"requests": [{"input": …}, …]}`, or as `application/x-ndjson`, an item a line. It is
answered as one JSON, `{"results": […]}`, or as NDJSON, a result a line, where `Accept` names that, or takes anything
and the batch was NDJSON. Either way results are sent as they are there, in the items' order, and only a few are held.

A result is `{"index", "status": "ok", …}` with what `POST /v1/run` answers, or `{"index", "status": "error", "error"}`
with its problem details. The status of the whole is 200 as soon as the batch itself can be read.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from mizzen_runtime.admission import Priority
from mizzen_runtime.agent_service import AgentService, RunRequest
from mizzen_runtime.batch import each_of, in_order
from mizzen_runtime.errors import Outcome, RunError
from mizzen_runtime.http.answers import as_json, result_members
from mizzen_runtime.http.asgi import CLOSE, Receive, Scope, Send, client_has_left
from mizzen_runtime.http.body import (
    BatchBody,
    BodyKinds,
    ClientGone,
    ItemBody,
    checked,
    content_type_of,
    header_of,
    line_too_long,
    parsed,
    read_body,
    too_slow,
)
from mizzen_runtime.http.deadline import seconds_allowed
from mizzen_runtime.http.disconnect import CancelWhenClientLeaves
from mizzen_runtime.http.ndjson import CONTENT_TYPE as NDJSON
from mizzen_runtime.http.ndjson import LineTooLong, NdjsonBody
from mizzen_runtime.http.outcomes import problem_of
from mizzen_runtime.http.problem import ProblemDetails, RequestRefused, plain_problem
from mizzen_runtime.http.request_frame import request_id_of
from mizzen_runtime.log import begin_request

log = logging.getLogger("mizzen.http")

_JSON = b"application/json"
SLOW_READER_SECONDS = 5.0
"""What a client that reads slowly gets beyond the time in which the answers must be made."""


@dataclass(frozen=True)
class BatchSettings:
    """What the transport needs to know of batches."""

    revision: str
    """The configuration in force; part of every answer."""
    kinds: BodyKinds
    """What an item must look like."""
    max_body_bytes: int
    """What a batch may have as one JSON; as NDJSON, what a line may have."""
    request_timeout: float
    """Seconds that one JSON, or the first line, may take to arrive."""
    batch_timeout: float
    """Seconds that the whole batch may take; its caller may shorten them."""
    count: Callable[[Outcome], None]
    """Counts the batch when it has ended."""


class BatchEndpoint:
    """`POST /v1/batch`.

    The order of its steps:
     1. `RequestFrame`: the batch gets its id.
     2. `BatchEndpoint._items`: one JSON is read whole; NDJSON is read while it is answered.
     3. `CancelWhenClientLeaves`: from here on everything ends when the client leaves.
     4. `in_order`: items are begun as there is room, and answers are given in the items' order.
     5. `_Batch.answer`: each item is a request with an id of its own: it counts as in flight, is checked, and goes the
        way of `RunEndpoint` from its 7th step on, behind all single requests.
     6. `BatchEndpoint._send`: each result, as soon as those before it are sent.
    The batch itself is only counted.
    """

    def __init__(self, service: AgentService, settings: BatchSettings) -> None:
        self._service = service
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read items, answer each, and send the results; stop when the client leaves."""
        request_id = request_id_of(scope)
        outcome = Outcome.CANCELLED
        try:
            seconds = seconds_allowed(scope, self._settings.batch_timeout)
            async with asyncio.timeout(seconds + SLOW_READER_SECONDS):
                outcome = await self._answer(scope, receive, send, seconds)
        except RequestRefused as refused:
            outcome = Outcome.INVALID_INPUT
            await replace(refused.details, request_id=request_id).send(send)
        except ClientGone:
            log.info("the client left before its batch was answered", extra={"request_id": request_id})
        except TimeoutError:
            # uvicorn closes the connection of an answer that is left incomplete.
            outcome = Outcome.DEADLINE_EXCEEDED
            log.warning("the client read too slowly, its connection is closed", extra={"request_id": request_id})
        finally:
            self._settings.count(outcome)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, seconds: float) -> Outcome:
        deadline = time.perf_counter() + seconds
        items, receive = await self._items(scope, receive, seconds, deadline)
        batch = _Batch(self._service, self._settings, request_id_of(scope), deadline)
        async with (
            CancelWhenClientLeaves(receive),
            aclosing(in_order(items, batch.answer, at_once=self._service.at_once)) as results,
        ):
            return await self._send(results, batch, scope, send)

    async def _items(
        self, scope: Scope, receive: Receive, whole: float, deadline: float
    ) -> tuple[AsyncIterator[object], Receive]:
        """Give the items, and what tells when the client leaves while they are answered.

        Args:
            scope: The call.
            receive: Where its body comes from.
            whole: Seconds that the whole batch may take.
            deadline: When they are over (`time.perf_counter`).

        Raises:
            RequestRefused: The batch cannot be read.
            ClientGone: The client left while sending.
        """
        settings = self._settings
        kind = content_type_of(scope)
        if kind not in {b"", _JSON, NDJSON}:
            detail = f"send the batch as content-type: {_JSON.decode()} or {NDJSON.decode()}"
            raise RequestRefused(plain_problem(415, detail, headers=[CLOSE]))
        seconds = min(settings.request_timeout, whole)
        try:
            async with asyncio.timeout(seconds):
                if kind != NDJSON:
                    body = await read_body(scope, receive, settings.max_body_bytes)
                    return each_of(parsed(body, BatchBody).requests), receive
                lines = NdjsonBody(receive, settings.max_body_bytes)
                await lines.begin()  # a client may wait for being told to go on, which an answer would not do
                return lines.lines(whole, deadline), lines.receive
        except TimeoutError as error:
            raise too_slow(seconds) from error

    async def _send(self, results: AsyncIterator[bytes], batch: "_Batch", scope: Scope, send: Send) -> Outcome:
        form = _form_of(scope)
        headers = [(b"content-type", form.content_type), (b"cache-control", b"no-store"), CLOSE]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _send_part(send, form.head)
        count = 0
        outcome = Outcome.OK

        async def send_next(result: bytes) -> None:
            nonlocal count
            if client_has_left(scope):  # nothing reads on while enough was read ahead, so that nobody hears of it
                raise ClientGone
            await _send_part(send, (form.between if count else b"") + result + form.after_each)
            count += 1

        try:
            async for result in results:
                await send_next(result)
        except RequestRefused as refused:  # the rest of the items did not come in time
            outcome = Outcome.DEADLINE_EXCEEDED
            await send_next(batch.refused(count, refused))
        await send({"type": "http.response.body", "body": form.tail})
        return outcome


class _Batch:
    """One batch: answers its items."""

    def __init__(self, service: AgentService, settings: BatchSettings, batch_id: str, deadline: float) -> None:
        self._service = service
        self._settings = settings
        self._id = batch_id
        self._deadline = deadline

    async def answer(self, index: int, item: object) -> bytes:
        """Give the result of an item as JSON, an answer or an error."""
        arrived = time.perf_counter()
        begin_request(request_id=self._id_of(index))
        try:
            body = self._checked(item, arrived)
            left = self._deadline - arrived
            request = RunRequest(self._id_of(index), body.input, arrived, timeout=left, priority=Priority.BATCH)
            members = result_members(await self._service.run(request), self._settings.revision)
        except RequestRefused as refused:
            return self.refused(index, refused)
        except RunError as error:
            return _failed(index, problem_of(error, self._id_of(index)))
        return as_json({"index": index, "status": "ok", **members})

    def refused(self, index: int, refused: RequestRefused) -> bytes:
        """Give the result of an item that cannot become a request."""
        return _failed(index, replace(refused.details, request_id=self._id_of(index)))

    def _id_of(self, index: int) -> str:
        return f"{self._id}/{index}"

    def _checked(self, item: object, arrived: float) -> ItemBody:
        with self._service.receiving(arrived) as reception:
            reception.outcome = Outcome.INVALID_INPUT
            if isinstance(item, LineTooLong):
                raise line_too_long(self._settings.max_body_bytes)
            kind = self._settings.kinds.item
            try:
                return parsed(item, kind) if isinstance(item, bytes) else checked(item, kind)
            except RunError as error:
                reception.outcome = error.outcome
                raise


@dataclass(frozen=True)
class _Form:
    """What stands around the results."""

    content_type: bytes
    head: bytes = b""
    between: bytes = b""
    after_each: bytes = b""
    tail: bytes = b""


_AS_JSON = _Form(_JSON, head=b'{"results":[', between=b",", tail=b"]}")
_AS_LINES = _Form(NDJSON, after_each=b"\n")


def _form_of(scope: Scope) -> _Form:
    """Give the form that the client takes."""
    accepted = header_of(scope, b"accept").lower()
    if NDJSON in accepted:
        return _AS_LINES
    takes_anything = not accepted or b"*/*" in accepted
    return _AS_LINES if takes_anything and content_type_of(scope) == NDJSON else _AS_JSON


def _failed(index: int, problem: ProblemDetails) -> bytes:
    return as_json({"index": index, "status": "error", "error": problem.as_part()})


async def _send_part(send: Send, part: bytes) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": True})
