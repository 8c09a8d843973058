"""Fixtures of all tests: the cluster and what runs in it."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import hypothesis
import pytest

from demo.installation import apply_model_server, create_namespace, install_operator
from devcluster import DevCluster, DevClusterError, State
from images.build import build
from tests.support.namespace import Namespace

MODELS_NAMESPACE = "models"


FULL_SIZE = os.environ.get("MIZZEN_TEST_SIZE") == "full"
"""Whether every contract runs at full size (`make test-long`)."""

hypothesis.settings.register_profile("small", max_examples=50, deadline=None)
hypothesis.settings.register_profile("full", max_examples=2000, deadline=None)
hypothesis.settings.load_profile("full" if FULL_SIZE else "small")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Count a skipped test as a failure: nobody would notice that it never runs."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def is_running(cluster: DevCluster) -> bool:
    """Tell whether somebody started the cluster before the tests."""
    try:
        return cluster.status().state is State.RUNNING
    except DevClusterError:
        return False


@pytest.fixture(scope="session")
def cluster() -> Iterator[DevCluster]:
    """A cluster of the tests' own, gone afterwards unless it ran before."""
    cluster = DevCluster(os.environ.get("MIZZEN_TEST_CLUSTER", "mizzen-test"))
    ran_before = is_running(cluster)
    cluster.up(sync_frequency="5s")
    yield cluster
    if not ran_before:
        cluster.down()


@pytest.fixture(scope="session")
def images(cluster: DevCluster) -> dict[str, str]:
    """The project's images by name, loaded into the cluster."""
    return {name: cluster.load(reference) for name, reference in build().items()}


@pytest.fixture
def namespace(cluster: DevCluster) -> Iterator[Namespace]:
    """An empty namespace that enforces the restricted Pod Security Standard."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    create_namespace(cluster, name)
    yield Namespace(cluster, name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@dataclass(frozen=True)
class Platform:
    """A cluster with the operator and a real model server in it."""

    cluster: DevCluster
    images: dict[str, str]
    models: Namespace

    @property
    def model_url(self) -> str:
        """Base URL of the real model, as agents in the cluster reach it."""
        return f"http://model-server.{self.models.name}:8080/v1"


@pytest.fixture(scope="session")
def platform(cluster: DevCluster, images: dict[str, str]) -> Platform:
    """The operator, installed with helm as the README says, and the sample model server."""
    install_operator(cluster, images)
    create_namespace(cluster, MODELS_NAMESPACE)
    apply_model_server(cluster, images["model-server"], MODELS_NAMESPACE)
    return Platform(cluster, images, Namespace(cluster, MODELS_NAMESPACE))
