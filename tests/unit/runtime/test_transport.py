"""The pieces of the transport that need no socket."""

import asyncio
import gc
import json
import time
import weakref

import pytest

from mizzen_runtime.errors import Outcome, RunError
from mizzen_runtime.http.asgi import Message, Receive, Scope, Send, respond
from mizzen_runtime.http.body import ClientGone, read_run_body
from mizzen_runtime.http.disconnect import CancelWhenClientLeaves
from mizzen_runtime.http.management import ManagementApp
from mizzen_runtime.http.outcomes import problem_of
from mizzen_runtime.http.problem import ProblemDetails, RequestRefused
from mizzen_runtime.http.request_frame import RequestFrame, request_id_of
from mizzen_runtime.lifecycle import Lifecycle
from mizzen_runtime.tracing import Tracing

pytestmark = pytest.mark.anyio


def scope_of(path: str = "/", query: bytes = b"", method: str = "GET", **headers: str) -> Scope:
    encoded = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "path": path,
        "method": method,
        "query_string": query,
        "headers": encoded,
        "state": {},
    }


def receiving(*messages: Message) -> Receive:
    queue = list(messages)

    async def receive() -> Message:
        return queue.pop(0)

    return receive


class Sent:
    """Collects what an application sends."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])


async def test_a_body_is_counted_as_it_arrives() -> None:
    chunk = {"type": "http.request", "body": b"x" * 6, "more_body": True}

    with pytest.raises(RequestRefused) as refused:
        await read_run_body(scope_of(), receiving(chunk, chunk), 10)

    assert refused.value.details.status == 413


async def test_a_body_that_fits_to_the_byte_is_taken() -> None:
    body = b'{"input": "Hello"}'
    halves = [
        {"type": "http.request", "body": body[:9], "more_body": True},
        {"type": "http.request", "body": body[9:], "more_body": False},
    ]

    assert (await read_run_body(scope_of(), receiving(*halves), len(body))).input == "Hello"


async def test_a_body_of_nothing_but_unknown_fields_is_refused_at_once() -> None:
    body = json.dumps({f"{'x' * 5}{i}": 1 for i in range(70_000)}).encode()
    started = time.process_time()

    with pytest.raises(RequestRefused) as refused:
        await read_run_body(scope_of(), receiving({"type": "http.request", "body": body}), len(body))

    assert time.process_time() - started < 0.3, "the event loop stands still meanwhile"
    assert len(refused.value.details.to_json()) < 2000


async def test_a_client_that_leaves_while_sending_is_noticed() -> None:
    part = {"type": "http.request", "body": b"{", "more_body": True}

    with pytest.raises(ClientGone):
        await read_run_body(scope_of(), receiving(part, {"type": "http.disconnect"}), 10)


@pytest.mark.parametrize("outcome", [each for each in Outcome if each not in {Outcome.OK, Outcome.CANCELLED}])
def test_every_way_to_end_badly_has_an_answer(outcome: Outcome) -> None:
    problem = problem_of(RunError(outcome, "what happened"), "r1")

    assert problem.status >= 400
    assert json.loads(problem.to_json()) == {
        "type": f"urn:mizzen:problem:{outcome.value.replace('_', '-')}",
        "title": problem.title,
        "status": problem.status,
        "detail": "what happened",
        "request_id": "r1",
    }


@pytest.mark.parametrize(("given", "sent"), [(None, b"1"), (0.2, b"1"), (7.0, b"7"), (7.1, b"8")])
@pytest.mark.parametrize("outcome", [Outcome.MODEL_UNAVAILABLE, Outcome.OVERLOADED, Outcome.DRAINING])
def test_what_may_be_better_in_a_while_says_when_to_come_back(
    outcome: Outcome, given: float | None, sent: bytes
) -> None:
    problem = problem_of(RunError(outcome, "x", retry_after=given), "r1")

    assert problem.headers == [(b"retry-after", sent)]


def test_an_overloaded_agent_answers_429_and_one_that_leaves_503() -> None:
    assert problem_of(RunError(Outcome.OVERLOADED, "x"), "r1").status == 429
    assert problem_of(RunError(Outcome.DRAINING, "x"), "r1").status == 503


async def test_a_problem_is_sent_as_rfc_9457_has_it() -> None:
    sent = Sent()

    await ProblemDetails(409, "taken", "It is taken", "by you").send(sent)

    assert sent.headers[b"content-type"] == b"application/problem+json"
    assert json.loads(sent.body) == {
        "type": "urn:mizzen:problem:taken",
        "title": "It is taken",
        "status": 409,
        "detail": "by you",
    }


async def _echo_id(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, request_id_of(scope).encode(), b"text/plain")


async def test_while_draining_clients_are_asked_to_close() -> None:
    lifecycle, before, after = Lifecycle(), Sent(), Sent()
    frame = RequestFrame(_echo_id, lifecycle, Tracing())

    await frame(scope_of(), receiving(), before)
    lifecycle.draining = True
    await frame(scope_of(x_request_id="mine"), receiving(), after)

    assert b"connection" not in before.headers
    assert after.headers[b"connection"] == b"close"
    assert after.headers[b"x-request-id"] == after.body == b"mine"


@pytest.mark.parametrize(
    ("wired", "draining", "leaving", "phase", "ready"),
    [
        (False, False, False, "Starting", 503),
        (True, False, False, "Serving", 200),
        (True, True, False, "Draining", 200),
        (True, True, True, "Draining", 503),
    ],
)
async def test_readiness_follows_the_life_of_the_process(
    wired: bool, draining: bool, leaving: bool, phase: str, ready: int
) -> None:
    lifecycle, sent = Lifecycle(), Sent()
    lifecycle.wired, lifecycle.draining, lifecycle.leaving = wired, draining, leaving

    await ManagementApp(lifecycle)(scope_of("/readyz", b"verbose=1"), receiving(), sent)

    assert (lifecycle.phase, sent.status) == (phase, ready)
    assert sent.body.startswith(b"[")


async def test_a_fault_of_our_own_is_told_without_its_text_and_goes_on_to_who_logs_it() -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("SECRET")

    sent = Sent()

    with pytest.raises(ValueError, match="SECRET"):
        await RequestFrame(fail, Lifecycle(), Tracing())(scope_of(x_request_id="r1"), receiving(), sent)

    problem = json.loads(sent.body)
    assert (sent.status, problem["request_id"], "SECRET" in str(problem)) == (500, "r1", False)


async def test_the_watch_for_a_client_that_leaves_is_no_garbage_behind_its_request() -> None:
    async def stay() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    watch = CancelWhenClientLeaves(stay)
    left = weakref.ref(watch)
    gc.disable()
    try:
        async with watch:
            await asyncio.sleep(0)
        del watch
        await asyncio.sleep(0)  # it is cancelled in the loop's next turn

        assert left() is None
    finally:
        gc.enable()
