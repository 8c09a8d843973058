"""A cluster in which the operators of these tests are the only ones."""

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from devcluster import DevCluster
from devcluster.api import ApiClient
from devcluster.images import compile_static, write_scratch_image
from mizzen_api.crd import custom_resource_definition
from tests.conftest import FULL_SIZE, running_cluster
from tests.integration.operator.audit import AuditLog
from tests.integration.operator.process import RUNTIME_IMAGE, OperatorProcess
from tests.integration.operator.states import FOREIGN, NO_ENTRYPOINT, STAND_IN
from tests.support.namespace import Namespace

collect_ignore = [] if FULL_SIZE else ["test_lost_node.py"]
"""What takes minutes and cannot be made smaller."""


class StartOperator(Protocol):
    """Starts an operator that works in the test's namespace."""

    def __call__(self, *, runtime_image: str = RUNTIME_IMAGE, flags: Sequence[str] = ()) -> OperatorProcess:
        """Start it, and wait until it works on resources."""


StartCandidate = Callable[..., OperatorProcess]


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

    def start(*, runtime_image: str = RUNTIME_IMAGE, flags: Sequence[str] = ()) -> OperatorProcess:
        started.append(OperatorProcess(cluster.kubeconfig, namespace.name, runtime_image=runtime_image, flags=flags))
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
