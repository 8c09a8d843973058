"""Fixtures of all tests: the cluster and what runs in it."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import hypothesis
import pytest
from xdist.remote import Producer

from demo.installation import apply_model_server, create_namespace, install_operator
from devcluster import DevCluster, DevClusterError, State
from images.build import build
from tests.processes import SharedClusterScheduling, cluster_name, worker
from tests.support.namespace import Namespace

MODELS_NAMESPACE = "models"


FULL_SIZE = os.environ.get("MIZZEN_TEST_SIZE") == "full"
"""Whether every contract runs at full size (`make test-long`)."""

hypothesis.settings.register_profile("small", max_examples=50, deadline=None)
hypothesis.settings.register_profile("full", max_examples=2000, deadline=None)
hypothesis.settings.load_profile("full" if FULL_SIZE else "small")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharedClusterScheduling:
    """Say which tests run in one process, when there are several."""
    return SharedClusterScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that look back on what all others did behind them."""
    items.sort(key=lambda item: item.get_closest_marker("looks_back") is not None)


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


@contextmanager
def running_cluster(*parts: str, sync_frequency: str = "5s") -> Iterator[DevCluster]:
    """A cluster of these tests' own, and of no other process's; gone afterwards unless it ran before.

    Args:
        parts: Of its name, where it is not that of most tests.
        sync_frequency: How often its kubelet looks at mounted ConfigMaps and Secrets.
    """
    cluster = DevCluster(cluster_name(*parts))
    if worker():
        cluster.down()  # what an interrupted run has left: nobody starts one of such a name by hand
    ran_before = is_running(cluster)
    cluster.up(sync_frequency=sync_frequency)
    try:
        yield cluster
    finally:
        if not ran_before:
            cluster.down()


@pytest.fixture(scope="session")
def cluster() -> Iterator[DevCluster]:
    """The cluster of all tests that need no other."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def images(cluster: DevCluster) -> dict[str, str]:
    """The project's images by name, loaded into the cluster."""
    return {name: cluster.load(reference) for name, reference in build().items()}


@contextmanager
def new_namespace(cluster: DevCluster) -> Iterator[Namespace]:
    """An empty namespace that enforces the restricted Pod Security Standard."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    create_namespace(cluster, name)
    yield Namespace(cluster, name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def namespace(cluster: DevCluster) -> Iterator[Namespace]:
    """A namespace of a single test's own."""
    with new_namespace(cluster) as namespace:
        yield namespace


@dataclass(frozen=True)
class Platform:
    """A cluster with the operator and a real model server in it."""

    cluster: DevCluster
    images: dict[str, str]
    models: Namespace
    begun: datetime
    """When these tests began to use it."""

    @property
    def model_url(self) -> str:
        """Base URL of the real model, as agents in the cluster reach it."""
        return f"http://model-server.{self.models.name}:8080/v1"


@pytest.fixture(scope="session")
def platform(cluster: DevCluster, images: dict[str, str]) -> Platform:
    """The operator, installed with helm as the README says, and the sample model server."""
    begun = datetime.now(UTC)
    install_operator(cluster, images)
    create_namespace(cluster, MODELS_NAMESPACE)
    apply_model_server(cluster, images["model-server"], MODELS_NAMESPACE)
    return Platform(cluster, images, Namespace(cluster, MODELS_NAMESPACE), begun)
