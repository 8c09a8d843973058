"""`POST /v1/batch` over HTTP: order, failures in their place, streams in bounded memory, and how a batch ends."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import FULL_SIZE
from tests.integration.runtime.model_server import ModelServer, after_release, says
from tests.integration.runtime.process import Answer, Json, RuntimeProcess, Start, config_of, limited, scripted, until

NDJSON = "application/x-ndjson"
ITEMS = 10_000 if FULL_SIZE else 600
MEMORY_BYTES = 8 * 1024 * 1024
"""What a long batch may take beyond what a short one has taken: the items held, and what Python keeps."""


def post_batch(runtime: RuntimeProcess, body: bytes, content_type: str = "application/json", **headers: str) -> Answer:
    return runtime.request("POST", "/v1/batch", body, port=None, content_type=content_type, **headers)


def results_of(answer: Answer) -> list[Json]:
    assert answer.status == 200, answer.body
    results: list[Json] = answer.json["results"]
    return results


def lines_of(answer: Answer) -> list[Json]:
    assert (answer.status, answer.headers["content-type"]) == (200, NDJSON)
    return [json.loads(line) for line in answer.body.splitlines()]


def told(result: Json) -> str | tuple[int, str]:
    """Give a result's output, or what its error says."""
    if result["status"] == "ok":
        return str(result["output"])
    return result["error"]["status"], str(result["error"]["type"]).removeprefix("urn:mizzen:problem:")


def line(given: object) -> bytes:
    return json.dumps({"input": given}).encode() + b"\n"


def test_each_item_is_answered_in_its_place_and_is_a_request(start: Start, model_server: ModelServer) -> None:
    runtime = start(config_of(scripted(model_server)))
    model_server.otherwise = says("Hello.")
    items = [{"input": "a"}, {"input": ""}, {"input": "b", "stream": True}, 5, {"input": {"c": 1}}]

    answer = post_batch(runtime, json.dumps({"requests": items}).encode(), x_request_id="mine")

    results = results_of(answer)
    assert [result["index"] for result in results] == [0, 1, 2, 3, 4]
    refused = (422, "invalid-request")
    assert [told(result) for result in results] == ["Hello.", refused, refused, refused, "Hello."]
    assert [problem["field"] for problem in results[2]["error"]["errors"]] == ["stream"]
    assert [results[0]["id"], results[1]["error"]["request_id"]] == ["mine/0", "mine/1"]
    assert results[0]["usage"]["requests"] == 1
    assert (runtime.outcome("ok"), runtime.outcome("invalid_input")) == (2, 3)
    until(lambda: runtime.metric('mizzen_batches_total{outcome="ok"}') == 1, "the batch is counted")


def test_a_line_that_is_no_json_is_answered_in_its_place_and_the_rest_goes_on(shared_runtime: RuntimeProcess) -> None:
    body = line("a") + b"{not json}\n\n" + line("x" * 3000) + line("b").rstrip()

    results = lines_of(post_batch(shared_runtime, body, NDJSON))

    assert [result["index"] for result in results] == [0, 1, 2, 3]
    assert [told(result)[1] for result in results[1:3]] == ["not-json", "body-too-large"]
    assert [result["status"] for result in results] == ["ok", "error", "error", "ok"]


@pytest.mark.parametrize(
    ("sent", "accept", "answered"),
    [
        ("application/json", None, "application/json"),
        ("application/json", NDJSON, NDJSON),
        (NDJSON, None, NDJSON),
        (NDJSON, "*/*", NDJSON),
        (NDJSON, "application/json", "application/json"),
    ],
)
def test_the_form_of_the_answer_is_what_the_client_takes(
    shared_runtime: RuntimeProcess, sent: str, accept: str | None, answered: str
) -> None:
    body = b'{"requests": [{"input": "a"}]}' if sent == "application/json" else line("a")
    answer = post_batch(shared_runtime, body, sent, **({"accept": accept} if accept else {}))
    assert (answer.status, answer.headers["content-type"]) == (200, answered)
    (result,) = lines_of(answer) if answered == NDJSON else results_of(answer)
    assert result["status"] == "ok"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 422),
        (b'{"requests": 5}', "application/json", 422),
        (b'{"requests": [], "stream": true}', "application/json", 422),
        (b'{"requests": ["' + b"x" * 2000 + b'"]}', "application/json", 413),
        (b"a,b", "text/csv", 415),
    ],
)
def test_a_batch_that_cannot_be_read_is_refused(
    shared_runtime: RuntimeProcess, body: bytes, content_type: str, status: int
) -> None:
    before = shared_runtime.metric('mizzen_batches_total{outcome="invalid_input"}')
    requests = shared_runtime.outcome("invalid_input")
    answer = post_batch(shared_runtime, body, content_type)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    until(lambda: shared_runtime.metric('mizzen_batches_total{outcome="invalid_input"}') == before + 1, "it is counted")
    assert shared_runtime.outcome("invalid_input") == requests, "no item of it became a request"


