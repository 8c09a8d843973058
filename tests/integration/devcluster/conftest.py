"""Clusters of these tests' own, and an image that holds one small program."""

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devcluster import DevCluster
from devcluster.images import compile_static, write_scratch_image
from devcluster.progress import silent

IMAGE = "localhost/devcluster-test:1"

ImageBuilder = Callable[[str], Path]


@pytest.fixture(scope="session")
def build_image(tmp_path_factory: pytest.TempPathFactory) -> ImageBuilder:
    """Build an archive of the test image whose server gives a certain answer; the name stays the same."""

    def build(answer: str) -> Path:
        folder = tmp_path_factory.mktemp("image")
        options = (f'-DANSWER="{answer}"', "-lresolv")
        program = compile_static(Path(__file__).with_name("server.c"), folder / "server", *options)
        return write_scratch_image(IMAGE, {"server": program}, ["/server"], folder / "image.tar")

    return build


@pytest.fixture(scope="session")
def image(build_image: ImageBuilder) -> Path:
    """An archive of the test image; its server says hello."""
    return build_image("hello")


def new_cluster() -> DevCluster:
    """Give a cluster that nobody else uses, not started yet."""
    return DevCluster(f"t-{uuid.uuid4().hex[:10]}", silent)


@pytest.fixture
def cluster() -> Iterator[DevCluster]:
    """A cluster that is not started; whatever the test makes of it is removed."""
    made = new_cluster()
    yield made
    made.down()


def run_pod(cluster: DevCluster, image: str, name: str = "web") -> None:
    """Run the test image as a pod behind a Service of the same name, and wait until it is Ready."""
    labels = {"app": name}
    probe = {"httpGet": {"port": 8080}, "periodSeconds": 1}
    container = {"name": "server", "image": image, "imagePullPolicy": "Never", "readinessProbe": probe}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    objects = {"apiVersion": "v1", "kind": "List", "items": [pod, service]}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(objects))
    await_ready(cluster, name)


def await_ready(cluster: DevCluster, name: str = "web") -> None:
    """Wait until the pod is Ready."""
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


@pytest.fixture(scope="module")
def pair(image: Path) -> Iterator[tuple[DevCluster, DevCluster]]:
    """Two running clusters, started at the same time, each with the test image's pod and Service `web`."""
    first, second = new_cluster(), new_cluster()

    def start(cluster: DevCluster) -> None:
        cluster.up()
        run_pod(cluster, cluster.load(str(image)))

    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(start, (first, second)))
        yield first, second
    finally:
        first.down()
        second.down()
