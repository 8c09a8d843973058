"""Pods come and go under load, for every reason that there is: no request fails, no stream is cut."""

import sys
import time
from collections.abc import Callable, Iterator

import pytest

from devcluster.spec import load_node
from mizzen_api.names import LABEL_REVISION, TRAFFIC_PORT
from tests.conftest import FULL_SIZE, Platform
from tests.support.agent_under_load import (
    AGENT,
    PODS,
    REPLICAS,
    Agent,
    container_of,
    is_ready,
    signal_container,
)
from tests.support.echo_model import EchoModel
from tests.support.http import call
from tests.support.load import Load, figures
from tests.support.namespace import Namespace, Object, agent_deployment
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(1800 if FULL_SIZE else 600)

IN_FLIGHT = 100 if FULL_SIZE else 20
"""Of each of the two clients."""
TIMES = 2 if FULL_SIZE else 1
"""How often each disturbance happens."""
MODEL_SECONDS = 2 * IN_FLIGHT / 25
"""What an answer takes: so that as many in flight are no more than two cores answer beside all else."""


@pytest.fixture(scope="module")
def model(platform: Platform) -> Iterator[EchoModel]:
    """A model that answers with the question, on the host, where the pods reach it."""
    with EchoModel(load_node(platform.cluster.paths).subnet.host, seconds=MODEL_SECONDS) as model:
        yield model


@pytest.fixture
def agent(platform: Platform, namespace: Namespace, model: EchoModel) -> Agent:
    """An agent of three pods that answers with the question."""
    agent = Agent(platform.cluster, namespace, model.url, at_once=2 * IN_FLIGHT)
    agent.apply(replicas=REPLICAS)
    agent.wait_settled(REPLICAS)
    return agent


DISTURBANCES: list[Callable[[Agent], None]] = [
    Agent.restart,
    Agent.edit,
    Agent.scale_down,
    Agent.delete_pod,
    Agent.stop_container,
]


def test_no_request_fails_and_no_stream_is_cut_when_pods_come_and_go(agent: Agent) -> None:
    pooled = Load(agent.url, workers=IN_FLIGHT, pooled=True, ramp=MODEL_SECONDS)
    with_new_connections = Load(agent.url, workers=IN_FLIGHT, pooled=False, ramp=MODEL_SECONDS)
    loads = {"pooled": pooled, "new connections": with_new_connections}
    with pooled, with_new_connections:
        for disturb in DISTURBANCES * TIMES:
            begun = time.monotonic()
            disturb(agent)
            ended = time.monotonic()
            for name, load in loads.items():
                summed = figures(load.between(begun, ended))
                sys.stdout.write(f"{disturb.__name__}, {ended - begun:.1f} s, {name}: {summed}\n")
    for name, load in loads.items():
        took = f"the client took {load.cpu_seconds:.1f} s of a core"
        sys.stdout.write(f"in all, {name}: {figures(load.asked)}; {took}\n")
    assert [load.lost() for load in loads.values()] == [[], []]


def test_a_revision_that_cannot_start_leaves_the_old_pods_which_come_back_as_they_were(
    platform: Platform, namespace: Namespace
) -> None:
    namespace.apply(agent_deployment(AGENT, replicas=2))
    namespace.wait_ready(AGENT)
    old = namespace.get("agd", AGENT)["status"]["stableRevision"]
    key = {"secretKeyRef": {"name": "llm", "key": "token"}}
    namespace.apply(agent_deployment(AGENT, replicas=2, models=[{"model": "openai-chat:gpt-5", "apiKey": key}]))
    assert "Secret 'llm'" in namespace.wait_condition(AGENT, "Ready", "False", "ConfigInvalid", seconds=120)

    deleted, killed = ready_pods(namespace, old)
    namespace.kubectl("delete", "pod", deleted["metadata"]["name"], "--wait=false")
    signal_container(platform.cluster, container_of(killed), "SIGKILL")

    def back() -> list[Object]:
        pods = ready_pods(namespace, old)
        names = {pod["metadata"]["name"] for pod in pods}
        assert len(pods) == 2, names
        assert deleted["metadata"]["name"] not in names
        assert container_of(killed) not in {container_of(pod) for pod in pods}
        return pods

    for pod in wait_for(back, "two old pods again, both of new processes", seconds=120, interval=0.3):
        answer = call(f"http://{pod['status']['podIP']}:{TRAFFIC_PORT}/v1/run", {"input": "Hello"}).json()
        assert answer["revision"] == old
    assert namespace.condition(AGENT, "Available")["status"] == "True"
    assert namespace.condition(AGENT, "Ready")["reason"] == "ConfigInvalid"

    namespace.apply(agent_deployment(AGENT, replicas=2))  # the way back
    namespace.wait_ready(AGENT)
    assert namespace.ask(AGENT, "Hello").json()["revision"] == old


def ready_pods(namespace: Namespace, revision: str) -> list[Object]:
    """Give the pods of a revision that serve and stay."""
    pods = namespace.list("pods", f"{PODS},{LABEL_REVISION}={revision}")
    return [pod for pod in pods if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]
