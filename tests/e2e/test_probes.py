"""Kubelet's probes follow the policy: a wedged event loop is restarted, a dead model restarts nothing."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pytest
from prometheus_client.parser import text_string_to_metric_families

from devcluster.spec import load_node
from images.build import build
from mizzen_api.names import TRAFFIC_PORT
from tests.conftest import Platform, new_namespace
from tests.support.echo_model import EchoModel
from tests.support.http import call
from tests.support.load import Ending, Load
from tests.support.namespace import Namespace, Object, agent_deployment
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(600)  # kubelet takes its time

WEDGED = "wedged"
RESTART_SECONDS = 180
"""Until a wedged container runs anew, at most; kubelet wants half a minute to be sure."""
TOLD_SECONDS = 120
"""Until the resource says what its pods say, at most."""
PERIOD = 0.5
"""Seconds in which an agent is asked once."""
PROBLEM = "urn:mizzen:problem:model-unavailable"


@dataclass(frozen=True)
class Outage:
    """A way in which a model is gone."""

    begin: Callable[[EchoModel], None]
    end: Callable[[EchoModel], None]


OUTAGES = {"refused": Outage(EchoModel.stop, EchoModel.start), "silent": Outage(EchoModel.freeze, EchoModel.thaw)}
"""By the name of the agent whose model goes that way."""


@dataclass(frozen=True)
class Bereft:
    """An agent of one pod whose model is gone, and that is asked all the time."""

    load: Load
    give_back: Callable[[], None]
    """Lets the model answer again."""
    pod: Object
    """As it was when the model went."""
    alive: int
    """How often kubelet had been told that it lives, by then."""
    gone_at: float
    """When the model was gone (`time.monotonic`)."""


@pytest.fixture(scope="module")
def home(platform: Platform) -> Iterator[Namespace]:
    """A namespace for all of these tests."""
    with new_namespace(platform.cluster) as home:
        yield home


@pytest.fixture(scope="module")
def bereft(platform: Platform, home: Namespace) -> Iterator[dict[str, Bereft]]:
    """Agents whose models go, each in its way, at the same moment: so that kubelet probes both meanwhile."""
    host = load_node(platform.cluster.paths).subnet.host
    home.kubectl("create", "secret", "generic", "model", "--from-literal=key=any")
    with ExitStack() as stack:
        models = {name: stack.enter_context(EchoModel(host, seconds=0)) for name in OUTAGES}
        for name, model in models.items():
            home.apply(asks_a_model(name, model.url))
        for name in models:
            home.wait_ready(name)
        urls = {name: f"{home.address(name)}/v1/run" for name in models}
        loads = {
            name: stack.enter_context(Load(url, workers=1, pooled=False, period=PERIOD)) for name, url in urls.items()
        }
        for load in loads.values():
            wait_for(partial(is_answered, load), "answers")
        found = {}
        for name, model in models.items():
            (pod,) = pods_of(home, name)
            outage, alive = OUTAGES[name], lives(platform, pod)
            outage.begin(model)
            found[name] = Bereft(loads[name], partial(outage.end, model), pod, alive, time.monotonic())
        yield found


def asks_a_model(name: str, url: str) -> Object:
    """Give an agent that says within seconds how it is. Of one that refers to a Secret the operator asks oftener."""
    key = {"secretKeyRef": {"name": "model", "key": "key"}}
    breaker = {"waitInOpen": "2s"}
    model = {"model": "vllm:echo", "baseUrl": url, "apiKey": key, "requestTimeout": "1s", "breaker": breaker}
    return agent_deployment(name, models=[model], health={"window": "10s", "minRequests": 5})


def is_answered(load: Load) -> bool:
    """Tell whether the last requests were answered, a streamed one among them."""
    last = list(load.asked)[-5:]
    return len(last) == 5 and all(one.ending is Ending.OK for one in last)


def pods_of(namespace: Namespace, agent: str) -> list[Object]:
    return namespace.list("pods", f"app.kubernetes.io/instance={agent}")


def restarts(pod: Object) -> int:
    (status,) = pod["status"]["containerStatuses"]
    return int(status["restartCount"])


def readiness(pod: Object) -> tuple[str, str]:
    """Give whether a pod is ready, and since when."""
    (condition,) = [each for each in pod["status"]["conditions"] if each["type"] == "Ready"]
    return condition["status"], condition["lastTransitionTime"]


def log_before(namespace: Namespace, pod: str) -> list[Object]:
    """Give what a pod's container logged before its restart."""
    return [json.loads(line) for line in namespace.kubectl("logs", pod, "--previous").splitlines()]


