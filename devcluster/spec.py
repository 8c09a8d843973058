"""What a cluster was asked to be, kept in its state folder, and the node that follows from it."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from devcluster.build import require_binaries
from devcluster.components import DEFAULT_SYNC_FREQUENCY, Node, Programs
from devcluster.errors import DevClusterError
from devcluster.paths import ClusterPaths
from devcluster.shell import find_program
from devcluster.slots import Subnet

_CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
_DURATION = re.compile(r"([1-9][0-9]*(ms|s|m|h))+")


@dataclass(frozen=True)
class Spec:
    """A cluster's settings; the slot stays with it as long as its data, whose addresses follow from it."""

    slot: int
    pause_image: str
    sync_frequency: str = DEFAULT_SYNC_FREQUENCY

    @property
    def subnet(self) -> Subnet:
        """The cluster's addresses."""
        return Subnet(self.slot)


def load_spec(paths: ClusterPaths) -> Spec | None:
    """Read a cluster's settings; None if there is no such cluster."""
    try:
        return Spec(**json.loads(paths.spec.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise DevClusterError(
            f"{paths.spec} cannot be read: {error}", f"remove the cluster: `python -m devcluster down {paths.name}`"
        ) from error


def save_spec(paths: ClusterPaths, spec: Spec) -> None:
    """Write a cluster's settings, whole or not at all."""
    draft = paths.spec.with_suffix(".new")
    draft.write_text(json.dumps(asdict(spec), indent=2) + "\n")
    draft.replace(paths.spec)


def load_node(paths: ClusterPaths) -> Node:
    """Give the node of a cluster that has settings.

    Raises:
        DevClusterError: there is no such cluster, or a program is missing.
    """
    spec = load_spec(paths)
    if spec is None:
        raise unknown_cluster(paths.name)
    return Node(paths, spec.subnet, find_programs(), require_binaries(), spec.pause_image, spec.sync_frequency)


def find_programs() -> Programs:
    """Find what the machine must provide.

    Raises:
        DevClusterError: something is not installed; the message names the package.
    """
    for name, package in (("runc", "runc"), ("iptables", "iptables"), ("conntrack", "conntrack"), ("ip", "iproute2")):
        find_program(name, package)
    cni = next((folder for folder in _CNI_FOLDERS if (folder / "ptp").is_file()), None)
    if cni is None:
        raise DevClusterError(
            "the CNI plugins are not installed", "install them: apt-get install containernetworking-plugins"
        )
    return Programs(find_program("containerd", "containerd"), find_program("etcd", "etcd-server"), cni)


def check_duration(text: str) -> str:
    """Return a duration in Go's notation, such as 5s or 1m30s, if it is one."""
    if not _DURATION.fullmatch(text):
        raise DevClusterError(f"{text!r} is no duration", "write it as 5s, 500ms or 1m30s")
    return text


def unknown_cluster(name: str) -> DevClusterError:
    """Give the error for a cluster that does not exist."""
    return DevClusterError(
        f"there is no cluster named {name!r}",
        f"start it: `python -m devcluster up {name}`; see which there are: `python -m devcluster list`",
    )
