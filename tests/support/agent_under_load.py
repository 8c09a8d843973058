"""An agent in the cluster that answers with the question, and what is done to it while it is asked."""

import json
from typing import Any

from devcluster import DevCluster
from devcluster.shell import find_program, run
from tests.support.namespace import Namespace, Object, agent_deployment
from tests.support.waiting import wait_for

AGENT = "triage"
PODS = f"app.kubernetes.io/instance={AGENT}"
REPLICAS = 3


class Agent:
    """The agent under load, and what is done to it. Each disturbance returns when it is over."""

    def __init__(self, cluster: DevCluster, namespace: Namespace, model_url: str, *, at_once: int) -> None:
        """Prepare it.

        Args:
            cluster: Where it runs.
            namespace: Where in there.
            model_url: Of an `EchoModel`.
            at_once: How many requests are under way; for a moment, one pod may have all of them.
        """
        self._cluster = cluster
        self._namespace = namespace
        self._models = [{"model": "vllm:echo", "baseUrl": model_url}]
        self._limits = {"maxConcurrentRequests": at_once}
        self._edits = 0
        self.url = ""
        """Of `/v1/run`; known once it is settled."""

    def apply(self, **spec: Any) -> None:
        """Apply the resource."""
        instructions = f"Repeat what you are told, for the {self._edits}. time."
        given = {"agent": {"instructions": instructions}, "models": self._models, "limits": self._limits}
        self._namespace.apply(agent_deployment(AGENT, **given, **spec))

    def wait_settled(self, replicas: int) -> None:
        """Wait until so many pods are ready and all others are gone."""

        def settled() -> bool:
            pods = self.pods()
            assert [is_ready(pod) for pod in pods] == [True] * replicas, [told(pod) for pod in pods]
            assert not any("deletionTimestamp" in pod["metadata"] for pod in pods)
            return True

        self._namespace.wait_ready(AGENT)
        wait_for(settled, f"{replicas} ready pods and no other", seconds=120, interval=0.3)
        self.url = f"{self._namespace.address(AGENT)}/v1/run"

    def pods(self) -> list[Object]:
        """Give the pods, those that are leaving too."""
        return self._namespace.list("pods", PODS)

    def restart(self) -> None:
        """`kubectl rollout restart`."""
        self._namespace.kubectl("rollout", "restart", f"deployment/{AGENT}")
        self._namespace.kubectl("rollout", "status", f"deployment/{AGENT}", "--timeout=250s")
        self.wait_settled(REPLICAS)

    def edit(self) -> None:
        """Make another revision."""
        self._edits += 1
        self.apply(replicas=REPLICAS)
        self.wait_settled(REPLICAS)

    def scale_down(self) -> None:
        """Take a pod away, and bring one back."""
        for replicas in (REPLICAS - 1, REPLICAS):
            self._namespace.kubectl("scale", f"agd/{AGENT}", f"--replicas={replicas}")
            self.wait_settled(replicas)

    def delete_pod(self) -> None:
        """`kubectl delete pod`, which waits until it is gone."""
        self._namespace.kubectl("delete", "pod", self.pods()[0]["metadata"]["name"])
        self.wait_settled(REPLICAS)

    def stop_container(self) -> None:
        """Ask a pod's process to end, on the node: nobody has told the API server that it will leave."""
        pod = self.pods()[0]
        (status,) = pod["status"]["containerStatuses"]
        signal_container(self._cluster, container_of(pod), "SIGTERM")

        def restarted() -> bool:
            (now,) = self._namespace.get("pod", pod["metadata"]["name"])["status"]["containerStatuses"]
            return bool(now["restartCount"] == status["restartCount"] + 1)

        wait_for(restarted, "the container's restart", seconds=100, interval=0.3)
        self.wait_settled(REPLICAS)


def signal_container(cluster: DevCluster, container: str, signal: str) -> None:
    """Send a signal to a container's first process, as whoever is on the node can."""
    ctr = find_program("ctr", "containerd")
    where = ["--address", str(cluster.paths.containerd_socket), "--namespace", "k8s.io"]
    run([ctr, *where, "tasks", "kill", "--signal", signal, container])


def is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def told(pod: Object) -> str:
    return json.dumps({"name": pod["metadata"]["name"], **pod["status"]})


def container_of(pod: Object) -> str:
    (status,) = pod["status"]["containerStatuses"]
    return str(status["containerID"]).removeprefix("containerd://")
