"""A cluster in which the operators of these tests are the only ones."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devcluster import DevCluster
from devcluster.api import ApiClient
from devcluster.images import compile_static, write_scratch_image
from mizzen_api.crd import custom_resource_definition
from tests.conftest import FULL_SIZE, is_running
from tests.integration.operator.audit import AuditLog
from tests.integration.operator.process import OperatorProcess
from tests.integration.operator.states import FOREIGN, NO_ENTRYPOINT, STAND_IN
from tests.support.namespace import Namespace

collect_ignore = [] if FULL_SIZE else ["test_lost_node.py"]
"""What takes minutes and cannot be made smaller."""
StartOperator = Callable[[], OperatorProcess]


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


def load_stand_in(cluster: DevCluster, folder: Path) -> None:
    """Load the image that stands where an agent's does, and two that cannot run; `folder` is worked in."""
    program = compile_static(Path(__file__).parent / "stand_in" / "agent.c", folder / "agent")
    text = folder / "text"
    text.write_text("no program of any platform\n")
    for name, file, entrypoint in (
        (STAND_IN, program, "/agent"),
        (NO_ENTRYPOINT, program, "/python"),
        (FOREIGN, text, "/agent"),
    ):
        cluster.load(str(write_scratch_image(name, {"agent": file}, [entrypoint], folder / "image.tar")))


@pytest.fixture(scope="package")
def stand_in(cluster: DevCluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The image that stands where an agent's does, in the cluster."""
    load_stand_in(cluster, tmp_path_factory.mktemp("stand-in"))


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
def operator(start_operator: StartOperator) -> OperatorProcess:
    """An operator that works in the test's namespace."""
    return start_operator()


@pytest.fixture
def audit(cluster: DevCluster) -> AuditLog:
    """What the operator does from the test's start on."""
    return AuditLog.from_now(cluster.paths.audit_log)
