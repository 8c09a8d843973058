"""The operator's process: how it starts, answers and ends."""

import json
import time
from functools import partial
from pathlib import Path

from devcluster import DevCluster
from devcluster.api import ApiClient
from tests.integration.operator.conftest import install_crd
from tests.integration.operator.process import OperatorProcess
from tests.integration.operator.test_children import apply_and_wait
from tests.support.namespace import Namespace
from tests.support.waiting import wait_for

CLIENT_GO_METRICS = (
    "workqueue_depth",
    "workqueue_adds_total",
    "workqueue_queue_duration_seconds_count",
    "workqueue_work_duration_seconds_count",
    "workqueue_unfinished_work_seconds",
    "workqueue_longest_running_processor_seconds",
    "workqueue_retries_total",
)


def test_it_says_that_it_is_healthy(operator: OperatorProcess) -> None:
    answer = operator.call("/healthz")
    assert (answer.status, answer.text) == (200, "ok")


def test_its_metrics_have_the_names_of_client_go(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    apply_and_wait(api, namespace)
    text = operator.call("/metrics").text
    for name in CLIENT_GO_METRICS:
        assert f'\n{name}{{name="agentdeployment"}} ' in text
    assert operator.metric('workqueue_adds_total{name="agentdeployment"}') >= 1


def test_it_ends_within_three_seconds_of_being_asked(operator: OperatorProcess) -> None:
    asked = time.monotonic()
    assert operator.terminate() == 0
    assert time.monotonic() - asked < 3
    assert operator.messages()[-1] == "stopped"


def test_it_waits_for_the_crd(cluster: DevCluster, namespace: Namespace) -> None:
    cluster.kubectl("delete", "crd", "agentdeployments.mizzen.dev")
    operator = OperatorProcess(cluster.kubeconfig, namespace.name)
    try:
        operator.said("the CRD agentdeployments.mizzen.dev is not installed; waiting for it")
        assert operator.call("/healthz").status == 200
    finally:
        install_crd(cluster)
    operator.wait_working()
    assert operator.terminate() == 0


def test_it_ends_when_the_crd_goes_away(cluster: DevCluster, namespace: Namespace) -> None:
    operator = OperatorProcess(cluster.kubeconfig, namespace.name).wait_working()
    try:
        cluster.kubectl("delete", "crd", "agentdeployments.mizzen.dev")
        assert operator.exit_status(seconds=60) == 1
    finally:
        install_crd(cluster)
    assert operator.messages()[-1].startswith("the watches have ended: 404 page not found")


def test_without_a_cluster_it_says_where_it_looked(tmp_path: Path) -> None:
    operator = OperatorProcess(tmp_path / "missing")
    assert operator.exit_status() == 1
    (complaint,) = operator.complaints()
    assert "give --kubeconfig FILE" in complaint["message"]


def test_it_waits_for_an_api_server_that_does_not_answer(cluster: DevCluster, tmp_path: Path) -> None:
    document = json.loads(cluster.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(document))
    operator = OperatorProcess(kubeconfig)
    operator.said("the API server does not answer")
    assert operator.terminate() == 0


def test_it_works_in_several_namespaces_and_in_no_other(cluster: DevCluster, namespace: Namespace) -> None:
    other = Namespace(cluster, f"{namespace.name}-other")
    cluster.kubectl("create", "namespace", other.name)
    ignored = Namespace(cluster, f"{namespace.name}-ignored")
    cluster.kubectl("create", "namespace", ignored.name)
    operator = OperatorProcess(cluster.kubeconfig, namespace.name, other.name).wait_working()
    try:
        for each in (ignored, namespace, other):
            each.apply(minimal())
        for each in (namespace, other):
            wait_for(partial(each.find, "deployment", "hello"), f"a Deployment in {each.name}", seconds=10)
        assert ignored.find("deployment", "hello") is None
        assert "status" not in ignored.get("agd", "hello")
    finally:
        assert operator.terminate() == 0
        cluster.kubectl("delete", "namespace", other.name, ignored.name, "--wait=false")


def minimal() -> dict[str, object]:
    return {
        "apiVersion": "mizzen.dev/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": "hello"},
        "spec": {"agent": {"model": "test"}},
    }
