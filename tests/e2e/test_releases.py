"""Releases that meet: an operator that is upgraded under running agents, a runtime of another release in an image."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.installation import OPERATOR_NAMESPACE, install_operator
from images.builder import find_builder
from tests.conftest import Platform
from tests.support.http import call
from tests.support.namespace import Namespace, Object, agent_deployment
from tests.support.waiting import wait_for

AGENTS = ("first", "second", "third")
MISSING_IMAGE = "localhost/mizzen-runtime:of-a-release-that-is-not-there"
NEWER_RUNTIME = Path(__file__).parent / "images" / "newer-runtime.Containerfile"
SAMPLE = re.compile(r'^mizzen_operator_runtime_updates\{state="(\w+)"\} (\S+)$', re.MULTILINE)


@pytest.fixture(scope="module")
def newer_runtime(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image whose runtime speaks the next version of the contract."""
    runtime = platform.images["runtime"]
    reference = runtime.replace("mizzen-runtime:", "mizzen-test-newer-runtime:")
    folder = tmp_path_factory.mktemp("newer-runtime")
    arguments = {"BASE": runtime}
    find_builder().build(reference, NEWER_RUNTIME, folder, log=folder / "log", expected=5, arguments=arguments)
    return platform.cluster.load(reference)


def test_a_newer_runtime_in_an_image_is_told_and_the_old_pods_serve_on(
    platform: Platform, namespace: Namespace, newer_runtime: str
) -> None:
    namespace.apply(agent_deployment("triage"))
    namespace.wait_ready("triage")
    revision = namespace.ask("triage", "Hello").json()["revision"]
    namespace.apply(agent_deployment("triage", pod={"image": newer_runtime}))
    said = namespace.wait_condition("triage", "ConfigResolved", "False", "ContractMismatch")
    assert said == (
        "The runtime in the image is newer than the operator: it speaks version 2 of the contract between them, the "
        "operator version 1. (Upgrade the operator, or build the image on the runtime of the operator's release.)"
    )
    assert namespace.condition("triage", "Ready")["message"] == said
    assert namespace.condition("triage", "Available")["status"] == "True"
    assert namespace.ask("triage", "Hello").json()["revision"] == revision
    namespace.apply(agent_deployment("triage"))
    namespace.wait_ready("triage")


@pytest.fixture
def agents(platform: Platform, namespace: Namespace) -> Iterator[Namespace]:
    """Agents that run; afterwards the operator is as it was."""
    for name in AGENTS:
        namespace.apply(agent_deployment(name))
    for name in AGENTS:
        namespace.wait_ready(name)
    yield namespace
    install_operator(platform.cluster, platform.images)


def upgrade(platform: Platform, runtime_image: str, *, at_a_time: int) -> None:
    """Upgrade the operator with helm to one with another default image."""
    values = ("--set", f"maxConcurrentRuntimeUpdates={at_a_time}")
    install_operator(platform.cluster, {**platform.images, "runtime": runtime_image}, extra=values)


def pods(namespace: Namespace) -> set[str]:
    return {pod["metadata"]["uid"] for pod in namespace.list("pods")}


def moved(namespace: Namespace) -> list[Object]:
    """Give the agents that are to run the image which is not there."""
    return [agent for agent in namespace.list("agd") if agent["status"].get("runtimeImage") == MISSING_IMAGE]


def answers(namespace: Namespace) -> bool:
    return all(namespace.ask(name, "Hello").status == 200 for name in AGENTS)


def test_an_upgrade_moves_nobody_by_itself_and_a_bad_image_stops_with_the_first(
    platform: Platform, agents: Namespace
) -> None:
    before = pods(agents)
    upgrade(platform, MISSING_IMAGE, at_a_time=0)
    agents.kubectl("annotate", "agd", "--all", "looked-at=now")  # each is looked at by the new operator

    def all_waiting() -> bool:
        assert updates(platform) == {"waiting": len(AGENTS), "moving": 0}
        return True

    wait_for(all_waiting, "an operator that has looked at every agent", seconds=60, interval=0.5)
    assert moved(agents) == []
    assert pods(agents) == before

    upgrade(platform, MISSING_IMAGE, at_a_time=1)
    (first,) = wait_for(lambda: moved(agents), "the first agent that is moved", seconds=60, interval=0.5)
    name = first["metadata"]["name"]
    agents.wait_condition(name, "Ready", "False", "ImageUnavailable", seconds=90)
    assert [agent["metadata"]["name"] for agent in moved(agents)] == [name]
    assert before < pods(agents)
    assert answers(agents)

    upgrade(platform, platform.images["runtime"], at_a_time=1)
    for agent in AGENTS:
        agents.wait_ready(agent)
    wait_for(lambda: pods(agents) == before, "the pods that there were before", seconds=90, interval=0.5)
    assert answers(agents)


def updates(platform: Platform) -> Counter[str]:
    """Give the operator's gauge of the agents that do not run yet what this release renders, by state."""
    found: Counter[str] = Counter()
    for pod in Namespace(platform.cluster, OPERATOR_NAMESPACE).list("pods"):
        for state, value in SAMPLE.findall(metrics_of(pod)):
            found[state] += int(float(value))
    return found


def metrics_of(pod: Object) -> str:
    """Give what an operator's pod exposes; nothing if it does not serve yet, or has just ended."""
    try:
        return call(f"http://{pod['status'].get('podIP', '127.0.0.1')}:8080/metrics", seconds=5).text
    except OSError:
        return ""
