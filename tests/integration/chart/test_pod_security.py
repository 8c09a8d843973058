"""The operator's pod under the restricted Pod Security Standard, whatever the chart is told."""

import json
from typing import Any

import pytest
import yaml

from devcluster import CommandFailedError, DevCluster
from manifests.chart_values import CHECKOUT, ChartValues
from manifests.install import CHART, NAMESPACE
from tests.support.namespace import Namespace
from tests.support.waiting import wait_for

POD_VALUES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "image": {"image": {"repository": "registry.example/o", "tag": "1", "pullPolicy": "Always"}},
    "digest": {"image": {"digest": f"sha256:{'0' * 64}"}},
    "runtimeImage": {"runtimeImage": "registry.example/r:1"},
    "imagePullSecrets": {"imagePullSecrets": [{"name": "registry"}]},
    "watchNamespaces": {"watchNamespaces": ["a", "b"]},
    "logLevel": {"logLevel": "debug"},
    "resources": {"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": 2, "memory": "1Gi"}}},
    "podAnnotations": {"podAnnotations": {"example.com/a": "b"}},
    "nodeSelector": {"nodeSelector": {"disk": "ssd"}},
    "tolerations": {"tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}]},
    "affinity": {"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}},
    "priorityClassName": {"priorityClassName": "system-cluster-critical"},
}
WITHOUT_EFFECT_ON_PODS = {"enabled", "crds", "global", "replicas"}


def merged() -> dict[str, Any]:
    return {key: value for values in POD_VALUES.values() for key, value in values.items()}


def operator_pod(cluster: DevCluster, values: dict[str, Any]) -> dict[str, Any]:
    """Render the chart with these values and give the operator's pod."""
    command = ["template", "mizzen", str(CHART), "--namespace", NAMESPACE, "--values", "-"]
    rendered = cluster.helm(*command, stdin=json.dumps(values)).stdout
    return pod_of(rendered)


def pod_of(manifests: str) -> dict[str, Any]:
    """Give the pod of the one Deployment among some manifests, with a service account that there is."""
    (deployment,) = (item for item in yaml.safe_load_all(manifests) if item and item["kind"] == "Deployment")
    template = deployment["spec"]["template"]
    spec = {**template["spec"], "serviceAccountName": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "pod"}, "spec": spec}


@pytest.fixture
def restricted(namespace: Namespace) -> Namespace:
    """A namespace that refuses what is not restricted, with its service account in place."""
    wait_for(lambda: namespace.find("serviceaccount", "default") is not None, "the default service account")
    return namespace


def test_each_value_that_may_change_the_pod_is_tried() -> None:
    keys = {field.alias or name for name, field in ChartValues.model_fields.items()}
    assert set(merged()) == keys - WITHOUT_EFFECT_ON_PODS


@pytest.mark.parametrize("values", [*POD_VALUES.values(), merged()], ids=[*POD_VALUES, "all at once"])
def test_the_operators_pod_is_admitted(cluster: DevCluster, restricted: Namespace, values: dict[str, Any]) -> None:
    restricted.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(operator_pod(cluster, values)))


def test_the_sample_model_servers_pod_is_admitted(restricted: Namespace) -> None:
    sample = (CHECKOUT / "manifests" / "samples" / "model-server.yaml").read_text()
    restricted.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod_of(sample)))


def test_a_pod_that_is_not_restricted_is_refused_here(cluster: DevCluster, restricted: Namespace) -> None:
    pod = operator_pod(cluster, {})
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(CommandFailedError, match="violates PodSecurity"):
        restricted.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
