"""The level of an agent's log changes in pods that run."""

import json

import pytest

from tests.conftest import Platform
from tests.support.namespace import Namespace, Object, agent_deployment
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(600)  # kubelet takes its time

AGENT = "chatty"
PROMISED_SECONDS = 180
"""Kubelet looks at mounted objects within two minutes at most."""


def test_the_level_of_the_log_changes_without_new_pods(platform: Platform, namespace: Namespace) -> None:
    namespace.apply(agent_deployment(AGENT))
    namespace.wait_ready(AGENT)
    before = pods_of(namespace)
    assert namespace.ask(AGENT, "Hello").status == 200
    (answered,) = wait_for(lambda: lines(namespace, "answered"), "the line of the request")
    assert (answered["agent"], "attempts" in answered) == (AGENT, False)

    set_level(namespace, "debug")
    wait_for(
        lambda: lines(namespace, "a change is in force"), "the level is in force", seconds=PROMISED_SECONDS, interval=1
    )
    assert namespace.ask(AGENT, "Hello").status == 200

    wait_for(lambda: len(lines(namespace, "answered")) > 1, "the line of the second request")
    assert ["attempts" in line for line in lines(namespace, "answered")] == [False, True]
    assert pods_of(namespace) == before
    assert namespace.condition(AGENT, "Ready")["status"] == "True"


def set_level(namespace: Namespace, level: str) -> None:
    namespace.kubectl(
        "patch", f"agd/{AGENT}", "--type=merge", "-p", json.dumps({"spec": {"logging": {"level": level}}})
    )


def pods_of(namespace: Namespace) -> list[tuple[str, int]]:
    pods = namespace.list("pods", f"app.kubernetes.io/instance={AGENT}")
    return [(pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in pods]


def lines(namespace: Namespace, message: str) -> list[Object]:
    log = namespace.kubectl("logs", "-l", f"app.kubernetes.io/instance={AGENT}", "--tail=-1")
    return [line for line in map(json.loads, log.splitlines()) if line["message"] == message]
