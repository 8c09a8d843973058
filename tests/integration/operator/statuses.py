"""Every status that AgentDeployments ever had, as the API server's watch tells it: what lasts a second counts too."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from devcluster import DevCluster
from tests.support.namespace import Object

PATH = "/apis/mizzen.dev/v1alpha1/agentdeployments?watch=true&resourceVersion=0"
"""From whatever version the API server has at hand: where nothing happens it has no newer one for a while."""
Place = tuple[str, str]
"""Namespace and name."""


class Statuses:
    """The statuses seen so far, in order."""

    def __init__(self) -> None:
        self._seen: dict[Place, list[Object]] = {}

    def add(self, event: Object) -> None:
        """Take an event of the watch."""
        metadata, status = event["object"]["metadata"], event["object"].get("status", {})
        seen = self._seen.setdefault((metadata["namespace"], metadata["name"]), [])
        if status and (not seen or seen[-1] != status):
            seen.append(status)

    def of(self, namespace: str, name: str) -> list[Object]:
        """Give the statuses that a resource had, the newest one last."""
        return list(self._seen.get((namespace, name), ()))


@contextmanager
def watched_statuses(cluster: DevCluster) -> Iterator[Statuses]:
    """Watch the AgentDeployments of all namespaces."""
    statuses = Statuses()
    command = [str(cluster.kubectl_program), "--kubeconfig", str(cluster.kubeconfig), "get", "--raw", PATH]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                statuses.add(json.loads(line))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield statuses
        finally:
            process.terminate()
            reader.join(timeout=5)
