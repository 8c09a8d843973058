"""What somebody does to a child by hand, and what would keep the agent from serving: put back by one write."""

import json
from collections import Counter
from typing import Any

import pytest

from devcluster.api import ApiClient
from tests.integration.operator.audit import AuditLog
from tests.integration.operator.process import OperatorProcess
from tests.integration.operator.test_children import apply_and_wait, events_about, owner_of, path_of
from tests.integration.operator.test_writes import wait_quiet
from tests.support.namespace import Namespace
from tests.support.waiting import wait_for


def of_pods(**spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": spec}}}


def of_container(**fields: Any) -> dict[str, Any]:
    return of_pods(containers=[{"name": "agent", **fields}])


BY_HAND: list[tuple[str, dict[str, Any], str]] = [
    ("services", {"spec": {"selector": {"x": "y"}}}, "Service hello: spec.selector.x"),
    ("deployments", {"spec": {"paused": True}}, "Deployment hello: spec.paused"),
    ("deployments", of_pods(nodeSelector={"x": "y"}), "Deployment hello: spec.template.spec.nodeSelector.x"),
    *(
        (
            "deployments",
            of_container(**{field: value}),
            f"Deployment hello: spec.template.spec.containers[agent].{field}",
        )
        for field, value in {
            "command": ["sleep"],
            "args": ["--help"],
            "envFrom": [{"configMapRef": {"name": "x"}}],
        }.items()
    ),
]


@pytest.mark.parametrize("by_hand", BY_HAND, ids=[told for *_, told in BY_HAND])
def test_what_would_end_the_service_is_put_back_by_one_write(
    api: ApiClient,
    namespace: Namespace,
    operator: OperatorProcess,
    audit: AuditLog,
    by_hand: tuple[str, dict[str, Any], str],
) -> None:
    plural, patch, told = by_hand
    apply_and_wait(api, namespace, replicas=0)
    namespace.wait_condition("hello", "Ready", "True", "ScaledToZero")
    wait_quiet(operator)
    spec = api.get(path_of(namespace, plural, "hello"))["spec"]
    later = AuditLog.from_now(audit.path)
    namespace.kubectl("patch", plural, "hello", "-p", json.dumps(patch))
    (event,) = wait_for(lambda: events_about(namespace, "PutBack"), "the event", seconds=10)
    assert event.startswith(f"{told} was changed, and put back.")
    wait_quiet(operator)
    assert api.get(path_of(namespace, plural, "hello"))["spec"] == spec
    writes = Counter(write for write in later.writes(namespace.name) if "events/" not in write)
    assert writes[f"patch {plural}/hello"] == 1
    assert set(writes) <= {f"patch {plural}/hello", "patch agentdeployments/status/hello"}


def test_a_rollout_that_is_undone_is_put_back_by_one_write_and_told(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess, audit: AuditLog
) -> None:
    apply_and_wait(api, namespace, replicas=0)
    wait_quiet(operator)
    template = apply_and_wait(api, namespace, replicas=0, agent={"instructions": "Be kind."})["spec"]["template"]
    namespace.wait_condition("hello", "Ready", "True", "ScaledToZero")
    wait_quiet(operator)
    later = AuditLog.from_now(audit.path)
    namespace.kubectl("rollout", "undo", "deployment/hello")
    (told,) = wait_for(lambda: events_about(namespace, "PutBack"), "the event", seconds=10)
    assert told.startswith("Deployment hello: spec.template.")
    wait_quiet(operator)
    assert api.get(path_of(namespace, "deployments", "hello"))["spec"]["template"] == template
    assert later.writes(namespace.name).count("patch deployments/hello") == 1


def test_a_restart_is_left_alone_and_told_once(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess, audit: AuditLog
) -> None:
    before = apply_and_wait(api, namespace, replicas=0)
    namespace.wait_condition("hello", "Ready", "True", "ScaledToZero")
    wait_quiet(operator)
    later = AuditLog.from_now(audit.path)
    namespace.kubectl("rollout", "restart", "deployment/hello")
    (told,) = wait_for(lambda: events_about(namespace, "Restarted"), "the event", seconds=10)
    assert told.startswith("Deployment hello: new pods of the same revision replace the old ones, as asked at 2")
    namespace.wait_condition("hello", "Ready", "True", "ScaledToZero")
    wait_quiet(operator)
    template = api.get(path_of(namespace, "deployments", "hello"))["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
    assert template["metadata"]["labels"] == before["spec"]["template"]["metadata"]["labels"]
    assert "patch deployments/hello" not in later.writes(namespace.name)
    assert len(events_about(namespace, "Restarted")) == 1


def test_an_owner_that_is_taken_from_a_child_comes_back(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    apply_and_wait(api, namespace, replicas=0)
    wait_quiet(operator)
    orphaned = json.dumps({"metadata": {"ownerReferences": None}})
    namespace.kubectl("patch", "service", "hello", "--type=merge", "-p", orphaned)

    def owned() -> bool:
        return owner_of(api.get(path_of(namespace, "services", "hello"))) == "AgentDeployment"

    wait_for(owned, "the owner again", seconds=5)
    namespace.wait_condition("hello", "Ready", "True", "ScaledToZero")
