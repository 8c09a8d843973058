"""What a runtime does with more requests than its limits allow."""

import json
import socket
import time
from collections.abc import Callable

import pytest

from tests.integration.runtime.model_exchange import Exchange
from tests.integration.runtime.model_server import ModelServer, after_release, hangs, says
from tests.integration.runtime.process import (
    Answer,
    Json,
    RuntimeProcess,
    Start,
    config_of,
    limited,
    read_all,
    scripted,
    until,
)

AT_ONCE = 1.0
"""Seconds within which a refusal is there: the contract is 5 ms in the process, and the machine may be busy."""
ASKED = json.dumps({"input": "Hello"}).encode()


@pytest.fixture
def start_limited(start: Start, model_server: ModelServer) -> Callable[..., RuntimeProcess]:
    """Starts a runtime with limits and waits until it serves; its model answers when the test says so."""
    model_server.otherwise = after_release(says("Hello."))

    def start_one(**limits: float) -> RuntimeProcess:
        runtime = start(limited(config_of(scripted(model_server)), **limits))
        runtime.wait_logged("serving")
        return runtime

    return start_one


def fill(runtime: RuntimeProcess, *, running: int, queued: int) -> list[socket.socket]:
    """Let requests come until so many run and wait."""
    connections = []
    for number in range(running + queued):
        connections.append(runtime.open_run({"input": "Hello"}))
        until(lambda: counts(runtime) == (min(running, number + 1), max(0, number + 1 - running)), "it has come")  # noqa: B023
    return connections


def counts(runtime: RuntimeProcess) -> tuple[float, float]:
    return runtime.metric("mizzen_requests_in_flight"), runtime.metric("mizzen_requests_queued")


def timed(ask: Callable[[], Answer]) -> tuple[Answer, float]:
    begun = time.monotonic()
    return ask(), time.monotonic() - begun


