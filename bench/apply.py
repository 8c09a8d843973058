"""From `kubectl apply` to Ready and to the first answer through the Service, and a deleted child's way back.

The agent answers without a model, so that the path is measured and not a model's speed. The cluster is the demo's; it
is started, and the operator installed, if need be.
"""

import argparse
import json
import statistics
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

from demo.installation import create_namespace, install_operator
from devcluster import DevCluster
from devcluster.api import ApiClient
from images.build import build

NAMESPACE = "bench"
AGENT = "apply"
MANIFEST = {
    "apiVersion": "mizzen.dev/v1alpha1",
    "kind": "AgentDeployment",
    "metadata": {"name": AGENT},
    "spec": {"agent": {"instructions": "Be brief."}, "models": [{"model": "test"}]},
}
CHILDREN = {
    "Service": f"/api/v1/namespaces/{NAMESPACE}/services/{AGENT}",
    "ServiceAccount": f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{AGENT}",
    "Deployment": f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{AGENT}",
}
RESOURCE = f"/apis/mizzen.dev/v1alpha1/namespaces/{NAMESPACE}/agentdeployments/{AGENT}"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def is_ready(api: ApiClient) -> bool:
    conditions = (api.get(RESOURCE) or {}).get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def answers(address: str) -> bool:
    request = urllib.request.Request(f"{address}/v1/run", b'{"input": "Hello"}', {"Content-Type": "application/json"})
    try:
        with OPENER.open(request, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def time_back(api: ApiClient, path: str) -> float:
    """Give the seconds from the answer to a deletion until another object of the name is there."""
    uid = api.get(path)["metadata"]["uid"]
    api.request("DELETE", path)
    deleted = time.perf_counter()
    while (found := api.get(path)) is None or found["metadata"]["uid"] == uid:
        if time.perf_counter() - deleted > 60:
            raise TimeoutError(f"{path} did not come back within 60 s")
        time.sleep(0.005)
    return time.perf_counter() - deleted


def measure(cluster: DevCluster, api: ApiClient) -> tuple[float, float]:
    """Give the seconds from before `kubectl apply` to Ready and to the first answer."""
    begun = time.perf_counter()
    cluster.kubectl("apply", "--namespace", NAMESPACE, "-f", "-", stdin=json.dumps(MANIFEST))
    while not is_ready(api):
        if time.perf_counter() - begun > 120:
            raise TimeoutError("the agent did not become Ready within 120 s; look at it with kubectl describe")
        time.sleep(0.01)
    ready = time.perf_counter() - begun
    service = api.get(f"/api/v1/namespaces/{NAMESPACE}/services/{AGENT}")
    while not answers(f"http://{service['spec']['clusterIP']}"):
        time.sleep(0.01)
    answered = time.perf_counter() - begun
    cluster.kubectl("delete", "agd", AGENT, "--namespace", NAMESPACE)
    while api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{AGENT}"):
        time.sleep(0.05)
    cluster.kubectl("wait", "--for=delete", "pod", "--all", "--namespace", NAMESPACE, "--timeout=90s")
    return ready, answered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="mizzen", help="name of the cluster (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=10, help="how many times (default: %(default)s)")
    options = parser.parse_args()
    cluster = DevCluster(options.name)
    cluster.up()
    images = {name: cluster.load(reference) for name, reference in build(("operator", "runtime")).items()}
    install_operator(cluster, images)
    create_namespace(cluster, NAMESPACE)
    api = ApiClient(cluster.kubeconfig)
    measure(cluster, api)  # warms the node: the image's files are read from the disk once
    samples = []
    for run in range(options.runs):
        samples.append(measure(cluster, api))
        print(f"run {run + 1} of {options.runs}: {samples[-1][0]:.2f} s, {samples[-1][1]:.2f} s", file=sys.stderr)
    cluster.kubectl("apply", "--namespace", NAMESPACE, "-f", "-", stdin=json.dumps(MANIFEST))
    cluster.kubectl("wait", "--for=condition=Ready", f"agd/{AGENT}", "--namespace", NAMESPACE)
    back = {kind: [time_back(api, path) for _ in range(options.runs)] for kind, path in CHILDREN.items()}
    ready, answered = zip(*samples, strict=True)
    print("| | min | median | max |")
    print("|---|---|---|---|")
    print_row("kubectl apply to Ready", ready)
    print_row("kubectl apply to the first answer", answered)
    for kind, values in back.items():
        print_row(f"{kind} deleted by hand, back", values)
    cluster.kubectl("delete", "namespace", NAMESPACE)


def print_row(title: str, values: Sequence[float]) -> None:
    print(f"| {title} | {min(values):.2f} s | {statistics.median(values):.2f} s | {max(values):.2f} s |")


if __name__ == "__main__":
    main()