def test_an_empty_batch_has_no_results(shared_runtime: RuntimeProcess) -> None:
    assert results_of(post_batch(shared_runtime, b'{"requests": []}')) == []
    assert lines_of(post_batch(shared_runtime, b"", NDJSON)) == []


class Exchange:
    """A batch of NDJSON that is sent while its answer is read."""

    def __init__(self, runtime: RuntimeProcess) -> None:
        self._connection = socket.create_connection(("127.0.0.1", runtime.port), timeout=60)
        head = f"POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-type: {NDJSON}\r\ntransfer-encoding: chunked\r\n\r\n"
        self._connection.sendall(head.encode())
        self._response: http.client.HTTPResponse | None = None

    def send(self, part: bytes) -> None:
        self._connection.sendall(b"%x\r\n%b\r\n" % (len(part), part))

    def end(self) -> None:
        self._connection.sendall(b"0\r\n\r\n")

    def read(self) -> Json | None:
        """Give the next result."""
        if self._response is None:
            self._response = http.client.HTTPResponse(self._connection)
            self._response.begin()
            assert self._response.status == 200
        read = self._response.readline()
        return dict(json.loads(read)) if read else None

    def results(self) -> Iterator[Json]:
        while (result := self.read()) is not None:
            yield result

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
        self._connection.close()


def test_an_item_is_answered_before_the_next_one_is_sent(shared_runtime: RuntimeProcess) -> None:
    exchange = Exchange(shared_runtime)
    for index in range(3):
        exchange.send(line("a"))
        result = exchange.read()
        assert result is not None
        assert (result["index"], result["status"]) == (index, "ok")
    exchange.end()
    assert exchange.read() is None
    exchange.close()


