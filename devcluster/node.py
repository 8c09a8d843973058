"""The node's first process: `python -m devcluster.node NAME`, inside namespaces of its own.

It prepares mounts and network, starts the components, reaps orphans (it is process 1 there), and ends when one
component ends: then the kernel ends all the others, their pods included, and removes mounts and network with the last
of them. There is no other way to stop a node: stopping and crashing are the same, and every restart is a recovery.
"""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from devcluster.components import Component, Node, components
from devcluster.errors import DevClusterError
from devcluster.network import configure_node
from devcluster.paths import ClusterPaths
from devcluster.shell import run, search_path
from devcluster.spec import load_node

_TAIL_LINES = 15
_API_DEADLINE = 120.0  # a busy machine may need long; `up` says so meanwhile


def main(name: str) -> int:
    """Run the node until it ends; what ended it is in the cluster's failure file."""
    paths = ClusterPaths.of(name)
    supervisor = Supervisor(paths)
    try:
        signal.signal(signal.SIGTERM, supervisor.on_signal)
        node = load_node(paths)
        mount_own_folders(paths)
        configure_node(node.subnet)
        supervisor.run(node)
    except Exception as error:
        supervisor.record("node", str(error))
        if not isinstance(error, DevClusterError):
            raise  # into the node's log
    return 1


def mount_own_folders(paths: ClusterPaths) -> None:
    """Give the node folders of its own wherever the components' paths are fixed in their code.

    The mounts exist in the node's mount namespace only. What lies in memory (sockets, locks, the addresses that pods
    have) must not outlive the node.
    """
    staging = paths.state / "run"
    kubelet = paths.data / "kubelet"
    for folder in (staging, kubelet, paths.pod_logs, Path("/var/lib/kubelet"), Path("/var/lib/cni")):
        folder.mkdir(parents=True, exist_ok=True)
    run(["mount", "--bind", paths.run, staging])
    for target in ("/run", "/var/log", "/var/lib/cni"):
        run(["mount", "-t", "tmpfs", "-o", "mode=755", "devcluster", target])
    paths.run.mkdir(parents=True)
    run(["mount", "--move", staging, paths.run])
    run(["mount", "--bind", kubelet, "/var/lib/kubelet"])
    run(["mount", "--make-rshared", "/"])  # volumes that kubelet mounts must appear in the containers


class Supervisor:
    """Starts the components in order and waits for the first to end."""

    def __init__(self, paths: ClusterPaths) -> None:
        self._paths = paths
        self._running: dict[int, tuple[Component, subprocess.Popen[bytes]]] = {}

    def run(self, node: Node) -> None:
        """Start everything and return when something has ended."""
        planned = components(node)
        for component in planned:
            if not component.needs_api:
                self._start(component)
        if not self._wait_for_api(node):
            return
        for component in planned:
            if component.needs_api:
                self._start(component)
        while not self._reap(block=True):
            pass

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """End the node because somebody asked for it."""
        self.record("node", f"was told to end by {signal.Signals(number).name}")
        os._exit(0)

    def record(self, component: str, reason: str, log: Path | None = None) -> None:
        """Write down why the node ends."""
        tail = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:] if log and log.exists() else []
        failure = {"component": component, "reason": reason, "log": str(log or ""), "tail": tail, "time": time.time()}
        self._paths.failure.write_text(json.dumps(failure, indent=2))

    def _start(self, component: Component) -> None:
        with self._log(component).open("ab") as log:
            log.write(f"--- {time.strftime('%Y-%m-%dT%H:%M:%S')} {' '.join(component.argv)}\n".encode())
            log.flush()
            process = subprocess.Popen(
                component.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=_environment()
            )
        self._running[process.pid] = (component, process)

    def _log(self, component: Component) -> Path:
        return self._paths.logs / f"{component.name}.log"

    def _wait_for_api(self, node: Node) -> bool:
        context = ssl.create_default_context(cafile=node.pki("ca.crt"))
        deadline = time.monotonic() + _API_DEADLINE
        while not _answers(f"{node.subnet.api_url}/readyz", context):
            if self._reap(block=False):
                return False
            if time.monotonic() > deadline:
                self.record(
                    "kube-apiserver",
                    f"was not ready within {_API_DEADLINE:g} s",
                    self._paths.logs / "kube-apiserver.log",
                )
                return False
            time.sleep(0.05)
        return True

    def _reap(self, *, block: bool) -> bool:
        """Collect ended processes; give whether a component was among them."""
        while True:
            pid, status = os.waitpid(-1, 0 if block else os.WNOHANG)
            if pid == 0:
                return False
            if pid in self._running:
                component, _ = self._running[pid]
                code = os.waitstatus_to_exitcode(status)
                reason = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
                self.record(component.name, reason, self._log(component))
                return True
            if block:
                return False


def _answers(url: str, context: ssl.SSLContext) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2, context=context):  # noqa: S310 (the URL is ours)
            return True
    except OSError:  # also what urllib raises for an answer that is no success
        return False


def _environment() -> Mapping[str, str]:
    """Nothing of the shell that happened to start the cluster: no proxy, no kubeconfig.

    Go programs collect their garbage less often than by themselves: processors are scarcer here than memory.
    """
    return {"PATH": search_path(), "HOME": "/root", "LANG": "C.UTF-8", "GOGC": "300", "GOMEMLIMIT": "1GiB"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
