"""From a started node to a cluster that runs pods: waits for each part, and adds what it needs."""

import time
import urllib.request
from collections.abc import Callable
from datetime import datetime

from devcluster import images, manifests
from devcluster.api import ApiClient
from devcluster.errors import DevClusterError
from devcluster.paths import ClusterPaths
from devcluster.progress import Report, silent, step
from devcluster.records import NodeRecord, failure_text, mark_complete
from devcluster.spec import Spec

# For each condition. Seconds are usual, but the machine may be busy with a build.
_DEADLINE = 180.0
_SPEAK_EVERY = 15.0
_OK = 200


def complete(paths: ClusterPaths, spec: Spec, record: NodeRecord, report: Report) -> None:
    """Return once pods can run. May be repeated after it was interrupted.

    Raises:
        DevClusterError: the node ended, or a part is not ready within three minutes.
    """
    waiting = _Waiting(paths, record, report)
    client = ApiClient(paths.kubeconfig)
    with step(report, "containerd and the pause image"):
        waiting.until("containerd answers", lambda: images.containerd_answers(paths.containerd_socket))
        images.load(paths, str(images.build_pause()), silent)
    with step(report, "API server"):
        waiting.until("the API server is ready", client.ready)
        _add_dns(client, spec)
    with step(report, "node, DNS and default service account"):
        waiting.until("the node is Ready", lambda: _takes_pods(client, paths.name, record.started_at))
        waiting.until("DNS answers", lambda: _answers(f"http://{spec.subnet.node}:8181/ready"))
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        waiting.until("the default service account exists", lambda: client.get(account) is not None)
    client.close()
    mark_complete(paths, record)


def answers(paths: ClusterPaths) -> bool:
    """Whether the API server of a cluster is ready now."""
    client = ApiClient(paths.kubeconfig, timeout=2)
    try:
        return client.ready()
    finally:
        client.close()


class _Waiting:
    def __init__(self, paths: ClusterPaths, record: NodeRecord, report: Report) -> None:
        self._paths = paths
        self._record = record
        self._report = report

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        begun = spoken = time.monotonic()
        while not _holds(condition):
            now = time.monotonic()
            if not self._record.process.alive():
                raise self._failed("the node has ended")
            if now - begun > _DEADLINE:
                raise self._failed(f"{what}: not so after {_DEADLINE:g} s")
            if now - spoken > _SPEAK_EVERY:
                spoken = now
                self._report(f"  waiting until {what} ({now - begun:.0f} s)")
            time.sleep(0.05)

    def _failed(self, what: str) -> DevClusterError:
        reason = failure_text(self._paths)
        return DevClusterError(
            f"the cluster {self._paths.name!r} did not start: {what}" + (f"\n  {reason}" if reason else ""),
            f"read the logs in {self._paths.logs}; begin anew with `python -m devcluster down {self._paths.name}`",
        )


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except OSError:  # not there yet: the process check above tells when it never will be
        return False


def _add_dns(client: ApiClient, spec: Spec) -> None:
    for collection, manifest in manifests.dns(spec.subnet).items():
        if client.get(f"{collection}/{manifest['metadata']['name']}") is None:
            client.create(collection, manifest)


def _takes_pods(client: ApiClient, name: str, since: float) -> bool:
    """Whether the node has said that it is Ready since it started, and the scheduler may use it.

    A node that starts on old data was Ready in its former life: only a newer word counts.
    """
    node = client.get(f"/api/v1/nodes/{name}")
    if node is None or node["spec"].get("taints"):
        return False
    ready = [entry for entry in node.get("status", {}).get("conditions", []) if entry["type"] == "Ready"]
    # The API's times have whole seconds.
    return any(
        entry["status"] == "True" and datetime.fromisoformat(entry["lastHeartbeatTime"]).timestamp() >= int(since)
        for entry in ready
    )


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=2) as response:
        return bool(response.status == _OK)
