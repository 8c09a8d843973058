"""helm install, upgrade and uninstall on a real API server: what becomes of the CRD and of users' resources."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devcluster import DevCluster
from tests.integration.chart.charts import add_field, copy_chart
from tests.support.namespace import Namespace
from tests.support.waiting import wait_for


@dataclass(frozen=True)
class Release:
    """A release of a copied chart in a namespace of its own."""

    namespace: Namespace
    chart: Path
    group: str

    @property
    def cluster(self) -> DevCluster:
        assert isinstance(self.namespace.cluster, DevCluster)
        return self.namespace.cluster

    @property
    def crd(self) -> str:
        return f"agentdeployments.{self.group}"

    def install(self, *values: str) -> None:
        """Install or upgrade. Its pods are not waited for: they have no image, and are not what is looked at."""
        settings = [part for value in values for part in ("--set", value)]
        command = ["upgrade", "--install", "mizzen", str(self.chart), "--namespace", self.namespace.name]
        self.cluster.helm(*command, *settings)

    def uninstall(self) -> None:
        self.cluster.helm("uninstall", "mizzen", "--namespace", self.namespace.name)

    def agent(self, name: str, **spec: Any) -> dict[str, Any]:
        base = {"agent": {"instructions": "Be brief."}, "models": [{"model": "test"}]}
        return {
            "apiVersion": f"{self.group}/v1alpha1",
            "kind": "AgentDeployment",
            "metadata": {"name": name},
            "spec": {**base, **spec},
        }

    def apply_agent(self, name: str, **spec: Any) -> None:
        self.cluster.kubectl("wait", "--for=condition=Established", f"crd/{self.crd}", "--timeout=30s")
        self.namespace.apply(self.agent(name, **spec))

    def has(self, kind: str, name: str) -> bool:
        found = self.cluster.kubectl("get", kind, name, "-n", self.namespace.name, "-o", "name", check=False)
        return bool(found.stdout.strip())


@pytest.fixture
def release(cluster: DevCluster, namespace: Namespace, tmp_path: Path) -> Iterator[Release]:
    group = f"{namespace.name}.example"
    chart = copy_chart(tmp_path, group)
    # A ClusterRole is named after the release: Roles keep this one apart from the real installation's.
    values = chart / "values.yaml"
    values.write_text(values.read_text().replace("watchNamespaces: []", f"watchNamespaces: [{namespace.name}]"))
    release = Release(namespace, chart, group)
    yield release
    cluster.kubectl("delete", "crd", release.crd, "--ignore-not-found")


def test_an_upgrade_brings_the_changed_crd_and_keeps_the_resources(release: Release) -> None:
    release.install()
    release.apply_agent("before")
    refusal = release.namespace.refusal(release.agent("later", note="new"))
    assert 'unknown field "spec.note"' in refusal
    add_field(release.chart, "note")
    release.install()

    def taken() -> bool:
        release.apply_agent("later", note="new")
        stored = json.loads(release.namespace.kubectl("get", release.crd, "later", "-o", "json"))
        return bool(stored["spec"].get("note") == "new")

    wait_for(taken, "the upgraded CRD to keep the new field", seconds=30, interval=0.2)
    assert release.has(release.crd, "before")


def test_an_upgrade_with_another_setting_rolls_the_operator_and_one_without_does_not(release: Release) -> None:
    def revision() -> str:
        deployment = release.namespace.get("deployment", "mizzen-operator")
        return str(deployment["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision", ""))

    def wait_revision(expected: str) -> None:
        wait_for(lambda: revision() == expected, f"revision {expected} of the operator", seconds=30, interval=0.1)

    release.install("runtimeImage=example/runtime:1")
    wait_revision("1")
    release.install("runtimeImage=example/runtime:2")
    wait_revision("2")
    before = release.namespace.get("deployment", "mizzen-operator")["metadata"]["generation"]
    release.install("runtimeImage=example/runtime:2")
    assert release.namespace.get("deployment", "mizzen-operator")["metadata"]["generation"] == before


def test_uninstalling_leaves_the_users_resources_and_a_new_install_takes_them_over(release: Release) -> None:
    release.install()
    release.apply_agent("mine")
    release.uninstall()
    assert not release.has("deployment", "mizzen-operator")
    assert not release.has("serviceaccount", "mizzen-operator")
    assert not release.has("role", "mizzen-operator")
    assert release.has(release.crd, "mine")
    release.install()
    assert release.has(release.crd, "mine")


def test_uninstalling_removes_the_users_resources_if_it_was_told_to(release: Release) -> None:
    release.install("crds.keep=false")
    release.apply_agent("mine")
    release.uninstall()
    wait_for(lambda: not release.has("crd", release.crd), "the CRD to be gone", seconds=30, interval=0.2)


def test_the_crd_stays_out_if_it_is_not_enabled(release: Release) -> None:
    release.install("crds.enabled=false")
    assert release.has("deployment", "mizzen-operator")
    assert not release.has("crd", release.crd)


def test_the_notes_say_what_to_do_next(release: Release) -> None:
    notes = release.cluster.helm(
        "install", "mizzen", str(release.chart), "--namespace", release.namespace.name, "--set", "crds.enabled=false"
    ).stdout
    assert f"kubectl apply --namespace {release.namespace.name} -f - <<'END'" in notes
    assert "kubectl wait" in notes
    assert f"kubectl label namespace {release.namespace.name} pod-security.kubernetes.io/enforce=restricted" in notes
    assert "The CRD was not installed" in notes
