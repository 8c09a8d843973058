"""What the operator's service account may do, asked of the real API server."""

from collections.abc import Iterator

import pytest

from devcluster import DevCluster
from manifests.install import CHART
from mizzen_operator.permissions import RULES, lease_rules
from tests.support.namespace import Namespace


def own_rights(cluster: DevCluster, user: str, namespace: str) -> dict[str, set[str]]:
    """Give the verbs that a user has on each resource in a namespace, without what every service account may do."""
    anybody = rights(cluster, "system:serviceaccount:default:default", "default")
    return {key: verbs for key, verbs in rights(cluster, user, namespace).items() if anybody.get(key) != verbs}


def rights(cluster: DevCluster, user: str, namespace: str) -> dict[str, set[str]]:
    """Give the verbs that a user has on each resource in a namespace, as `kubectl auth can-i --list` tells them."""
    listed = cluster.kubectl("auth", "can-i", "--list", f"--as={user}", "-n", namespace, "--no-headers").stdout
    found: dict[str, set[str]] = {}
    for line in listed.splitlines():
        resource, _, verbs = line.partition(" ")
        if resource and not resource.startswith("["):
            found.setdefault(resource, set()).update(verbs.rpartition("[")[2].rstrip("] ").split())
    return {resource: verbs for resource, verbs in found.items() if not resource.startswith("self")}


@pytest.fixture
def user(cluster: DevCluster, namespace: Namespace) -> Iterator[str]:
    """The operator's service account, installed for one namespace."""
    arguments = ["--set", f"watchNamespaces={{{namespace.name}}},crds.enabled=false"]
    cluster.helm("install", "mizzen", str(CHART), "--namespace", namespace.name, *arguments)
    yield f"system:serviceaccount:{namespace.name}:mizzen-operator"
    cluster.helm("uninstall", "mizzen", "--namespace", namespace.name)


def test_an_operator_for_one_namespace_has_its_rights_there(
    cluster: DevCluster, namespace: Namespace, user: str
) -> None:
    expected: dict[str, set[str]] = {}
    for rule in (*RULES, *lease_rules("mizzen-operator")):
        for group in rule.api_groups:
            for resource in rule.resources:
                expected.setdefault(f"{resource}.{group}" if group else resource, set()).update(rule.verbs)
    # can-i puts a subresource's group behind the resource's name, as in `agentdeployments.mizzen.dev/status`.
    for subresource in ("scale", "status"):
        expected[f"agentdeployments.mizzen.dev/{subresource}"] = expected.pop(
            f"agentdeployments/{subresource}.mizzen.dev"
        )
    assert own_rights(cluster, user, namespace.name) == expected


def test_an_operator_for_one_namespace_has_none_elsewhere(cluster: DevCluster, user: str) -> None:
    assert own_rights(cluster, user, "default") == {}


@pytest.mark.parametrize(("lease", "answer"), [("mizzen-operator", "yes"), ("kube-controller-manager", "no")])
def test_the_operator_may_change_its_own_lease_and_no_other(
    cluster: DevCluster, namespace: Namespace, user: str, lease: str, answer: str
) -> None:
    said = cluster.kubectl(
        "auth", "can-i", "update", f"leases/{lease}", f"--as={user}", "-n", namespace.name, check=False
    )
    assert said.stdout.strip() == answer


@pytest.mark.parametrize("verb", ["get", "list", "watch"])
def test_the_operator_cannot_read_secrets(cluster: DevCluster, namespace: Namespace, user: str, verb: str) -> None:
    answer = cluster.kubectl("auth", "can-i", verb, "secrets", f"--as={user}", "-n", namespace.name, check=False)
    assert answer.stdout.strip() == "no"
