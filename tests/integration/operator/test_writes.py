"""What the operator writes, from the API server's audit log: nothing without a reason."""

import time
from collections import Counter
from typing import Any

from devcluster.api import ApiClient
from tests.conftest import FULL_SIZE
from tests.integration.operator.audit import AuditLog, resource
from tests.integration.operator.conftest import StartCandidate, StartOperator
from tests.integration.operator.process import OperatorProcess
from tests.integration.operator.test_children import apply_and_wait
from tests.support.namespace import Namespace, agent_deployment
from tests.support.waiting import wait_for
from tests.unit.operator.agents import FULL_SPEC

QUIET_SECONDS = 1.0
RESTARTED_WITH = 500 if FULL_SIZE else 20


def wait_quiet(operator: OperatorProcess) -> None:
    """Wait until the operator has had nothing to do for a while."""

    def reconciles() -> float:
        return operator.metric('workqueue_adds_total{name="agentdeployment"}')

    def quiet() -> bool:
        before = reconciles()
        time.sleep(QUIET_SECONDS)  # quiet is the absence of something: it takes time to see
        return reconciles() == before and operator.metric('workqueue_depth{name="agentdeployment"}') == 0

    wait_for(quiet, "an idle operator", seconds=30)


def test_a_resource_takes_one_write_for_each_child_and_few_for_its_status(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess, audit: AuditLog
) -> None:
    revision = apply_and_wait(api, namespace, replicas=0)["spec"]["template"]["metadata"]["labels"][
        "mizzen.dev/revision"
    ]
    namespace.wait_condition("hello", "Ready", "True", "ScaledToZero")
    wait_quiet(operator)
    writes = Counter(write for write in audit.writes(namespace.name) if "events" not in write)
    statuses = writes.pop("patch agentdeployments/status/hello")
    assert writes == {
        "patch serviceaccounts/hello": 1,
        f"patch configmaps/hello-{revision}": 1,
        "patch services/hello": 1,
        "patch deployments/hello": 1,
    }
    assert statuses <= 3


def test_nothing_is_written_again_when_every_field_of_a_pod_is_set(
    api: ApiClient, namespace: Namespace, start_operator: StartOperator, audit: AuditLog
) -> None:
    spec: dict[str, Any] = {**FULL_SPEC, "replicas": 0}
    operator = start_operator()
    apply_and_wait(api, namespace, "triage", **spec)
    wait_quiet(operator)
    assert operator.terminate() == 0
    later = AuditLog.from_now(audit.path)
    wait_quiet(start_operator())
    assert later.requests(namespace.name) != []
    assert later.writes(namespace.name) == []


def test_another_level_of_the_log_takes_one_write_and_rolls_nothing(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess, audit: AuditLog
) -> None:
    before = apply_and_wait(api, namespace, replicas=0)["spec"]
    namespace.wait_condition("hello", "Ready", "True", "ScaledToZero")
    wait_quiet(operator)
    written = len(audit.writes(namespace.name))

    for level in ("debug", "info"):
        assert apply_and_wait(api, namespace, replicas=0, logging={"level": level})["spec"] == before
    wait_quiet(operator)
    writes = Counter(audit.writes(namespace.name)[written:])

    assert {write: count for write, count in writes.items() if "agentdeployments" not in write} == {
        "patch configmaps/hello-live": 2
    }
    assert writes["patch agentdeployments/status/hello"] <= 2
    assert '"logLevel":"info"' in namespace.get("configmap", "hello-live")["data"]["live.json"]


def test_a_restart_writes_nothing_but_the_lease(
    api: ApiClient, namespace: Namespace, start_candidate: StartCandidate, audit: AuditLog
) -> None:
    operator = start_candidate().wait_working()
    collection = f"/apis/mizzen.dev/v1alpha1/namespaces/{namespace.name}/agentdeployments"
    for number in range(RESTARTED_WITH):
        api.create(collection, agent_deployment(f"agent-{number}", replicas=0))

    def complete() -> bool:
        agents = api.get(collection)["items"]
        return all(agent.get("status", {}).get("stableRevision") for agent in agents)

    wait_for(complete, "a complete rollout of each", seconds=30 + RESTARTED_WITH, interval=0.5)
    wait_quiet(operator)
    assert operator.terminate() == 0
    later = AuditLog.from_now(audit.path)
    operator = start_candidate().wait_working()
    wait_quiet(operator)
    assert f"working on {RESTARTED_WITH} AgentDeployments in {namespace.name}" in operator.messages()
    assert operator.metric('mizzen_operator_reconciles_total{outcome="success"}') == RESTARTED_WITH
    assert set(later.writes(namespace.name)) == {"update leases/operator"}


def test_lists_and_watches_of_children_are_narrowed_on_the_server(
    namespace: Namespace, operator: OperatorProcess, audit: AuditLog
) -> None:
    def asked() -> dict[str, set[str]]:
        by_verb: dict[str, set[str]] = {"list": set(), "watch": set()}
        for event in audit.requests(namespace.name):
            if event["verb"] in by_verb and "labelSelector=app.kubernetes.io" in event["requestURI"]:
                by_verb[event["verb"]].add(resource(event))
        return by_verb

    children = {"configmaps", "deployments", "pods", "replicasets", "serviceaccounts", "services"}
    wait_for(lambda: asked() == {"list": children, "watch": children}, "lists and watches", seconds=15)
    unnarrowed = {
        resource(event)
        for event in audit.requests(namespace.name)
        if event["verb"] in {"list", "watch"} and "labelSelector" not in event["requestURI"]
    }
    assert unnarrowed == {"agentdeployments"}
