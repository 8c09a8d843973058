"""A cluster that ends, however it ends, leaves nothing behind; one that starts on its data is the one it was."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from devcluster import DevCluster, State
from devcluster.cgroups import hierarchies
from devcluster.network import host_routes
from devcluster.paths import RUN_ROOT
from devcluster.processes import Process
from devcluster.records import load_record
from devcluster.shell import run, wait_until
from devcluster.spec import load_spec
from tests.integration.devcluster.conftest import await_ready, run_pod

_NODE_FOLDERS = ("/var/lib/cni", "/var/lib/kubelet", "/run/netns", "/run/containerd", "/var/log/pods")


class Traces:
    """What a running cluster has on the machine. Other clusters may come and go meanwhile."""

    def __init__(self, cluster: DevCluster) -> None:
        record, spec = load_record(cluster.paths), load_spec(cluster.paths)
        assert record
        assert spec
        self.cluster = cluster
        self._subnet = spec.subnet
        pids = [record.process.holder.pid, *record.process.members()]
        self._processes = [process for pid in pids if (process := Process.find(pid))]

    @property
    def pids(self) -> list[int]:
        """The processes that belonged to it: components, shims, the pods' own."""
        return [process.pid for process in self._processes]

    def found(self) -> dict[str, object]:
        """Give what is there now, by kind; empty kinds are left out."""
        name, subnet = self.cluster.name, self._subnet
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        kinds: dict[str, list[object]] = {
            "processes": [process.pid for process in self._processes if process.alive()],
            "interfaces": [link for _, link in socket.if_nameindex() if link == subnet.host_interface],
            "routes": [str(route) for route in host_routes() if str(route).startswith(subnet.node[:-3])],
            "cgroups": [str(path) for root in hierarchies() for path in root.glob(f"*{name}*")],
            "mounts": [line for line in mounts if name in line or line.split()[1].startswith(_NODE_FOLDERS)],
            "files": [str(path) for path in (self.cluster.paths.state, *RUN_ROOT.glob(f"*{name}*")) if path.exists()],
            "node's files": [
                str(path) for folder in _NODE_FOLDERS if Path(folder).exists() for path in Path(folder).iterdir()
            ],
        }
        return {kind: found for kind, found in kinds.items() if found}


def packet_filter() -> str:
    """Give the host's rules; none of them may come from a cluster."""
    return run(["iptables-save"]).stdout


def kill_supervisor(cluster: DevCluster) -> None:
    record = load_record(cluster.paths)
    assert record
    os.kill(record.process.first.pid, signal.SIGKILL)


def kill_holder(cluster: DevCluster) -> None:
    record = load_record(cluster.paths)
    assert record
    os.kill(record.process.holder.pid, signal.SIGKILL)


def leave_alone(_: DevCluster) -> None:
    pass


@pytest.mark.parametrize("harm", [leave_alone, kill_supervisor])
def test_down_leaves_nothing_behind(cluster: DevCluster, image: Path, harm: Callable[[DevCluster], None]) -> None:
    rules_before = packet_filter()
    cluster.up()
    run_pod(cluster, cluster.load(str(image)))
    traces = Traces(cluster)
    running = traces.found()
    assert running.keys() == {"processes", "interfaces", "routes", "cgroups", "files"}
    assert len(traces.pids) > 10
    assert cluster.name not in packet_filter()
    harm(cluster)
    assert cluster.down()
    assert traces.found() == {}
    assert packet_filter() == rules_before
    assert cluster.down() is False


def test_killing_one_process_ends_every_other_one(cluster: DevCluster, image: Path) -> None:
    cluster.up()
    run_pod(cluster, cluster.load(str(image)))
    traces = Traces(cluster)
    kill_holder(cluster)
    assert wait_until(lambda: not traces.found().keys() & {"processes", "interfaces", "routes"}, seconds=10)
    found = cluster.status()
    assert found.state is State.FAILED
    assert found.failure == "the node was killed from outside"


def test_a_component_that_dies_ends_the_node_and_up_brings_its_pods_back(cluster: DevCluster, image: Path) -> None:
    cluster.up(sync_frequency="5s")
    run_pod(cluster, cluster.load(str(image)))
    cluster.kubectl("create", "configmap", "kept", "--from-literal=key=value")
    identity = cluster.kubectl("get", "pod", "web", "-o", "jsonpath={.metadata.uid}").stdout
    (etcd,) = [pid for pid in Traces(cluster).pids if Path(f"/proc/{pid}/comm").read_text() == "etcd\n"]
    os.kill(etcd, signal.SIGKILL)
    assert wait_until(lambda: cluster.status().state is State.FAILED, seconds=10)
    assert (cluster.status().failure or "").startswith("etcd was ended by SIGKILL")

    cluster.up()
    await_ready(cluster)
    assert cluster.kubectl("get", "pod", "web", "-o", "jsonpath={.metadata.uid}").stdout == identity
    assert cluster.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.key}").stdout == "value"
    assert cluster.status().sync_frequency == "5s"
    assert cluster.status().failure is None

    cluster.down(keep_data=True)
    assert cluster.status().state is State.STOPPED
    assert cluster.kubeconfig.exists()
