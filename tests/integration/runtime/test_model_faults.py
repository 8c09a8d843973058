"""In which words a caller is told what a model did wrong. `test_fault_matrix.py` has every kind of call."""

from collections.abc import Iterator

import pytest

from tests.integration.runtime import model_server as model
from tests.integration.runtime.model_server import Behaviour, ModelServer
from tests.integration.runtime.process import (
    STAYS_CLOSED,
    Answer,
    RuntimeProcess,
    config_of,
    limited,
    scripted,
)

UNREACHABLE = "the model's provider cannot be reached, or broke off"
UNREADABLE = "the model's provider answered what cannot be read, or only a part"
REJECTED = "the model's provider turned the request down: key, model name or settings are wrong"
TOO_LATE = "the answer was not complete within the time that a request may take"
REFUSED = "the model, or its provider's filter, declined to answer this input"


Served = tuple[RuntimeProcess, ModelServer]
Attempt = tuple[str, str]
"""The model that was asked, and how that ended."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One runtime and its model, for tests that count by difference."""
    server = ModelServer()
    config = limited(config_of(scripted(server, breaker=STAYS_CLOSED)), requestTimeoutSeconds=3)
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
        (model.hangs, (504, "deadline-exceeded", TOO_LATE)),
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
    model_server.will(behaviour)

    answer = runtime.run("Hello")

    attempts = [("vllm:scripted", "ok" if behaviour in (model.refuses, model.is_filtered) else outcome)]
    assert_problem(answer, status, code, detail, attempts=attempts)
    assert runtime.metric("mizzen_requests_in_flight") == 0
    assert "SECRET-TE" not in answer.body.decode() + runtime.log_text()
    (logged,) = [line for line in runtime.log() if line.get("request_id") == answer.json["request_id"]]
    assert (logged["message"], logged["outcome"]) == (detail, outcome)


def test_a_refusal_before_the_first_event_of_a_stream_is_an_ordinary_answer(served: Served) -> None:
    runtime, model_server = served
    model_server.will(model.refuses)

    answer = runtime.run("Hello", stream=True)

    assert_problem(answer, 422, "model-refused", REFUSED, attempts=[("vllm:scripted", "ok")])
    assert "SECRET-TE" not in answer.body.decode()


def test_a_runtime_serves_on_after_every_kind_of_failure(served: Served) -> None:
    runtime, model_server = served
    faults = (model.fails(500), model.talks_garbage, model.refuses, model.drops_the_connection)
    model_server.will(*faults, model.says("Still here"))

    assert {runtime.run("Hello").status for _ in faults} == {422, 502, 503}
    assert runtime.run("Hello").json["output"] == "Still here"
    assert runtime.manage("/readyz").status == 200
