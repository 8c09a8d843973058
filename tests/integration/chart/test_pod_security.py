"""The operator's pod under the restricted Pod Security Standard, whatever the chart is told."""

import itertools
import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from devcluster import CommandFailedError, DevCluster
from manifests.chart_values import CHECKOUT, ChartValues
from manifests.install import CHART
from tests.conftest import FULL_SIZE
from tests.integration.chart.charts import umbrella_chart
from tests.support.combinations import pairwise
from tests.support.namespace import Namespace, Object
from tests.support.waiting import wait_for

DEFAULT: Final = None
CHOICES: dict[str, list[Any]] = {
    "image": [
        DEFAULT,
        {"repository": "registry.example/o", "tag": "1", "pullPolicy": "Always"},
        {"digest": f"sha256:{'0' * 64}"},
    ],
    "runtimeImage": [DEFAULT, "registry.example/r:1"],
    "maxConcurrentRuntimeUpdates": [DEFAULT, 3],
    "imagePullSecrets": [DEFAULT, [{"name": "registry"}]],
    "watchNamespaces": [DEFAULT, ["a", "b"]],
    "logLevel": [DEFAULT, "debug"],
    "resources": [DEFAULT, {"requests": {"cpu": "1"}, "limits": {"cpu": 2, "memory": "1Gi"}}],
    "podAnnotations": [DEFAULT, {"example.com/a": "b"}],
    "nodeSelector": [DEFAULT, {"disk": "ssd"}],
    "tolerations": [DEFAULT, [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}]],
    "affinity": [DEFAULT, {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}],
    "priorityClassName": [DEFAULT, "system-cluster-critical"],
}
"""What each value is set to, in turn."""
WITHOUT_EFFECT_ON_PODS = {"enabled", "crds", "global", "replicas"}


def combinations() -> list[dict[str, Any]]:
    """Give values for the chart: every combination at full size, else so many that any two choices meet."""
    sizes = [len(choices) for choices in CHOICES.values()]
    rows = itertools.product(*map(range, sizes)) if FULL_SIZE else pairwise(sizes)
    found = []
    for row in rows:
        chosen = {key: choices[index] for (key, choices), index in zip(CHOICES.items(), row, strict=True)}
        found.append({key: value for key, value in chosen.items() if value is not DEFAULT})
    return found


def pods_of(manifests: str) -> list[Object]:
    """Give a pod for each Deployment among some manifests, of its name, with a service account that there is."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**item["spec"]["template"]["metadata"], "name": item["metadata"]["name"]},
            "spec": {**item["spec"]["template"]["spec"], "serviceAccountName": "default"},
        }
        for item in yaml.load_all(manifests, Loader=yaml.CSafeLoader)  # thousands of them; in Python it takes minutes
        if item and item["kind"] == "Deployment"
    ]


def admitted(restricted: Namespace, pods: list[Object]) -> list[str]:
    """Ask the API server to take pods, without keeping them; give the names of those that it takes."""
    stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": pods})
    said = restricted.kubectl("create", "--dry-run=server", "-o", "name", "-f", "-", stdin=stdin)
    return [line.removeprefix("pod/") for line in said.splitlines()]


@pytest.fixture
def restricted(namespace: Namespace) -> Namespace:
    """A namespace that refuses what is not restricted, with its service account in place."""
    wait_for(lambda: namespace.find("serviceaccount", "default") is not None, "the default service account")
    return namespace


def test_each_value_that_may_change_the_pod_is_tried() -> None:
    keys = {field.alias or name for name, field in ChartValues.model_fields.items()}
    assert set(CHOICES) == keys - WITHOUT_EFFECT_ON_PODS


def test_the_operators_pod_is_admitted_with_every_combination_of_values(
    cluster: DevCluster, restricted: Namespace, tmp_path: Path
) -> None:
    values = {f"v{number}": combination for number, combination in enumerate(combinations())}
    chart = umbrella_chart(tmp_path, values)
    pods = pods_of(cluster.helm("template", "all", str(chart)).stdout)
    assert len(pods) == len(values)
    assert len({json.dumps(pod["spec"], sort_keys=True) for pod in pods}) > len(pods) / 2, "values change nothing"
    assert admitted(restricted, pods) == [pod["metadata"]["name"] for pod in pods]


def test_the_samples_pods_are_admitted(restricted: Namespace) -> None:
    paths = (CHECKOUT / "manifests" / "samples").glob("*.yaml")
    pods = [pod for path in paths for pod in pods_of(path.read_text())]
    assert {"model-server", "prometheus"} <= set(admitted(restricted, pods))


def test_a_pod_that_is_not_restricted_is_refused_here(cluster: DevCluster, restricted: Namespace) -> None:
    first, second = pods_of(cluster.helm("template", "one", str(CHART)).stdout) * 2
    second = json.loads(json.dumps({**second, "metadata": {"name": "lax"}}))
    second["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(CommandFailedError, match='pods "lax" is forbidden: violates PodSecurity "restricted'):
        admitted(restricted, [first, second])
