"""One rolling restart after the other under load: every request is answered, every stream is whole."""

import math
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from devcluster.spec import load_node
from mizzen_api.names import MANAGEMENT_PORT
from tests.conftest import FULL_SIZE, Platform
from tests.support.agent_under_load import REPLICAS, Agent
from tests.support.echo_model import EchoModel
from tests.support.exposition import values_of
from tests.support.http import call
from tests.support.load import Load, figures
from tests.support.namespace import Namespace, Object
from tests.support.waiting import wait_for

RESTARTS = 20 if FULL_SIZE else 1
REQUESTS = 50_000 if FULL_SIZE else 300
"""How many there are at least; the load goes on until both are reached."""
WORKERS = 40 if FULL_SIZE else 6
"""Of each of the two clients."""
PERIOD = 0.8
"""From one request of a worker to its next. Who is behind asks as soon as it has its answer."""
MODEL_SECONDS = 0.5
STREAM_EVERY = 5
SECONDS = 3600 if FULL_SIZE else 600
"""For all of it. A machine that does other work too takes its time, and loses nothing either."""


pytestmark = [pytest.mark.alone, pytest.mark.timeout(SECONDS)]


@pytest.fixture
def agent(platform: Platform, namespace: Namespace) -> Iterator[Agent]:
    """An agent of three pods that answers with the question, and its model on the host, where the pods reach it."""
    with EchoModel(load_node(platform.cluster.paths).subnet.host, seconds=MODEL_SECONDS) as model:
        agent = Agent(platform.cluster, namespace, model.url, at_once=2 * WORKERS)
        agent.apply(replicas=REPLICAS)
        agent.wait_settled(REPLICAS)
        yield agent


def test_no_request_fails_and_no_stream_is_cut_in_one_restart_after_the_other(agent: Agent) -> None:
    shared: dict[str, Any] = {"workers": WORKERS, "period": PERIOD, "ramp": PERIOD, "stream_every": STREAM_EVERY}
    pooled = Load(agent.url, pooled=True, **shared)
    with_new_connections = Load(agent.url, pooled=False, **shared)
    loads = {"pooled": pooled, "new connections": with_new_connections}
    restarts: list[Restart] = []
    with pooled, with_new_connections:
        for number in range(1, RESTARTS + 1):
            done = restart(agent)
            restarts.append(done)
            between = [one for load in loads.values() for one in load.between(done.begun, done.ended)]
            sys.stdout.write(f"restart {number}, {done.ended - done.begun:.1f} s: {figures(between)}\n")
        wait_for(lambda: sum(len(load.asked) for load in loads.values()) >= REQUESTS, "all requests", seconds=SECONDS)

    for name, load in loads.items():
        took = f"{load.connections} connections, the client took {load.cpu_seconds:.1f} s of a core"
        sys.stdout.write(f"in all, {name}: {figures(load.asked)}; {took}\n")
    assert [load.lost() for load in loads.values()] == [[], []]
    asked = pooled.asked + with_new_connections.asked
    streamed = sum(one.streamed for one in asked)
    assert len(asked) >= REQUESTS
    assert abs(streamed - len(asked) / STREAM_EVERY) <= 2 * WORKERS, "each worker streams one of so many"
    answered, last = outcomes(agent.pods()), restarts[-1]
    assert set(answered) == {"ok"}
    # The last restart's pods answered what was asked after it, and nothing that ended before it.
    assert sum(one.begun > last.ended for one in asked) <= answered["ok"]
    assert answered["ok"] <= sum(len(load.between(last.begun, math.inf)) for load in loads.values())


@dataclass(frozen=True)
class Restart:
    """When a restart began, and when its pods alone were left."""

    begun: float
    ended: float


def restart(agent: Agent) -> Restart:
    """Replace every pod."""
    before = uids(agent.pods())
    begun = time.monotonic()
    agent.restart()
    ended = time.monotonic()
    after = uids(agent.pods())
    assert len(before) == len(after) == REPLICAS
    assert not before & after
    return Restart(begun, ended)


def uids(pods: list[Object]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


def outcomes(pods: list[Object]) -> Counter[str]:
    """Give what the pods counted, by outcome, once they answer nobody any more."""

    def idle() -> list[dict[str, float]]:
        told = [values_of(call(f"http://{pod['status']['podIP']}:{MANAGEMENT_PORT}/metrics").text) for pod in pods]
        assert [values["mizzen_requests_in_flight"] for values in told] == [0] * len(pods)
        return told

    counted: Counter[str] = Counter()
    for values in wait_for(idle, "no request in flight"):
        for series, value in values.items():
            if series.startswith("mizzen_requests_total"):
                counted[series.split('"')[1]] += int(value)
    return +counted
