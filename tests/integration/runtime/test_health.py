"""A real runtime whose model fails, or is slow: it says so, everywhere, and goes on being alive and ready."""

import time

from tests.integration.runtime import model_server as model
from tests.integration.runtime.model_exchange import Exchange
from tests.integration.runtime.model_server import ModelServer
from tests.integration.runtime.process import (
    START_SECONDS,
    Json,
    RuntimeProcess,
    Start,
    config_of,
    limited,
    scripted,
    until,
)

CLOSED = {"name": "model:vllm:scripted", "state": "closed", "reason": ""}


def watched(server: ModelServer, *, open_seconds: float = 1, **health: float) -> Json:
    """Give an agent about which something is said soon, and whose breaker opens for so long after five failures."""
    breaker = {
        "failureRatePercent": 50,
        "slowCallRatePercent": 100,
        "slowCallSeconds": 60,
        "windowType": "Count",
        "windowSize": 20,
        "minimumCalls": 5,
        "waitInOpenSeconds": open_seconds,
        "permittedCallsInHalfOpen": 1,
    }
    return {
        **config_of(scripted(server, breaker=breaker)),
        "health": {"minRequests": 6, "windowSeconds": 10, **health},
    }


def report(runtime: RuntimeProcess) -> Json:
    answer = runtime.request("GET", "/v1/health")
    told: Json = answer.json
    assert answer.status == (200 if told["ready"] else 503)
    return told


def told(runtime: RuntimeProcess) -> dict[str, str]:
    """Give the status that each reason makes."""
    return {reason["code"]: reason["status"] for reason in report(runtime)["reasons"]}


def wait_ready(runtime: RuntimeProcess) -> None:
    until(lambda: runtime.manage("/readyz").status == 200, "it is ready", START_SECONDS)


def assert_alive_and_ready(runtime: RuntimeProcess) -> None:
    assert (runtime.manage("/livez").status, runtime.manage("/readyz").status) == (200, 200)
    assert report(runtime)["ready"] is True


def test_a_storm_of_errors_is_told_everywhere_and_takes_no_pod_away_and_its_end_is_told(
    start: Start, model_server: ModelServer
) -> None:
    runtime = start(watched(model_server))
    wait_ready(runtime)
    assert report(runtime) == {
        "status": "healthy",
        "ready": True,
        "reasons": [],
        "services": [],
        "breakers": [CLOSED],
        "queue": {"running": 0, "max_running": 10, "queued": 0, "max_queued": 100},
    }

    model_server.otherwise = model.fails(500)
    for _ in range(6):
        assert runtime.run("Hello").status == 503
    until(lambda: told(runtime) == {"ErrorRate": "unhealthy"}, "it is told")
    assert_alive_and_ready(runtime)
    (reason,) = report(runtime)["reasons"]
    assert reason["figures"] == (
        "6 of 6 requests of the last 10 s failed (100.0 %), most often with model_unavailable."
    )
    state = runtime.manage("/state").json["health"]
    assert (state["status"], [each["code"] for each in state["reasons"]]) == ("unhealthy", ["ErrorRate"])
    assert runtime.metric('mizzen_health_status{status="unhealthy"}') == 1
    assert runtime.metric('mizzen_health_reason{reason="ErrorRate"}') == 1
    line = runtime.wait_logged("health has changed")
    assert (line["level"], line["status"]) == ("warning", "unhealthy")

    model_server.otherwise = model.says("Back")
    until(lambda: runtime.run("Hello").status == 200, "the breaker lets one pass")
    until(lambda: report(runtime)["status"] == "healthy", "it is well again", 90)
    assert runtime.metric('mizzen_health_status{status="healthy"}') == 1


def test_a_breaker_that_is_open_is_told_until_it_closes(start: Start, model_server: ModelServer) -> None:
    runtime = start(watched(model_server, open_seconds=8, minRequests=100))
    wait_ready(runtime)
    for _ in range(5):
        assert runtime.run("Hello").status == 503
    until(lambda: told(runtime) == {"BreakerOpen": "degraded"}, "it is told", 40)
    assert_alive_and_ready(runtime)
    (reason,) = report(runtime)["reasons"]
    assert reason["subject"] == CLOSED["name"]
    assert reason["figures"] == "100% of its last calls failed, 0% were slow."
    (breaker,) = runtime.manage("/state").json["breakers"]
    assert breaker["name"] == CLOSED["name"]
    assert breaker["state"] in {"open", "half_open"}

    model_server.otherwise = model.says("Back")
    until(lambda: runtime.run("Hello").status == 200, "it lets one pass", 40)
    until(lambda: report(runtime)["status"] == "healthy", "it is well again", 90)
    assert report(runtime)["breakers"] == [CLOSED]


def test_some_errors_make_it_degraded_and_one_does_not(start: Start, model_server: ModelServer) -> None:
    runtime = start(watched(model_server, maxErrorRatePercent=20))
    wait_ready(runtime)
    model_server.otherwise = model.says("Well")
    model_server.will(model.fails(500))
    for _ in range(6):
        runtime.run("Hello")
    looked = time.monotonic() + 2
    until(lambda: time.monotonic() > looked, "it has looked at them")
    assert told(runtime) == {}

    model_server.will(*[model.fails(500)] * 2)
    for _ in range(2):
        assert runtime.run("Hello").status == 503
    until(lambda: told(runtime) == {"ErrorRate": "degraded"}, "it is told")
    assert_alive_and_ready(runtime)


def slowly(exchange: Exchange) -> None:
    """Answer after half a second."""
    time.sleep(0.5)
    model.says("At last")(exchange)


def test_slow_requests_are_told_where_they_are_not_to_be(start: Start, model_server: ModelServer) -> None:
    runtime = start(watched(model_server, maxLatencySeconds=0.25))
    wait_ready(runtime)
    model_server.otherwise = slowly
    for _ in range(6):
        assert runtime.run("Hello").status == 200
    until(lambda: told(runtime) == {"Latency": "degraded"}, "it is told")
    assert_alive_and_ready(runtime)


def test_an_agent_so_slow_that_every_caller_gives_up_does_not_look_well(
    start: Start, model_server: ModelServer
) -> None:
    runtime = start(watched(model_server, maxLatencySeconds=0.25))
    wait_ready(runtime)
    model_server.otherwise = model.hangs
    callers = [runtime.open_run({"input": "Hello"}) for _ in range(6)]
    until(lambda: len(model_server.requests) == 6, "all have reached the model")
    given_up = time.monotonic() + 0.5
    until(lambda: time.monotonic() > given_up, "their patience is over")
    for caller in callers:
        caller.close()
    until(lambda: told(runtime) == {"Latency": "degraded"}, "it is told")
    assert runtime.outcome("cancelled") == 6
    assert_alive_and_ready(runtime)


def test_requests_that_find_no_place_are_told(start: Start, model_server: ModelServer) -> None:
    runtime = start(limited(watched(model_server), maxConcurrentRequests=1, maxQueuedRequests=0))
    wait_ready(runtime)
    model_server.otherwise = model.after_release(model.says("At last"))
    holder = runtime.open_run({"input": "Hello"})
    assert model_server.held.wait(20)
    assert report(runtime)["queue"] == {"running": 1, "max_running": 1, "queued": 0, "max_queued": 0}
    for _ in range(6):
        assert runtime.run("Hello").status == 429
    until(lambda: told(runtime) == {"QueueFull": "degraded"}, "it is told")
    assert_alive_and_ready(runtime)
    (reason,) = report(runtime)["reasons"]
    assert reason["figures"] == "6 of 6 requests of the last 10 s did."
    model_server.release.set()
    holder.close()