def told(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["type"].removeprefix("urn:mizzen:problem:")


def output_of(body: bytes) -> str:
    answer: Json = json.loads(body)
    return str(answer["output"])


def test_beyond_what_runs_and_waits_a_request_is_refused_at_once_and_the_others_are_answered(
    start_limited: Callable[..., RuntimeProcess], model_server: ModelServer
) -> None:
    runtime = start_limited(maxConcurrentRequests=2, maxQueuedRequests=3)
    waiting = fill(runtime, running=2, queued=3)
    assert runtime.metric("mizzen_requests_running_limit") == 2

    refused, seconds = timed(lambda: runtime.run("Hello"))
    assert told(refused) == (429, "overloaded")
    assert refused.headers["retry-after"] == "1"
    assert refused.json["detail"] == "2 requests run and 3 wait already: ask again later"
    assert seconds < AT_ONCE
    for path in ("/v1/agent", "/v1/health"):
        assert runtime.request("GET", path).status == 200, "only runs are admitted"

    model_server.release.set()
    assert [output_of(read_all(connection)) for connection in waiting] == ["Hello."] * 5
    until(lambda: counts(runtime) == (0, 0), "all have ended")
    assert (runtime.outcome("ok"), runtime.outcome("overloaded")) == (5, 1)
    assert len(model_server.requests) == 5
    assert runtime.metric("mizzen_queue_duration_seconds_count") == 3


def test_a_client_that_leaves_while_it_waits_makes_room(
    start_limited: Callable[..., RuntimeProcess], model_server: ModelServer
) -> None:
    runtime = start_limited(maxConcurrentRequests=1, maxQueuedRequests=1)
    first, leaving = fill(runtime, running=1, queued=1)
    assert runtime.run("Hello").status == 429
    leaving.close()
    until(lambda: counts(runtime) == (1, 0), "its place is free")
    second = runtime.open_run({"input": "Hello"})
    until(lambda: counts(runtime) == (1, 1), "another one waits in it")
    model_server.release.set()
    assert [output_of(read_all(connection)) for connection in (first, second)] == ["Hello."] * 2
    assert (runtime.outcome("ok"), runtime.outcome("cancelled"), runtime.outcome("overloaded")) == (2, 1, 1)
    assert len(model_server.requests) == 2, "no model was asked for who left"


def test_the_wait_for_its_turn_counts_to_a_requests_time(
    start_limited: Callable[..., RuntimeProcess], model_server: ModelServer
) -> None:
    runtime = start_limited(maxConcurrentRequests=1)
    (first,) = fill(runtime, running=1, queued=0)
    late, seconds = timed(lambda: runtime.post(ASKED, request_timeout="0.5"))
    assert told(late) == (504, "deadline-exceeded")
    assert late.json["detail"] == "the request's time was over before its turn came; the agent answers 1 at once"
    assert 0.5 <= seconds < 0.5 + AT_ONCE
    assert late.json["attempts"] == []
    model_server.release.set()
    read_all(first)
    assert len(model_server.requests) == 1


def test_a_request_that_would_wait_too_long_to_be_answered_in_time_is_refused_at_once(
    start_limited: Callable[..., RuntimeProcess], model_server: ModelServer
) -> None:
    def slowly(exchange: Exchange) -> None:
        time.sleep(2)  # what the runtime learns from
        says("Hello.")(exchange)

    runtime = start_limited(maxConcurrentRequests=1)
    model_server.will(slowly)
    assert runtime.run("Hello").status == 200
    (first,) = fill(runtime, running=1, queued=0)
    refused, seconds = timed(lambda: runtime.post(ASKED, request_timeout="4"))
    assert told(refused) == (429, "overloaded")
    assert "would not be answered in time" in refused.json["detail"]
    assert seconds < AT_ONCE
    model_server.release.set()
    assert output_of(read_all(first)) == "Hello."
    assert runtime.post(ASKED, request_timeout="4").status == 200, "it need not wait"


def test_a_caller_may_shorten_its_requests_time(
    start_limited: Callable[..., RuntimeProcess], model_server: ModelServer
) -> None:
    runtime = start_limited(requestTimeoutSeconds=30)
    model_server.otherwise = hangs
    late, seconds = timed(lambda: runtime.post(ASKED, request_timeout="0.7"))
    assert told(late) == (504, "deadline-exceeded")
    assert 0.7 <= seconds < 0.7 + AT_ONCE
    assert model_server.abandoned.wait(10), "the model does not go on"


def test_a_time_that_is_none_is_refused(start_limited: Callable[..., RuntimeProcess]) -> None:
    runtime = start_limited()
    refused = runtime.post(ASKED, request_timeout="30s")
    assert told(refused) == (400, "invalid-header")
    assert refused.json["errors"] == [
        {
            "field": "Request-Timeout",
            "message": "'30s' is not a number of seconds above 0",
            "remedy": "write the seconds that you wait, such as `Request-Timeout: 2.5`, or leave it out",
        }
    ]
    until(lambda: runtime.outcome("invalid_input") == 1, "it is counted")


def test_a_pod_that_is_asked_to_leave_answers_those_that_wait(
    start_limited: Callable[..., RuntimeProcess], model_server: ModelServer
) -> None:
    runtime = start_limited(maxConcurrentRequests=1, maxQueuedRequests=3)
    waiting = fill(runtime, running=1, queued=3)
    runtime.terminate()
    runtime.wait_logged("draining")
    model_server.release.set()
    assert [output_of(read_all(connection)) for connection in waiting] == ["Hello."] * 4
    assert runtime.exit_code() == 0


def test_a_caller_may_shorten_the_time_of_a_batch(
    start_limited: Callable[..., RuntimeProcess], model_server: ModelServer
) -> None:
    runtime = start_limited(maxConcurrentRequests=1)
    model_server.otherwise = hangs
    batch = json.dumps({"requests": [{"input": "Hello"}] * 3}).encode()
    late, seconds = timed(
        lambda: runtime.request("POST", "/v1/batch", batch, content_type="application/json", request_timeout="1")
    )
    assert late.status == 200
    assert [result["error"]["type"] for result in late.json["results"]] == ["urn:mizzen:problem:deadline-exceeded"] * 3
    assert 1 <= seconds < 1 + AT_ONCE
    refused = runtime.request("POST", "/v1/batch", batch, content_type="application/json", request_timeout="soon")
    assert told(refused) == (400, "invalid-header")
