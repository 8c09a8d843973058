"""The samples and the plain install, as a real API server takes them."""

import pytest
import yaml

from manifests.chart_values import CHECKOUT
from manifests.install import CHART, NAMESPACE
from tests.conftest import Platform
from tests.support.namespace import Namespace
from tests.support.waiting import wait_for

SAMPLES = CHECKOUT / "manifests" / "samples"


@pytest.mark.parametrize("name", ["hello", "structured", "fallback", "model-server"])
def test_a_sample_is_accepted_as_it_is(platform: Platform, namespace: Namespace, name: str) -> None:
    said = namespace.kubectl("apply", "--dry-run=server", "-f", str(SAMPLES / f"{name}.yaml"))
    assert all(line.endswith("(server dry run)") for line in said.splitlines())


def test_the_plain_install_is_accepted_as_it_is(platform: Platform) -> None:
    path = CHECKOUT / "manifests" / "install.yaml"
    said = platform.cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", str(path)
    ).stdout
    expected = [document["kind"] for document in yaml.safe_load_all(path.read_text())]
    assert len(said.splitlines()) == len(expected)
    assert f"namespace/{NAMESPACE} serverside-applied (server dry run)" in said


def test_an_operator_with_roles_in_one_namespace_only_works_there(platform: Platform, namespace: Namespace) -> None:
    repository, _, tag = platform.images["operator"].rpartition(":")
    values = f"image.repository={repository},image.tag={tag},crds.enabled=false,watchNamespaces={{{namespace.name}}}"
    platform.cluster.helm("install", "mizzen", str(CHART), "--namespace", namespace.name, "--set", values)

    def works() -> bool:
        logs = ("logs", "deployment/mizzen-operator", "--namespace", namespace.name)
        said = platform.cluster.kubectl(*logs, check=False).stdout  # it fails until the container has started
        return f"working on 0 AgentDeployments in {namespace.name}" in said

    wait_for(works, "the operator to list what is in its namespace", seconds=60, interval=0.5)
    platform.cluster.helm("uninstall", "mizzen", "--namespace", namespace.name)
