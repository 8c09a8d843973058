"""The samples and the installation as a user has them: where the restricted Pod Security Standard is enforced."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from demo.installation import OPERATOR_NAMESPACE, SAMPLES
from manifests.chart_values import CHECKOUT
from manifests.install import CHART, NAMESPACE
from mizzen_api.names import KIND
from tests.conftest import Platform
from tests.support.namespace import Namespace, Object
from tests.support.waiting import wait_for

APPLIED_ELSEWHERE = {"model-server", "prometheus"}
"""Samples without an agent, which other tests apply for real in namespaces that enforce the standard too."""


def documents(path: Path) -> list[Object]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def agents(path: Path) -> list[Object]:
    return [document for document in documents(path) if document["kind"] == KIND]


WITH_AGENTS = sorted(path for path in SAMPLES.glob("*.yaml") if agents(path))


def keys_of_secrets(node: object) -> Iterator[tuple[str, str]]:
    """Give name and key of each Secret that a manifest refers to."""
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from keys_of_secrets(child)
    if isinstance(node, dict) and (reference := node.get("secretKeyRef")):
        yield reference["name"], reference["key"]


def make_secrets(namespace: Namespace, agent: Object) -> None:
    """Make the Secrets that the sample's first lines tell to make, with keys that no provider knows."""
    values: dict[str, dict[str, str]] = {}
    for name, key in keys_of_secrets(agent):
        values.setdefault(name, {})[key] = "made-up"
    for name, data in values.items():
        namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})


def make_model_server(platform: Platform, namespace: Namespace) -> None:
    """Give the namespace the sample model server under the name that the samples ask for."""
    spec = {"type": "ExternalName", "externalName": f"model-server.{platform.models.name}.svc.cluster.local"}
    namespace.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "model-server"}, "spec": spec})


@pytest.mark.parametrize("path", WITH_AGENTS, ids=lambda path: path.stem)
def test_a_samples_agent_runs_as_it_is(platform: Platform, namespace: Namespace, path: Path) -> None:
    make_model_server(platform, namespace)
    for agent in agents(path):
        make_secrets(namespace, agent)
    namespace.kubectl("apply", "-f", str(path))
    for agent in agents(path):
        name = agent["metadata"]["name"]
        namespace.wait_ready(name)
        if "http://model-server:" in json.dumps(agent["spec"].get("models")):
            answer = namespace.ask(name, "What is the capital of France?")
            assert answer.status == 200, answer


def test_no_sample_is_forgotten() -> None:
    assert {path.stem for path in SAMPLES.glob("*.yaml") if path not in WITH_AGENTS} == APPLIED_ELSEWHERE


def test_operator_and_agents_run_where_the_standard_is_enforced(platform: Platform, namespace: Namespace) -> None:
    for name in (OPERATOR_NAMESPACE, platform.models.name, namespace.name):
        labels = json.loads(platform.cluster.kubectl("get", "namespace", name, "-o", "json").stdout)["metadata"][
            "labels"
        ]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    deployment = Namespace(platform.cluster, OPERATOR_NAMESPACE).get("deployment", "mizzen-operator")
    assert deployment["status"]["readyReplicas"] == deployment["spec"]["replicas"] > 0


def test_the_plain_install_is_accepted_as_it_is(platform: Platform) -> None:
    path = CHECKOUT / "manifests" / "install.yaml"
    said = platform.cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", str(path)
    ).stdout
    assert len(said.splitlines()) == len(documents(path))
    assert f"namespace/{NAMESPACE} serverside-applied (server dry run)" in said


def test_an_operator_with_roles_in_one_namespace_only_works_there(platform: Platform, namespace: Namespace) -> None:
    repository, _, tag = platform.images["operator"].rpartition(":")
    values = f"image.repository={repository},image.tag={tag},crds.enabled=false,watchNamespaces={{{namespace.name}}}"
    platform.cluster.helm("install", "mizzen", str(CHART), "--namespace", namespace.name, "--set", values)

    def works() -> bool:
        logs = ("logs", "--selector=app.kubernetes.io/name=mizzen", "--tail=-1", "--namespace", namespace.name)
        said = platform.cluster.kubectl(*logs, check=False).stdout  # it fails until the container has started
        return f"working on 0 AgentDeployments in {namespace.name}" in said

    wait_for(works, "the operator to list what is in its namespace", seconds=60, interval=0.5)
    platform.cluster.helm("uninstall", "mizzen", "--namespace", namespace.name)
