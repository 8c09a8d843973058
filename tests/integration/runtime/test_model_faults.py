"""What a model can do wrong, and what its caller is told."""

from collections.abc import Iterator

import pytest

from tests.integration.runtime import model_server as model
from tests.integration.runtime.model_server import Behaviour, ModelServer
from tests.integration.runtime.process import Answer, RuntimeProcess, Start, config_of, events_of, limited, scripted

UNREACHABLE = "the model's provider cannot be reached, or broke off"
UNREADABLE = "the model's provider answered what cannot be read, or only a part"
REJECTED = "the model's provider turned the request down: key, model name or settings are wrong"
REFUSED = "the model, or its provider's filter, declined to answer this input"


Served = tuple[RuntimeProcess, ModelServer]
Attempt = tuple[str, str]
"""The model that was asked, and how that ended."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One runtime and its model, for tests that count by difference."""
    server = ModelServer()
    config = limited(config_of(scripted(server)), requestTimeoutSeconds=1)
    runtime = RuntimeProcess(tmp_path_factory.mktemp("runtime"), config)
    yield runtime, server
    runtime.close()
    server.close()


def assert_problem(answer: Answer, status: int, code: str, detail: str, *, attempts: list[Attempt]) -> None:
    told = answer.json
    assert [(attempt["model"], attempt["outcome"]) for attempt in told.pop("attempts")] == attempts
    assert told == {
        "type": f"urn:mizzen:problem:{code}",
        "title": told["title"],
        "status": status,
        "detail": detail,
        "request_id": answer.headers["x-request-id"],
    }
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (model.fails(500), (503, "model-unavailable", "the model's provider failed")),
        (model.fails(503), (503, "model-unavailable", "the model's provider is overloaded or down")),
        (model.drops_the_connection, (503, "model-unavailable", UNREACHABLE)),
        (model.fails(429), (503, "model-unavailable", "the model's provider limits the rate of requests")),
        (model.fails(401), (502, "model-rejected", REJECTED)),
        (model.fails(404), (502, "model-rejected", REJECTED)),
        (model.talks_garbage, (502, "model-misbehaved", UNREADABLE)),
        (
            model.answers_nothing,
            (502, "model-misbehaved", "the model's answer could not be used, also not after asking it again"),
        ),
        (model.refuses, (422, "model-refused", REFUSED)),
        (model.is_filtered, (422, "model-refused", REFUSED)),
    ],
)
def test_a_model_that_fails_is_told_without_its_words(
    served: Served, behaviour: Behaviour, expected: tuple[int, str, str]
) -> None:
    runtime, model_server = served
    status, code, detail = expected
    outcome = code.replace("-", "_")
    asked_before, counted_before = len(model_server.requests), runtime.outcome(outcome)
    model_server.will(behaviour)

    answer = runtime.run("Hello")

    attempts = [("vllm:scripted", "ok" if behaviour in (model.refuses, model.is_filtered) else outcome)]
    assert_problem(answer, status, code, detail, attempts=attempts)
    assert len(model_server.requests) == asked_before + 1  # neither we nor an SDK tried again
    assert runtime.outcome(outcome) == counted_before + 1
    assert runtime.metric("mizzen_requests_in_flight") == 0
    assert "SECRET-TE" not in answer.body.decode() + runtime.log_text()
    (logged,) = [line for line in runtime.log() if line.get("request_id") == answer.json["request_id"]]
    assert (logged["message"], logged["outcome"]) == (detail, outcome)


def test_a_provider_that_limits_the_rate_says_when_to_come_back(served: Served) -> None:
    runtime, model_server = served
    model_server.will(model.fails(429, retry_after="7"))

    answer = runtime.run("Hello")

    assert answer.status == 503
    assert answer.headers["retry-after"] == "7"


def test_a_model_that_hangs_is_given_up_after_its_own_timeout(start: Start, model_server: ModelServer) -> None:
    model_server.will(model.hangs)
    runtime = start(config_of(scripted(model_server, requestTimeoutSeconds=0.3)))

    attempts = [("vllm:scripted", "model_unavailable")]
    answer = runtime.run("Hello")
    assert_problem(answer, 503, "model-unavailable", "the model did not answer in time", attempts=attempts)
    assert model_server.abandoned.wait(10)


def test_a_request_that_takes_too_long_is_ended(served: Served) -> None:
    runtime, model_server = served
    counted_before = runtime.outcome("deadline_exceeded")
    model_server.abandoned.clear()
    model_server.will(model.hangs)

    answer = runtime.run("Hello")

    detail = "the answer was not complete within the time that a request may take"
    assert_problem(answer, 504, "deadline-exceeded", detail, attempts=[("vllm:scripted", "deadline_exceeded")])
    assert runtime.outcome("deadline_exceeded") == counted_before + 1
    assert model_server.abandoned.wait(10)


def test_a_server_that_is_not_there_is_unavailable(start: Start) -> None:
    runtime = start(config_of({"model": "vllm:x", "baseUrl": "http://127.0.0.1:9/v1"}))

    attempts = [("vllm:x", "model_unavailable")]
    assert_problem(runtime.run("Hello"), 503, "model-unavailable", UNREACHABLE, attempts=attempts)


@pytest.mark.parametrize("behaviour", [model.fails(500), model.refuses, model.talks_garbage])
def test_what_fails_before_the_first_event_of_a_stream_is_an_ordinary_answer(
    served: Served, behaviour: Behaviour
) -> None:
    runtime, model_server = served
    model_server.will(behaviour)

    answer = runtime.run("Hello", stream=True)

    assert answer.status in {422, 502, 503}
    assert answer.headers["content-type"] == "application/problem+json"
    assert "SECRET-TE" not in answer.body.decode()


@pytest.mark.parametrize(
    ("behaviour", "code", "outcome"),
    [
        (model.cuts_the_stream, "model-misbehaved", "model_misbehaved"),
        (model.breaks_the_connection, "model-unavailable", "model_unavailable"),
        (model.hangs_after_first_word, "deadline-exceeded", "deadline_exceeded"),
    ],
)
def test_a_stream_that_breaks_ends_with_an_error_event(
    served: Served, behaviour: Behaviour, code: str, outcome: str
) -> None:
    runtime, model_server = served
    counted_before = runtime.outcome(outcome)
    model_server.will(behaviour)

    answer = runtime.run("Hello", stream=True)
    events = events_of(answer.body)

    assert [event.name for event in events] == ["delta", "error"]
    assert events[-1].data["type"] == f"urn:mizzen:problem:{code}"
    assert events[-1].data["request_id"] == answer.headers["x-request-id"]
    assert runtime.outcome(outcome) == counted_before + 1


def test_a_runtime_serves_on_after_every_kind_of_failure(served: Served) -> None:
    runtime, model_server = served
    faults = (model.fails(500), model.talks_garbage, model.refuses, model.drops_the_connection)
    model_server.will(*faults, model.says("Still here"))

    assert {runtime.run("Hello").status for _ in faults} == {422, 502, 503}
    assert runtime.run("Hello").json["output"] == "Still here"
    assert runtime.manage("/readyz").status == 200
