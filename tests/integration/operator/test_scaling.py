"""Who says how many pods there are: the resource, `kubectl scale`, an autoscaler; and handing over between them."""

import json
from typing import Any

import pytest

from devcluster.api import ApiClient
from tests.integration.operator.audit import AuditLog
from tests.integration.operator.process import OperatorProcess
from tests.integration.operator.test_children import apply_and_wait, events_about, path_of
from tests.integration.operator.test_writes import wait_quiet
from tests.support.namespace import Namespace, agent_deployment
from tests.support.waiting import wait_for

AUTOSCALER_SECONDS = 60.0
"""The controller looks at each autoscaler every few seconds, and waits longer where it fails."""


def asked_for(namespace: Namespace) -> int | None:
    """Give how many pods the resource asks for."""
    found: int | None = namespace.get("agd", "hello")["spec"].get("replicas")
    return found


def wanted(api: ApiClient, namespace: Namespace) -> int:
    """Give how many pods the Deployment is to have."""
    found: int = api.get(path_of(namespace, "deployments", "hello"))["spec"]["replicas"]
    return found


def wait_scaled(api: ApiClient, namespace: Namespace, replicas: int, *, seconds: float = 10) -> None:
    """Wait until resource and Deployment agree on a number."""

    def agreed() -> bool:
        numbers = (asked_for(namespace), wanted(api, namespace))
        assert numbers == (replicas, replicas)
        return True

    wait_for(agreed, f"{replicas} pods in resource and Deployment", seconds=seconds, interval=0.2)


def autoscaler(kind: str, version: str, *, least: int) -> dict[str, Any]:
    """Give an autoscaler whose lower bound alone makes it act: it needs no metrics for that."""
    target = {"type": "Utilization", "averageUtilization": 80}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "hello"},
        "spec": {
            "scaleTargetRef": {"apiVersion": version, "kind": kind, "name": "hello"},
            "minReplicas": least,
            "maxReplicas": 5,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def sizes_written(audit: AuditLog, namespace: Namespace) -> int:
    """Give how often the operator has written the Deployment."""
    return audit.writes(namespace.name).count("patch deployments/hello")


def test_the_number_is_filled_in_where_it_was_left_out_so_that_the_resource_can_be_scaled(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    apply_and_wait(api, namespace)
    wait_scaled(api, namespace, 1)
    namespace.kubectl("scale", "agd/hello", "--replicas=2")
    wait_scaled(api, namespace, 2)
    apply_and_wait(api, namespace)  # as before, without a number: whoever scales the resource owns it now
    wait_quiet(operator)
    wait_scaled(api, namespace, 2)


@pytest.mark.parametrize("arguments", [(), ("--server-side",)], ids=["kubectl apply", "kubectl apply --server-side"])
def test_a_number_that_is_taken_out_of_the_manifest_leaves_the_pods_that_there_are(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess, audit: AuditLog, arguments: tuple[str, ...]
) -> None:
    namespace.apply(agent_deployment("hello", replicas=3), *arguments)
    wait_for(lambda: api.get(path_of(namespace, "deployments", "hello")), "a Deployment", seconds=10)
    wait_quiet(operator)
    written = sizes_written(audit, namespace)
    namespace.apply(agent_deployment("hello"), *arguments)
    wait_scaled(api, namespace, 3)
    wait_quiet(operator)
    assert sizes_written(audit, namespace) == written
    namespace.apply(agent_deployment("hello", agent={"instructions": "Be kind."}), *arguments)
    wait_quiet(operator)
    wait_scaled(api, namespace, 3)
    namespace.apply(agent_deployment("hello", replicas=2), *arguments)  # the operator's hand makes no conflict
    wait_scaled(api, namespace, 2)


def test_an_autoscaler_of_the_resource_is_followed_through_edits(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    apply_and_wait(api, namespace)
    namespace.apply(autoscaler("AgentDeployment", "mizzen.dev/v1alpha1", least=3))
    wait_scaled(api, namespace, 3, seconds=AUTOSCALER_SECONDS)
    selector = namespace.get("agd", "hello")["status"]["selector"]
    assert json.loads(namespace.kubectl("get", "--raw", scale_path(namespace)))["status"]["selector"] == selector
    apply_and_wait(api, namespace, agent={"instructions": "Be kind."})
    wait_quiet(operator)
    wait_scaled(api, namespace, 3)
    assert events_about(namespace, "WrongScaleTarget") == []


def scale_path(namespace: Namespace) -> str:
    return f"/apis/mizzen.dev/v1alpha1/namespaces/{namespace.name}/agentdeployments/hello/scale"


def test_an_autoscaler_of_the_deployment_is_not_fought_and_told_where_it_belongs(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess, audit: AuditLog
) -> None:
    apply_and_wait(api, namespace, replicas=1)
    wait_quiet(operator)
    namespace.apply(autoscaler("Deployment", "apps/v1", least=3))
    wait_scaled(api, namespace, 3, seconds=AUTOSCALER_SECONDS)
    (told,) = wait_for(lambda: events_about(namespace, "WrongScaleTarget"), "an event", seconds=10)
    assert told.endswith("Let it target AgentDeployment hello instead.")
    apply_and_wait(api, namespace, replicas=3, agent={"instructions": "Be kind."})
    wait_quiet(operator)
    wait_scaled(api, namespace, 3)
    scaled = [write for write in audit.writes(namespace.name) if write == "patch agentdeployments/scale/hello"]
    assert len(scaled) == 1
    assert events_about(namespace, "PutBack") == []


def test_a_person_who_scales_the_deployment_is_put_right_with_a_word(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    apply_and_wait(api, namespace, replicas=1)
    wait_quiet(operator)
    namespace.kubectl("scale", "deployment/hello", "--replicas=4")
    wait_for(lambda: events_about(namespace, "PutBack"), "an event", seconds=10)
    wait_scaled(api, namespace, 1)
