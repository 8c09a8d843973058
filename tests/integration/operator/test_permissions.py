"""The operator's rights: enough for everything, and none of them unused."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from devcluster import DevCluster
from devcluster.api import ApiClient
from manifests.chart_files import as_manifest
from mizzen_operator.permissions import RULES, PolicyRule, lease_rules
from tests.integration.operator.audit import AuditLog, resource
from tests.integration.operator.process import OperatorProcess
from tests.integration.operator.states import STATES
from tests.integration.operator.test_children import apply_and_wait, children, events_about
from tests.support.namespace import Namespace
from tests.support.waiting import wait_for

ACCOUNT = "operator"
LEASE = "operator"
ALL_RULES = (*RULES, *lease_rules(LEASE))


def as_role(rules: Iterable[PolicyRule], namespace: str, *, of: str | None = None) -> dict[str, Any]:
    """Give a Role and its binding to the operator's account, which may be `of` another namespace."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": ACCOUNT, "namespace": namespace},
        "rules": [as_manifest(rule) for rule in rules],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": ACCOUNT, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": of or namespace}],
    }
    return {"apiVersion": "v1", "kind": "List", "items": [role, binding]}


def kubeconfig_of_account(cluster: DevCluster, namespace: Namespace, rules: Iterable[PolicyRule], path: Path) -> Path:
    """Write a kubeconfig of an account with exactly these rights."""
    namespace.kubectl("create", "serviceaccount", ACCOUNT)
    namespace.apply(as_role(rules, namespace.name))
    token = namespace.kubectl("create", "token", ACCOUNT).strip()
    document = json.loads(cluster.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": token}
    path.write_text(json.dumps(document))
    return path


def granted(rules: Iterable[PolicyRule]) -> set[tuple[str, str]]:
    """Give the rights as (verb, resource)."""
    return {(verb, resource) for rule in rules for resource in rule.resources for verb in rule.verbs}


@pytest.mark.usefixtures("stand_in")
def test_every_right_is_used_and_no_other_is_needed(
    api: ApiClient, cluster: DevCluster, namespace: Namespace, audit: AuditLog, tmp_path: Path
) -> None:
    kubeconfig = kubeconfig_of_account(cluster, namespace, ALL_RULES, tmp_path / "kubeconfig")
    lease = f"{namespace.name}/{LEASE}"
    operator = OperatorProcess(kubeconfig, namespace.name, lease=lease).wait_working()
    standby = OperatorProcess(kubeconfig, namespace.name, lease=lease).wait_standing_by()
    namespace.apply(STATES["the-process-ends-by-itself"].manifest("silent"))  # only its Events may tell why
    for number in range(6):  # one more than the revisions that are kept
        apply_and_wait(api, namespace, replicas=0, agent={"instructions": f"Try {number}."})
    apply_and_wait(api, namespace, replicas=0, pod={"serviceAccountName": "default"})
    wait_for(lambda: len(children(api, namespace)["serviceaccounts"]) == 1, "the silent one's account", seconds=10)
    wait_for(lambda: len(children(api, namespace)["configmaps"]) == 5, "the silent one's and four", seconds=10)
    wait_for(lambda: events_about(namespace, "ScaledToZero"), "an event", seconds=10)

    namespace.kubectl("delete", "service", "hello")  # one that is missing is made again, if the resource is there

    def used() -> set[tuple[str, str]]:
        answered = [event for event in audit.requests(namespace.name) if event["responseStatus"]["code"] != 403]
        created = {("create", resource(event)) for event in answered if is_first_apply(event)}
        return {(event["verb"], resource(event)) for event in answered} | created

    wait_for(lambda: used() == granted(ALL_RULES), f"use of {granted(ALL_RULES)}", seconds=20)
    assert (standby.terminate(), operator.terminate()) == (0, 0)
    forbidden = [event for event in audit.requests(namespace.name) if event["responseStatus"]["code"] == 403]
    assert forbidden == []


def is_first_apply(event: dict[str, Any]) -> bool:
    """Tell an apply that made its object: the API server asks for the right to create, and answers 201."""
    return bool(event["verb"] == "patch" and event["responseStatus"]["code"] == 201)


def test_there_is_no_wildcard_and_nothing_on_secrets() -> None:
    for rule in ALL_RULES:
        assert "*" not in (*rule.api_groups, *rule.resources, *rule.verbs)
        assert "secrets" not in rule.resources


@pytest.mark.parametrize("missing", ["pods", "services", "agentdeployments"])
def test_a_missing_right_ends_the_operator_with_its_name(
    cluster: DevCluster, namespace: Namespace, tmp_path: Path, missing: str
) -> None:
    rules = [rule for rule in RULES if missing not in rule.resources]
    kubeconfig = kubeconfig_of_account(cluster, namespace, rules, tmp_path / "kubeconfig")
    operator = OperatorProcess(kubeconfig, namespace.name)
    assert operator.exit_status() == 1
    (complaint,) = operator.complaints()
    assert complaint["message"].startswith(f"a right is missing: {missing}")
    assert 'cannot list resource "' in complaint["message"]


@pytest.mark.parametrize("missing", ["get", "create"])
def test_a_missing_right_to_the_lease_ends_the_operator_with_its_name(
    cluster: DevCluster, namespace: Namespace, tmp_path: Path, missing: str
) -> None:
    rules = [*RULES, *(rule for rule in lease_rules(LEASE) if missing not in rule.verbs)]
    kubeconfig = kubeconfig_of_account(cluster, namespace, rules, tmp_path / "kubeconfig")
    operator = OperatorProcess(kubeconfig, namespace.name, lease=f"{namespace.name}/{LEASE}")
    assert operator.exit_status() == 1
    (complaint,) = operator.complaints()
    assert complaint["message"].startswith("a right is missing: leases.coordination.k8s.io")
    assert f'cannot {missing} resource "leases"' in complaint["message"]


def test_a_namespace_that_refuses_the_operator_is_left_out_until_it_can_be_read(
    api: ApiClient, cluster: DevCluster, namespace: Namespace, tmp_path: Path
) -> None:
    other = Namespace(cluster, f"{namespace.name}-other")
    cluster.kubectl("create", "namespace", other.name)
    kubeconfig = kubeconfig_of_account(cluster, namespace, RULES, tmp_path / "kubeconfig")
    operator = OperatorProcess(kubeconfig, other.name, namespace.name).wait_working()
    try:
        operator.said(f"namespace {other.name} is left out until it can be read: agentdeployments")
        apply_and_wait(api, namespace, replicas=0)
        other.apply(as_role(RULES, other.name, of=namespace.name))
        assert operator.exit_status(seconds=40) == 0
        operator = OperatorProcess(kubeconfig, other.name, namespace.name).wait_working()
        apply_and_wait(api, other, replicas=0)
    finally:
        assert operator.terminate() == 0
        cluster.kubectl("delete", "namespace", other.name, "--wait=false")


def test_a_token_that_is_refused_ends_in_words(cluster: DevCluster, namespace: Namespace, tmp_path: Path) -> None:
    document = json.loads(cluster.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": base64.b64encode(b"nobody").decode()}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(document))
    operator = OperatorProcess(kubeconfig, namespace.name)
    assert operator.exit_status() == 1
    (complaint,) = operator.complaints()
    assert complaint["message"].startswith("the API server does not know us: Unauthorized")
