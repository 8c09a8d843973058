"""A node that no longer answers, and comes back: kubelet is frozen, in a cluster that nobody else uses."""

import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.installation import create_namespace
from devcluster import DevCluster, records
from devcluster.progress import silent
from tests.integration.operator.conftest import install_crd, load_stand_in
from tests.integration.operator.states import LOST_NODE
from tests.integration.operator.statuses import Statuses, watched_statuses
from tests.integration.operator.world import running_operator, said_by
from tests.support.namespace import Namespace
from tests.support.waiting import wait_for

NODE_SECONDS = 120
"""It takes a node's silence of 50 s until Kubernetes calls it not ready."""


@pytest.fixture
def lone_cluster(tmp_path: Path) -> Iterator[DevCluster]:
    """A cluster for one test."""
    cluster = DevCluster(f"t-{uuid.uuid4().hex[:10]}", silent)
    try:
        cluster.up()
        install_crd(cluster)
        load_stand_in(cluster, tmp_path)
        yield cluster
    finally:
        cluster.down()


@contextmanager
def frozen_kubelet(cluster: DevCluster) -> Iterator[None]:
    """Let kubelet do nothing for a while."""
    record = records.running(cluster.paths)
    assert record is not None
    (kubelet,) = [pid for pid in record.process.members() if Path(f"/proc/{pid}/comm").read_text() == "kubelet\n"]
    os.kill(kubelet, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(kubelet, signal.SIGCONT)


def test_a_node_that_no_longer_answers_is_told_until_it_is_back(lone_cluster: DevCluster) -> None:
    namespace = Namespace(lone_cluster, "agents")
    create_namespace(lone_cluster, namespace.name)
    before, after = LOST_NODE
    with watched_statuses(lone_cluster) as statuses, running_operator(namespace):
        namespace.apply(LOST_NODE[before].manifest(before))
        namespace.wait_ready(before)
        with frozen_kubelet(lone_cluster):
            namespace.apply(LOST_NODE[after].manifest(after))
            wait_for(lambda: is_told(statuses, namespace.name), "words about the node", seconds=NODE_SECONDS)
        namespace.wait_ready(before)
        namespace.wait_ready(after)


def is_told(statuses: Statuses, namespace: str) -> bool:
    """Tell whether the golden texts are what is said at this moment."""
    said = {
        name: [said_by(status, namespace, name) for status in statuses.of(namespace, name)[-1:]] for name in LOST_NODE
    }
    assert said == {name: [state.says()] for name, state in LOST_NODE.items()}
    return True
