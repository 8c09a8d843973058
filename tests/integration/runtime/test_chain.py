"""The chain of models over real connections: who answers, within what time, and what the caller is told of it.

`test_fault_matrix.py` has what each fault of the first model comes to.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.integration.runtime import model_server as model
from tests.integration.runtime.model_server import Behaviour, ModelServer
from tests.integration.runtime.process import (
    STAYS_CLOSED,
    Answer,
    Event,
    Json,
    RuntimeProcess,
    Start,
    config_of,
    events_of,
    limited,
)

DOWN = {"model": "vllm:down", "baseUrl": "http://127.0.0.1:9/v1"}


def endpoint(name: str, server: ModelServer, **fields: object) -> Json:
    return {"model": f"vllm:{name}", "baseUrl": server.base_url, **fields}


def attempts_of(told: Json) -> list[tuple[str, str]]:
    return [(attempt["model"], attempt["outcome"]) for attempt in told["attempts"]]


def plain(runtime: RuntimeProcess) -> Json:
    answer = runtime.run("Hello")
    assert answer.status == 200, answer.body
    told: Json = answer.json
    return told


def streamed(runtime: RuntimeProcess) -> Json:
    answer = runtime.run("Hello", stream=True)
    assert answer.status == 200, answer.body
    result: Event = events_of(answer.body)[-1]
    assert result.name == "result", result
    told: Json = result.data
    return told


Way = Callable[[RuntimeProcess], Json]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Served"]:
    """One runtime with a chain of two, for tests that leave no trace in it."""
    first, second = ModelServer(), ModelServer()
    config = config_of(
        *(endpoint(name, it, breaker=STAYS_CLOSED) for name, it in (("first", first), ("second", second)))
    )
    runtime = RuntimeProcess(tmp_path_factory.mktemp("runtime"), config)
    yield runtime, first, second
    runtime.close()
    first.close()
    second.close()


Served = tuple[RuntimeProcess, ModelServer, ModelServer]


@pytest.mark.parametrize("way", [plain, streamed])
@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        (model.fails(503), "model_unavailable"),
        (model.fails(402), "model_unavailable"),
        (model.fails(403), "model_rejected"),
        (model.fails(404), "model_rejected"),
        (model.exceeds_the_context_window, "invalid_input"),
    ],
)
def test_the_next_model_answers_when_one_cannot(served: Served, behaviour: Behaviour, outcome: str, way: Way) -> None:
    runtime, first, second = served
    first.will(behaviour)
    second.will(model.says("Second best"))

    told = way(runtime)

    assert told["output"].strip() == "Second best"
    assert attempts_of(told) == [("vllm:first", outcome), ("vllm:second", "ok")]
    assert all(attempt["seconds"] >= 0 for attempt in told["attempts"])


@pytest.mark.parametrize("behaviour", [model.refuses, model.is_filtered])
def test_a_refusal_is_an_answer_that_no_other_model_is_asked_for(served: Served, behaviour: Behaviour) -> None:
    runtime, first, second = served
    asked_before = len(second.requests)
    first.will(behaviour)

    answer = runtime.run("Hello")

    assert (answer.status, answer.json["type"]) == (422, "urn:mizzen:problem:model-refused")
    assert attempts_of(answer.json) == [("vllm:first", "ok")]
    assert len(second.requests) == asked_before


def test_an_answer_after_a_failure_is_logged_once_with_what_the_provider_said_in_codes(served: Served) -> None:
    runtime, first, second = served
    first.will(model.fails(401))
    second.will(model.says("Second best"))

    request_id = plain(runtime)["id"]

    (line,) = [line for line in runtime.log() if line.get("request_id") == request_id]
    assert (line["level"], line["message"]) == ("warning", "answered after a model had failed")
    assert line["attempts"][0] | {"seconds": 0} == {
        "model": "vllm:first",
        "outcome": "model_rejected",
        "seconds": 0,
        "kind": "ModelAuthenticationError",
        "status": 401,
        "code": "scripted",
    }
    assert "SECRET-TEXT" not in runtime.log_text()


def test_the_tokens_of_models_that_failed_before_are_not_made_up(served: Served) -> None:
    runtime, first, second = served
    first.will(model.fails(500))
    second.will(model.says("Second best"))

    assert plain(runtime)["usage"] == {"requests": 1, "input_tokens": 11, "output_tokens": 7}


def test_a_model_that_hangs_leaves_time_for_the_next(
    start: Start, model_server: ModelServer, second_server: ModelServer
) -> None:
    model_server.will(model.hangs, model.hangs)
    second_server.will(model.says("Second best"), model.says("Second best"))
    config = config_of(endpoint("first", model_server), endpoint("second", second_server))
    runtime = start(limited(config, requestTimeoutSeconds=4))

    for way in (plain, streamed):
        told = way(runtime)

        assert attempts_of(told) == [("vllm:first", "model_unavailable"), ("vllm:second", "ok")]
        assert 1.5 < told["attempts"][0]["seconds"] < 4, "it had half of the four seconds"
    assert model_server.abandoned.wait(10)


def test_the_deadline_holds_for_the_whole_chain(
    start: Start, model_server: ModelServer, second_server: ModelServer
) -> None:
    model_server.will(model.hangs)
    second_server.will(model.hangs)
    config = config_of(endpoint("first", model_server), endpoint("second", second_server))
    runtime = start(limited(config, requestTimeoutSeconds=2))

    answer = runtime.run("Hello")

    assert answer.status == 504
    assert attempts_of(answer.json) == [("vllm:first", "model_unavailable"), ("vllm:second", "deadline_exceeded")]


def test_a_chain_in_which_all_fail_tells_each_attempt_and_the_shortest_wait(
    start: Start, model_server: ModelServer, second_server: ModelServer
) -> None:
    model_server.will(model.fails(429, retry_after="30"))
    second_server.will(model.fails(503, retry_after="4"))
    runtime = start(config_of(DOWN, endpoint("first", model_server), endpoint("second", second_server)))

    answer: Answer = runtime.run("Hello")

    assert (answer.status, answer.json["detail"]) == (503, "every model of the chain failed")
    assert answer.headers["retry-after"] == "4"
    assert attempts_of(answer.json) == [
        ("vllm:down", "model_unavailable"),
        ("vllm:first", "model_unavailable"),
        ("vllm:second", "model_unavailable"),
    ]
    logged = runtime.wait_logged("every model of the chain failed")["attempts"]
    assert [attempt["status"] for attempt in logged] == [None, 429, 503]
