"""Breakers over real connections: what fails is not asked any more, and is asked again when it is back."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.runtime import model_server as model
from tests.integration.runtime.model_server import Behaviour, ModelServer
from tests.integration.runtime.mounts import mount
from tests.integration.runtime.neighbours import CALL_SECONDS, ask, fault_in, running_neighbours
from tests.integration.runtime.process import (
    Answer,
    Json,
    RuntimeProcess,
    Start,
    breaker_of,
    config_of,
    events_of,
    scripted,
    until,
)

FIRST, SECOND = "vllm:first", "vllm:second"
MINIMUM = 5
"""Calls without which nothing opens, by default."""


def endpoint(name: str, server: ModelServer, **fields: object) -> Json:
    return {"model": name, "baseUrl": server.base_url, **fields}


def state_of(runtime: RuntimeProcess, breaker: str) -> str:
    """Give the one state that a single answer of `/metrics` tells: it may be another one in the next answer."""
    series = 'mizzen_breaker_state{{breaker="{}",state="{}"}}'
    told = runtime.metrics()
    (state,) = [each for each in ("closed", "open", "half_open") if told[series.format(breaker, each)] == 1]
    return state


def attempts_of(answer: Answer) -> list[tuple[str, str, bool]]:
    """Give the model of each attempt, how it ended, and whether the model was asked at all."""
    is_stream = answer.headers["content-type"].startswith("text/event-stream")
    told = events_of(answer.body)[-1].data if is_stream else answer.json
    return [(each["model"], each["outcome"], each["seconds"] > 0) for each in told["attempts"]]


def test_a_model_that_hangs_is_asked_no_more_and_its_callers_wait_no_more(
    start: Start, model_server: ModelServer, second_server: ModelServer
) -> None:
    model_server.otherwise, second_server.otherwise = model.hangs, model.says("Second best")
    first = endpoint(FIRST, model_server, requestTimeoutSeconds=1.5)
    runtime = start(config_of(first, endpoint(SECOND, second_server)))
    for _ in range(MINIMUM):
        assert attempts_of(runtime.run("Hello")) == [(FIRST, "model_unavailable", True), (SECOND, "ok", True)]

    for stream in (False, True, False):
        answer = runtime.run("Hello", stream=stream)
        assert attempts_of(answer) == [(FIRST, "model_unavailable", False), (SECOND, "ok", True)]

    assert len(model_server.requests) == MINIMUM
    assert (state_of(runtime, f"model:{FIRST}"), state_of(runtime, f"model:{SECOND}")) == ("open", "closed")
    assert runtime.metric(f'mizzen_breaker_calls_total{{breaker="model:{FIRST}",outcome="failed"}}') == MINIMUM
    assert runtime.metric(f'mizzen_breaker_not_permitted_calls_total{{breaker="model:{FIRST}"}}') == 3
    opened = runtime.wait_logged("a breaker opened")
    assert (opened["level"], opened["breaker"], opened["failure_rate"]) == ("warning", f"model:{FIRST}", 1.0)
    warnings = [line for line in runtime.log() if line["message"] == "answered after a model had failed"]
    assert len(warnings) == MINIMUM, "who was passed over is worth no line"


@pytest.mark.parametrize(
    "behaviour", [model.fails(500), model.drops_the_connection], ids=["fails", "drops the connection"]
)
def test_a_model_that_is_back_is_asked_again(
    start: Start, model_server: ModelServer, second_server: ModelServer, behaviour: Behaviour
) -> None:
    model_server.otherwise, second_server.otherwise = behaviour, model.says("Second best")
    first = endpoint(FIRST, model_server, breaker=breaker_of(waitInOpenSeconds=2))
    runtime = start(config_of(first, endpoint(SECOND, second_server)))
    until(lambda: runtime.run("Hello").status == 200 and state_of(runtime, f"model:{FIRST}") == "open", "it opens")

    model_server.otherwise = model.says("First")
    until(lambda: runtime.run("Hello").json["output"] == "First", "the first is asked again")
    until(lambda: runtime.run("Hello").status == 200 and state_of(runtime, f"model:{FIRST}") == "closed", "it closes")

    asked = len(second_server.requests)
    assert [runtime.run("Hello").json["output"] for _ in range(5)] == ["First"] * 5
    assert len(second_server.requests) == asked
    runtime.wait_logged("a breaker closed")


def test_when_no_model_is_asked_the_caller_is_told_at_once_when_to_come_back(
    start: Start, model_server: ModelServer, second_server: ModelServer
) -> None:
    first = endpoint(FIRST, model_server, breaker=breaker_of(waitInOpenSeconds=300))
    second = endpoint(SECOND, second_server, breaker=breaker_of(waitInOpenSeconds=120))
    runtime = start(config_of(first, second))
    for _ in range(MINIMUM):
        assert runtime.run("Hello").status == 503

    answer = runtime.run("Hello", stream=True)

    assert (answer.status, answer.json["type"]) == (503, "urn:mizzen:problem:model-unavailable")
    assert answer.json["detail"] == "no model of the chain is asked for now: all failed"
    assert 60 < int(answer.headers["retry-after"]) <= 120
    assert attempts_of(answer) == [(FIRST, "model_unavailable", False), (SECOND, "model_unavailable", False)]
    assert (len(model_server.requests), len(second_server.requests)) == (MINIMUM, MINIMUM)


def test_a_provider_that_says_when_to_come_back_is_not_asked_before(start: Start, model_server: ModelServer) -> None:
    runtime = start(config_of(endpoint(FIRST, model_server)))
    model_server.will(model.fails(429, retry_after="120"))
    assert runtime.run("Hello").headers["retry-after"] == "120"

    answer = runtime.run("Hello")

    assert (answer.status, len(model_server.requests)) == (503, 1)
    assert 60 < int(answer.headers["retry-after"]) <= 120
    assert attempts_of(answer) == [(FIRST, "model_unavailable", False)]


def test_a_model_that_turns_inputs_down_is_asked_on(start: Start, model_server: ModelServer) -> None:
    """Nobody shuts it for the others by what they send."""
    runtime = start(config_of(endpoint(FIRST, model_server)))
    model_server.otherwise = model.fails(400)
    for _ in range(3 * MINIMUM):
        assert runtime.run("Hello").status == 502
    model_server.will(*[model.exceeds_the_context_window] * 2 * MINIMUM)
    for _ in range(2 * MINIMUM):
        assert runtime.run("Hello").status == 422

    model_server.will(model.says("Here"))
    assert runtime.run("Hello").json["output"] == "Here"


def test_a_new_key_closes_the_breaker_that_the_old_one_opened(
    start: Start, model_server: ModelServer, tmp_path: Path
) -> None:
    keys = tmp_path / "key"
    mount(keys, **{"api-key": "sk-1"})
    model_server.accepts, model_server.otherwise = {"sk-2"}, model.says("Here")
    source = {"name": "llm", "key": "token", "path": str(keys / "api-key")}
    runtime = start(config_of(scripted(model_server, apiKey=source, breaker=breaker_of(waitInOpenSeconds=3600))))
    assert [runtime.run("Hello").status for _ in range(MINIMUM + 1)] == [502] * MINIMUM + [503]

    mount(keys, **{"api-key": "sk-2"})
    until(lambda: runtime.metric('mizzen_reloads_total{outcome="ok"}') == 1, "the new key is taken up")

    assert runtime.run("Hello").json["output"] == "Here"
    assert state_of(runtime, "model:vllm:scripted") == "closed"


def test_a_service_that_hangs_is_asked_no_more_and_is_asked_again_when_it_is_back(
    start: Start, model_server: ModelServer, tmp_path: Path
) -> None:
    with running_neighbours(tmp_path / "servers") as neighbours:
        config = neighbours.config(model_server, {"api": "Never"})
        for service in config["services"]:
            if service["name"] == "api":
                service["breaker"] = breaker_of(waitInOpenSeconds=15)
        runtime = start(config, **neighbours.environment)
        until(lambda: ask(runtime, "once", runtime.port).status == 200, "all services are used")

        def asked(number: int) -> Answer:
            return ask(runtime, f"call-{number}", runtime.port)

        with neighbours.api.frozen():
            with ThreadPoolExecutor(MINIMUM) as callers:
                assert {answer.status for answer in callers.map(asked, range(MINIMUM))} == {503}
            assert state_of(runtime, "service:api") == "open"
            begun = time.monotonic()
            answer = asked(MINIMUM)
            assert time.monotonic() - begun < CALL_SECONDS, "it is not even tried"
            assert answer.status == 503
            assert fault_in(answer, "") == ""
            assert 1 < int(answer.headers["retry-after"]) <= 15
        until(lambda: state_of(runtime, "service:api") == "half_open", "the wait is over", 60)
        for number in range(10, 14):
            assert fault_in(asked(number), f"call-{number}") == ""
            assert asked(number).status == 200
        assert state_of(runtime, "service:api") == "closed"
