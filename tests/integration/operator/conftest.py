"""A cluster in which the operators of these tests are the only ones."""

import json
from collections.abc import Iterator, Sequence
from typing import Protocol

import pytest

from devcluster import DevCluster
from devcluster.api import ApiClient
from mizzen_api.crd import custom_resource_definition
from tests.conftest import running_cluster
from tests.integration.operator.audit import AuditLog
from tests.integration.operator.process import RUNTIME_IMAGE, OperatorProcess
from tests.support.namespace import Namespace


class StartOperator(Protocol):
    """Starts an operator that works in the test's namespace."""

    def __call__(self, *, runtime_image: str = RUNTIME_IMAGE, flags: Sequence[str] = ()) -> OperatorProcess:
        """Start it, and wait until it works on resources."""


def install_crd(cluster: DevCluster) -> None:
    """Install the generated CRD and wait until it is served."""
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(custom_resource_definition()))
    cluster.kubectl("wait", "--for=condition=Established", "crd/agentdeployments.mizzen.dev", "--timeout=30s")


@pytest.fixture(scope="package")
def cluster() -> Iterator[DevCluster]:
    """A cluster of these tests' own: an operator installed with helm would work against the ones started here."""
    with running_cluster("operator") as cluster:
        install_crd(cluster)
        yield cluster


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

    def start(*, runtime_image: str = RUNTIME_IMAGE, flags: Sequence[str] = ()) -> OperatorProcess:
        started.append(OperatorProcess(cluster.kubeconfig, namespace.name, runtime_image=runtime_image, flags=flags))
        return started[-1].wait_working()

    yield start
    for process in started:
        assert process.terminate() == 0, "\n".join(process.messages())
        assert not process.complaints(), "\n".join(str(line["message"]) for line in process.complaints())


@pytest.fixture
def operator(start_operator: StartOperator) -> OperatorProcess:
    """An operator that works in the test's namespace."""
    return start_operator()


@pytest.fixture
def audit(cluster: DevCluster) -> AuditLog:
    """What the operator does from the test's start on."""
    return AuditLog.from_now(cluster.paths.audit_log)