def lives(platform: Platform, pod: Object) -> int:
    """Give how often kubelet has asked whether a pod is alive and was told so, by kubelet's own count."""
    node = platform.cluster.name
    text = platform.cluster.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics/probes").stdout
    wanted = {"probe_type": "Liveness", "result": "successful", "pod_uid": pod["metadata"]["uid"]}
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(
        int(sample.value)
        for sample in samples
        if sample.name == "prober_probe_total" and wanted.items() <= sample.labels.items()
    )


def answers(url: str) -> bool:
    try:
        return call(f"{url}/v1/run", {"input": "Hello"}, seconds=5).status == 200
    except OSError:
        return False


@pytest.mark.usefixtures("bereft")  # whose wait is long too
def test_a_wedged_loop_is_restarted_and_the_other_pod_goes_on(platform: Platform, home: Namespace) -> None:
    image = platform.cluster.load(build(["test-wedge"])["test-wedge"])
    # Kubelet must not give the wedged process the time that its requests have: it ends none of them.
    limits = {"requestTimeout": "10m"}
    own_code = {"agent": None, "models": None, "entrypoint": "wedge:Wedge", "pod": {"image": image}}
    home.apply(agent_deployment(WEDGED, **own_code, limits=limits, replicas=2))
    home.wait_ready(WEDGED)
    service = home.address(WEDGED)
    victim, other = pods_of(home, WEDGED)
    direct = {pod["metadata"]["name"]: f"http://{pod['status']['podIP']}:{TRAFFIC_PORT}" for pod in (victim, other)}
    name, other_name = direct
    assert all(map(answers, direct.values()))

    with pytest.raises(TimeoutError):
        call(f"{direct[name]}/v1/run", {"input": "hold up"}, seconds=5)
    by_the_other, by_the_service = [], []

    def restarted() -> bool:
        by_the_other.append(answers(direct[other_name]))
        by_the_service.append(answers(service))
        return restarts(home.get("pod", name)) == 1

    wait_for(restarted, "the wedged container's restart", seconds=RESTART_SECONDS, interval=1)

    assert all(by_the_other)
    assert all(by_the_service[-10:]), "readiness has taken the wedged pod out of the Service long before"
    told = [line for line in log_before(home, name) if line["message"].startswith("the event loop is blocked")]
    assert any("wedge.py:" in line["place"] for line in told), told
    wait_for(
        lambda: readiness(home.get("pod", name))[0] == "True",
        "the restarted pod is ready",
        seconds=RESTART_SECONDS,
        interval=0.3,
    )
    assert answers(direct[name])
    assert [restarts(home.get("pod", each)) for each in direct] == [1, 0]


def test_a_dead_model_restarts_nothing_and_takes_no_pod_out(
    platform: Platform, home: Namespace, bereft: dict[str, Bereft]
) -> None:
    for agent in bereft:
        wait_until_told(home, agent)
        answer = home.ask(agent, "Are you there?")
        assert (answer.status, answer.json()["type"]) == (503, PROBLEM)
        health = call(f"{home.address(agent)}/v1/health")
        assert (health.status, health.json()["ready"], health.json()["status"]) == (200, True, "unhealthy")
    for agent, case in bereft.items():
        wait_for(partial(outlived, platform, case), "kubelet's probes", seconds=TOLD_SECONDS, interval=1)
        assert home.condition(agent, "Healthy")["status"] == "False"

    for case in bereft.values():
        case.give_back()

    for agent, case in bereft.items():
        home.wait_condition(agent, "Healthy", "True", "Healthy", seconds=TOLD_SECONDS)
        (pod,) = pods_of(home, agent)
        assert pod["metadata"]["uid"] == case.pod["metadata"]["uid"]
        assert (restarts(pod), readiness(pod)) == (0, readiness(case.pod))
        lost = [one for one in case.load.lost() if one.begun > case.gone_at]  # a stream may have been cut before
        assert {one.ending for one in lost} == {Ending.REJECTED}
        assert [one.detail for one in lost if PROBLEM not in one.detail] == []
        wait_for(partial(is_answered, case.load), "answers again")


def wait_until_told(namespace: Namespace, agent: str) -> None:
    """Wait until the resource says what is wrong, with the model's name."""

    def told() -> bool:
        condition = namespace.condition(agent, "Healthy")
        assert (condition["status"], condition["reason"]) == ("False", "BreakerOpen"), condition
        assert "'model:vllm:echo' is open" in condition["message"], condition
        assert "Too many requests fail in 1 of 1 pod: hardly one is answered" in condition["message"], condition
        return True

    wait_for(told, "what is wrong is told", seconds=TOLD_SECONDS, interval=0.5)


def outlived(platform: Platform, case: Bereft) -> bool:
    """Tell whether the pod has lived, since its model went, for longer than kubelet takes to restart one."""
    (container,) = case.pod["spec"]["containers"]
    return lives(platform, case.pod) > case.alive + int(container["livenessProbe"]["failureThreshold"])
