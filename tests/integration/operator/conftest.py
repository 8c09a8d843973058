"""A cluster in which the operators of these tests are the only ones."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devcluster import DevCluster
from devcluster.api import ApiClient
from mizzen_api.crd import custom_resource_definition
from tests.conftest import is_running
from tests.integration.operator.audit import AuditLog
from tests.integration.operator.process import OperatorProcess
from tests.support.namespace import Namespace

StartOperator = Callable[[], OperatorProcess]
StartCandidate = Callable[..., OperatorProcess]


def install_crd(cluster: DevCluster) -> None:
    """Install the generated CRD and wait until it is served."""
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(custom_resource_definition()))
    cluster.kubectl("wait", "--for=condition=Established", "crd/agentdeployments.mizzen.dev", "--timeout=30s")


@pytest.fixture(scope="package")
def cluster() -> Iterator[DevCluster]:
    """A cluster of these tests' own: an operator installed with helm would work against the ones started here."""
    cluster = DevCluster(f"{os.environ.get('MIZZEN_TEST_CLUSTER', 'mizzen-test')}-operator")
    ran_before = is_running(cluster)
    cluster.up(sync_frequency="5s")
    install_crd(cluster)
    yield cluster
    if not ran_before:
        cluster.down()


@pytest.fixture
def api(cluster: DevCluster) -> Iterator[ApiClient]:
    """A connection to the API server, for what kubectl would take too long for."""
    client = ApiClient(cluster.kubeconfig)
    yield client
    client.close()


@pytest.fixture
def start_operator(cluster: DevCluster, namespace: Namespace) -> Iterator[StartOperator]:
    """Starts operators that work in the test's namespace, one after the other; a bug in one fails the test."""
    started: list[OperatorProcess] = []

    def start() -> OperatorProcess:
        started.append(OperatorProcess(cluster.kubeconfig, namespace.name))
        return started[-1].wait_working()

    yield start
    for process in started:
        assert process.terminate() == 0, "\n".join(process.messages())
        assert not process.complaints(), "\n".join(str(line["message"]) for line in process.complaints())


@pytest.fixture
def start_candidate(cluster: DevCluster, namespace: Namespace) -> Iterator[StartCandidate]:
    """Starts operators that share one Lease; those that the test has not ended by then end in order."""
    started: list[OperatorProcess] = []

    def start(kubeconfig: Path = cluster.kubeconfig) -> OperatorProcess:
        started.append(OperatorProcess(kubeconfig, namespace.name, lease=f"{namespace.name}/operator"))
        return started[-1]

    yield start
    running = [process for process in started if process.is_running()]
    for process in running:
        process.send(signal.SIGCONT)  # one that a failed test has left frozen would never end
    ends = [(process.terminate(), process.complaints()) for process in running]
    assert ends == [(0, [])] * len(running)


@pytest.fixture
def operator(start_operator: StartOperator) -> OperatorProcess:
    """An operator that works in the test's namespace."""
    return start_operator()


@pytest.fixture
def audit(cluster: DevCluster) -> AuditLog:
    """What the operator does from the test's start on."""
    return AuditLog.from_now(cluster.paths.audit_log)
