"""Where everything lives: the cache of binaries, the state of each cluster and its sockets."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from devcluster.errors import DevClusterError

REPOSITORY = Path(__file__).resolve().parent.parent
GO_MODULE = REPOSITORY / "devcluster" / "go"
# A unix socket's path may have 107 characters: sockets cannot live below the state folder, which may be anywhere.
RUN_ROOT = Path("/run/mizzen-devcluster")

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,28}[a-z0-9])?")


def cache_root() -> Path:
    """Give the folder for what can be built again: `$MIZZEN_CACHE`, else the XDG cache folder's `mizzen`."""
    return _root("MIZZEN_CACHE", "XDG_CACHE_HOME", ".cache") / "devcluster"


def state_root() -> Path:
    """Give the folder that holds one folder per cluster: `$MIZZEN_STATE`, else the XDG state folder's `mizzen`."""
    return _root("MIZZEN_STATE", "XDG_STATE_HOME", ".local/state") / "devcluster"


def _root(own: str, xdg: str, default: str) -> Path:
    if value := os.environ.get(own):
        return Path(value).expanduser().absolute()
    base = os.environ.get(xdg)
    return (Path(base) if base else Path.home() / default).absolute() / "mizzen"


def check_name(name: str) -> str:
    """Return the name if a cluster may be called so; it becomes a node's name, a folder and a cgroup.

    Raises:
        DevClusterError: it is not 1 to 30 lower-case letters, digits and hyphens that begin with a letter.
    """
    if not _NAME.fullmatch(name):
        raise DevClusterError(
            f"{name!r} cannot be a cluster's name",
            "use 1 to 30 lower-case letters, digits and hyphens, beginning with a letter: mizzen, test-1",
        )
    return name


@dataclass(frozen=True)
class ClusterPaths:
    """The files of one cluster."""

    name: str
    state: Path

    @classmethod
    def of(cls, name: str) -> "ClusterPaths":
        """Give the paths of the cluster of that name; nothing is created.

        Raises:
            DevClusterError: the name is no name, or the state folder lies where the node mounts folders of its own.
        """
        state = state_root() / check_name(name)
        resolved = state.resolve()
        for shadowed in ("/run", "/var/log", "/var/lib/kubelet", "/var/lib/cni", "/proc", "/sys", "/dev"):
            if resolved.is_relative_to(Path(shadowed).resolve()):
                raise DevClusterError(
                    f"the state of a cluster cannot be kept below {shadowed}, where the node mounts its own",
                    "set MIZZEN_STATE to another folder",
                )
        return cls(name, state)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, readable by its owner only."""
        return self.state / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.state / "pki"

    @property
    def config(self) -> Path:
        """The components' rendered configuration."""
        return self.state / "config"

    @property
    def data(self) -> Path:
        """What outlives a restart: etcd, containerd's content, kubelet's folder."""
        return self.state / "data"

    @property
    def logs(self) -> Path:
        """One log file per component."""
        return self.state / "logs"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, one JSON event a line."""
        return self.logs / "audit.log"

    @property
    def pod_logs(self) -> Path:
        """The containers' output, as kubelet files it."""
        return self.state / "pod-logs"

    @property
    def spec(self) -> Path:
        """What the cluster was asked to be."""
        return self.state / "cluster.json"

    @property
    def node(self) -> Path:
        """Which process holds the node now; absent when it was ended on purpose, or by a restart of the machine."""
        return self.run / "node.json"

    @property
    def failure(self) -> Path:
        """Why the node ended by itself."""
        return self.state / "failure.json"

    @property
    def run(self) -> Path:
        """Sockets, and the claim on the cluster's slot."""
        return RUN_ROOT / self.name

    @property
    def claim(self) -> Path:
        """Says which state folder holds which slot, for every user of the machine."""
        return self.run / "claim.json"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd listens, reachable from the host too."""
        return self.run / "containerd.sock"

    @property
    def kubectl_cache(self) -> Path:
        """A discovery cache of this cluster's own: two clusters may have the same address one after the other."""
        return self.state / "kubectl-cache"