def resident(runtime: RuntimeProcess) -> int:
    pages = Path(f"/proc/{runtime.process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096


def exchange_all(runtime: RuntimeProcess, count: int) -> int:
    """Send so many items of 10 KB while reading; gives the most memory that was seen."""
    exchange = Exchange(runtime)

    def send() -> None:
        for number in range(count):
            exchange.send(line(f"{number} {'x' * 10_000}"))
        exchange.end()

    sending = threading.Thread(target=send)
    sending.start()
    most = 0
    received = 0
    for result in exchange.results():
        assert (result["index"], result["status"]) == (received, "ok")
        received += 1
        if received % 50 == 0:
            most = max(most, resident(runtime))
    sending.join()
    exchange.close()
    assert received == count
    return most


def test_a_long_stream_takes_no_more_memory_than_a_short_one(start: Start) -> None:
    runtime = start(config_of())
    short = exchange_all(runtime, 200)
    assert exchange_all(runtime, ITEMS) - short < MEMORY_BYTES
    assert runtime.outcome("ok") == 200 + ITEMS


def test_a_client_that_reads_only_when_it_has_sent_all_is_answered(shared_runtime: RuntimeProcess) -> None:
    results = lines_of(post_batch(shared_runtime, line("a") * 100, NDJSON))
    assert [result["index"] for result in results] == list(range(100))


def test_a_batch_takes_no_more_than_the_agents_turns_and_single_requests_come_first(
    start: Start, model_server: ModelServer
) -> None:
    runtime = start(limited(config_of(scripted(model_server)), maxConcurrentRequests=2, maxQueuedRequests=2))
    model_server.otherwise = after_release(says("Hello."))
    exchange = Exchange(runtime)
    for _ in range(20):
        exchange.send(line("item"))
    exchange.end()
    until(lambda: len(model_server.requests) == 2, "two items run")
    single = runtime.open_run({"input": "single"})
    until(lambda: runtime.metric("mizzen_requests_queued") == 1, "the single one waits for its turn")
    model_server.release.set()
    assert [told(result) for result in exchange.results()] == ["Hello."] * 20
    asked = [request["messages"][-1]["content"] for request in model_server.requests]
    assert "single" in asked[:4]
    assert runtime.outcome("ok") == 21
    single.close()
    exchange.close()


def test_the_time_of_a_batch_ends_it_with_an_error_for_each_item_left(start: Start, model_server: ModelServer) -> None:
    runtime = start(limited(config_of(scripted(model_server)), maxConcurrentRequests=1, batchTimeoutSeconds=3))
    model_server.will(says("Hello."))
    model_server.otherwise = after_release(says("Hello."))
    results = lines_of(post_batch(runtime, line("a") * 5, NDJSON))
    assert [told(result) for result in results] == ["Hello.", *[(504, "deadline-exceeded")] * 4]
    assert (runtime.outcome("ok"), runtime.outcome("deadline_exceeded")) == (1, 4)
    model_server.release.set()


def test_a_batch_whose_items_do_not_come_in_time_says_so_in_the_place_of_the_next(start: Start) -> None:
    runtime = start(limited(config_of(), batchTimeoutSeconds=3))
    exchange = Exchange(runtime)
    exchange.send(line("a"))
    results = list(exchange.results())
    assert results[0]["status"] == "ok"
    assert (results[1]["index"], told(results[1])) == (1, (408, "request-timeout"))
    assert len(results) == 2
    until(lambda: runtime.metric('mizzen_batches_total{outcome="deadline_exceeded"}') == 1, "the batch is counted")
    exchange.close()


def test_items_that_have_not_begun_when_the_pod_leaves_are_answered_so(start: Start, model_server: ModelServer) -> None:
    runtime = start(limited(config_of(scripted(model_server)), maxConcurrentRequests=2), "--propagation-delay", "1")
    model_server.otherwise = after_release(says("Hello."))
    exchange = Exchange(runtime)
    for _ in range(10):
        exchange.send(line("a"))
    exchange.end()
    until(lambda: len(model_server.requests) == 2, "two items run")
    runtime.terminate()
    runtime.wait_logged("draining")
    model_server.release.set()
    results = list(exchange.results())
    assert [told(result) for result in results] == [*["Hello."] * 2, *[(503, "draining")] * 8]
    assert results[2]["error"]["retry_after"] == 1
    assert len(model_server.requests) == 2
    assert runtime.exit_code() == 0
    exchange.close()


def test_a_client_that_leaves_cancels_the_rest(start: Start, model_server: ModelServer) -> None:
    runtime = start(limited(config_of(scripted(model_server)), maxConcurrentRequests=2))
    model_server.otherwise = after_release(says("Hello."))
    exchange = Exchange(runtime)
    for _ in range(10):
        exchange.send(line("a"))
    until(lambda: len(model_server.requests) == 2, "two items run")
    exchange.close()
    until(lambda: runtime.outcome("cancelled") == 2, "those that ran are cancelled")
    until(lambda: runtime.metric('mizzen_batches_total{outcome="cancelled"}') == 1, "the batch is counted")
    assert len(model_server.requests) == 2
    model_server.release.set()


def test_a_client_that_leaves_behind_more_than_is_read_ahead_is_noticed(
    start: Start, model_server: ModelServer
) -> None:
    runtime = start(limited(config_of(scripted(model_server)), maxConcurrentRequests=2))
    model_server.otherwise = after_release(says("Hello."))
    exchange = Exchange(runtime)
    exchange.send(line("x" * 2000) * 600)
    until(lambda: len(model_server.requests) == 2, "two items run")
    exchange.close()
    model_server.release.set()
    until(lambda: runtime.metric('mizzen_batches_total{outcome="cancelled"}') == 1, "the batch is given up")
    assert len(model_server.requests) < 100
