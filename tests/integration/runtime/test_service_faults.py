"""Servers that are killed, restarted and frozen under an agent that uses them in every run."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import pytest

from tests.integration.runtime.model_server import ModelServer
from tests.integration.runtime.neighbours import (
    CALL_SECONDS,
    POOL_SIZE,
    Ended,
    Neighbours,
    Traffic,
    ask,
    fault_in,
    running_neighbours,
)
from tests.integration.runtime.process import START_SECONDS, RuntimeProcess, Start, limited, until
from tests.support.waiting import wait_for

SERVICES = ("database", "cache", "api")
RECOVERY = 10.0
"""Seconds after which a service that is back must be used again."""
NOTICED = 60.0
"""Seconds within which the pings have found out; they take 20."""
SLACK = 10.0
"""Seconds that a busy machine may add to a time limit."""
PROBE_SECONDS = 1.0
"""What an answer on the management port may take, whatever the services do: kubelet waits no longer."""


@pytest.fixture
def neighbours(tmp_path: Path) -> Iterator[Neighbours]:
    with running_neighbours(tmp_path / "servers") as running:
        yield running


def wait_ready(runtime: RuntimeProcess, seconds: float = START_SECONDS) -> None:
    until(lambda: runtime.manage("/readyz").status == 200, "it is ready", seconds)


def is_up(runtime: RuntimeProcess, service: str) -> bool:
    return runtime.metric(f'mizzen_service_up{{service="{service}"}}') == 1


def asked(runtime: RuntimeProcess, token: str = "once", *, status: int | None = 200) -> Ended:  # noqa: S107 - no secret
    """Ask once, and check the answer."""
    begun = time.monotonic()
    answer = ask(runtime, token, runtime.port)
    assert not fault_in(answer, token)
    assert status in {answer.status, None}
    return Ended(begun, time.monotonic() - begun, answer)


def wait_answered(runtime: RuntimeProcess, seconds: float) -> None:
    wait_for(lambda: asked(runtime, status=None).is_ok, "requests are answered again", seconds=seconds)


def end_and_count(runtime: RuntimeProcess, neighbours: Neighbours) -> None:
    """End the process in peace: no server has a connection left."""
    runtime.terminate()
    assert runtime.exit_code() == 0
    for service in SERVICES:
        neighbours.wait_for_connections(service, at_most=0)


@pytest.mark.parametrize("service", SERVICES)
def test_traffic_goes_on_after_a_server_was_killed(
    start: Start, model_server: ModelServer, neighbours: Neighbours, service: str
) -> None:
    runtime = start(neighbours.config(model_server), **neighbours.environment)
    wait_ready(runtime)
    with Traffic(runtime) as traffic:
        traffic.wait_right(20)
        neighbours.named(service).kill()
        traffic.wait_refused(5)
        neighbours.named(service).start()
        back = time.monotonic()
        traffic.wait_right(20, RECOVERY + SLACK)
        wait_for(lambda: time.monotonic() > back + RECOVERY, "the time to recover is over")
        traffic.wait_right(20)
    assert [each for each in traffic.refused if each.begun > back + RECOVERY] == []
    assert traffic.faults == []
    for name in SERVICES:
        neighbours.wait_for_connections(name, at_most=POOL_SIZE)
    assert runtime.outcome("service_unavailable") == len(traffic.refused)
    end_and_count(runtime, neighbours)


@pytest.mark.parametrize("required", ["AtStart", "Always"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_frozen_server_holds_no_call_longer_than_its_deadline_and_no_probe_at_all(
    start: Start, model_server: ModelServer, neighbours: Neighbours, service: str, required: str
) -> None:
    config = limited(neighbours.config(model_server, {service: required}), maxConcurrentRequests=20)
    runtime = start(config, **neighbours.environment)
    wait_ready(runtime)
    asked(runtime)
    with neighbours.named(service).frozen():
        with ThreadPoolExecutor(20) as callers:
            calls = [callers.submit(asked, runtime, f"call-{number}", status=503) for number in range(20)]
            until(lambda: runtime.manage("/state").json["inFlight"] == 20, "all are in flight")
            slowest = slowest_probe(runtime)
            took = max(call.result().seconds for call in calls)
        assert took < CALL_SECONDS + SLACK
        assert slowest < PROBE_SECONDS
        until(lambda: not is_up(runtime, service), "the pings find out", NOTICED)
        assert runtime.manage("/readyz").status == (200 if required == "AtStart" else 503)
        assert runtime.manage("/livez").status == 200
        refusal = asked(runtime, status=503)
        assert refusal.answer.json["detail"] == f"the agent's service {service!r} is not available"
        assert refusal.seconds < PROBE_SECONDS, "it is not even tried"
        assert slowest_probe(runtime) < PROBE_SECONDS
    thawed = time.monotonic()
    wait_answered(runtime, RECOVERY)
    wait_ready(runtime, RECOVERY - (time.monotonic() - thawed))
    for name in SERVICES:
        neighbours.wait_for_connections(name, at_most=POOL_SIZE)
    end_and_count(runtime, neighbours)


def slowest_probe(runtime: RuntimeProcess) -> float:
    """Ask for everything on the management port several times, and give the longest time that one of it usually took.

    The median of each: a single answer may have waited for the machine.
    """
    return max(
        median(_seconds_of(runtime, path) for _ in range(5))
        for path in ("/livez", "/readyz", "/readyz?verbose", "/metrics", "/state")
    )


def _seconds_of(runtime: RuntimeProcess, path: str) -> float:
    port = runtime.management_port  # looked up in the log, which takes its time
    begun = time.monotonic()
    runtime.request("GET", path, port=port)
    return time.monotonic() - begun


def test_a_request_ends_at_its_own_deadline_where_that_of_the_service_is_later(
    start: Start, model_server: ModelServer, neighbours: Neighbours
) -> None:
    config = neighbours.config(model_server, api={"call_timeout_seconds": 60})
    runtime = start(limited(config, requestTimeoutSeconds=3), **neighbours.environment)
    wait_ready(runtime)
    with neighbours.api.frozen():
        begun = time.monotonic()
        answer = ask(runtime, "too long", runtime.port)
        assert time.monotonic() - begun < 3 + SLACK
        assert (answer.status, answer.json["type"]) == (504, "urn:mizzen:problem:deadline-exceeded")
    wait_answered(runtime, RECOVERY)
    end_and_count(runtime, neighbours)


def test_a_start_waits_for_servers_that_are_down_and_serves_once_they_come(
    start: Start, model_server: ModelServer, neighbours: Neighbours
) -> None:
    for service in SERVICES:
        neighbours.named(service).kill()
    runtime = start(neighbours.config(model_server), **neighbours.environment)
    runtime.wait_logged("serving")
    for service in SERVICES:
        assert runtime.manage("/startupz").status == 200
        assert runtime.manage("/livez").status == 200
        assert runtime.manage("/readyz").status == 503
        assert ask(runtime, "early", runtime.port).status == 503
        neighbours.named(service).start()
    wait_ready(runtime, RECOVERY)
    with Traffic(runtime) as traffic:
        traffic.wait_right(20)
    assert (traffic.faults, traffic.refused) == ([], [])
    end_and_count(runtime, neighbours)


def test_a_drain_ends_in_time_although_every_server_is_frozen(
    start: Start, model_server: ModelServer, neighbours: Neighbours
) -> None:
    runtime = start(neighbours.config(model_server), **neighbours.environment)
    wait_ready(runtime)
    with Traffic(runtime) as traffic:
        traffic.wait_right(20)
    with ExitStack() as frozen:
        for service in SERVICES:
            frozen.enter_context(neighbours.named(service).frozen())
        with ThreadPoolExecutor(5) as callers:
            calls = [callers.submit(asked, runtime, "late", status=503) for _ in range(5)]
            until(lambda: runtime.manage("/state").json["inFlight"] == 5, "all are in flight")
            runtime.terminate()
            asked_to_leave = time.monotonic()
            for call in calls:
                call.result()
        assert runtime.exit_code() == 0
        assert time.monotonic() - asked_to_leave < CALL_SECONDS + SLACK
    for service in SERVICES:
        neighbours.wait_for_connections(service, at_most=0)


def test_a_start_that_waits_for_a_frozen_server_ends_at_once_when_asked_to(
    start: Start, model_server: ModelServer, neighbours: Neighbours
) -> None:
    with neighbours.postgres.frozen():
        runtime = start(neighbours.config(model_server), **neighbours.environment)
        runtime.wait_logged("serving")
        runtime.terminate()
        asked_to_leave = time.monotonic()
        assert runtime.exit_code() == 0
        assert time.monotonic() - asked_to_leave < CALL_SECONDS + SLACK
