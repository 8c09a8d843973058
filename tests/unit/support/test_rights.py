"""What roles give and what requests need are told apart right, or the end-to-end comparison shows nothing."""

from typing import Any

from tests.support.rights import Right, granted, is_lacking, used

WATCH = Right("watch", "", "pods")
LEASE = Right("patch", "coordination.k8s.io", "leases", "system", "leader")


def role(kind: str, namespace: str | None, **rule: list[str]) -> list[dict[str, Any]]:
    metadata = {"name": "operator", **({"namespace": namespace} if namespace else {})}
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": "system"}
    return [
        {"kind": kind, "metadata": metadata, "rules": [rule]},
        {
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"kind": kind, "name": "operator"},
            "subjects": [subject],
        },
    ]


def event(verb: str, code: int, reference: dict[str, str], message: str = "") -> dict[str, Any]:
    return {"verb": verb, "objectRef": reference, "responseStatus": {"code": code, "message": message}}


def test_rules_are_taken_apart_into_rights() -> None:
    cluster = role("ClusterRole", None, apiGroups=[""], resources=["pods", "services"], verbs=["list", "watch"])
    local = role(
        "Role",
        "system",
        apiGroups=["coordination.k8s.io"],
        resources=["leases"],
        verbs=["patch"],
        resourceNames=["leader"],
    )
    rights = granted([*cluster, *local], "operator", "system")
    assert len(rights) == 5
    assert {WATCH, LEASE} < rights
    assert granted(cluster, "other", "system") == set()


def test_an_apply_that_made_its_object_needed_two_rights() -> None:
    reference = {"apiGroup": "apps", "resource": "deployments", "namespace": "a", "name": "x"}
    assert {right.verb for right in used([event("patch", 201, reference)])} == {"patch", "create"}
    assert {right.verb for right in used([event("patch", 200, reference)])} == {"patch"}


def test_a_right_covers_what_it_is_for() -> None:
    assert WATCH.covers(Right("watch", "", "pods", "a"))
    assert not WATCH.covers(Right("watch", "", "pods/log", "a"))
    assert not WATCH.covers(Right("list", "", "pods", "a"))
    assert LEASE.covers(LEASE)
    assert not LEASE.covers(Right("patch", "coordination.k8s.io", "leases", "system", "other"))
    assert not LEASE.covers(Right("patch", "coordination.k8s.io", "leases", "a", "leader"))


def test_a_quotas_refusal_is_no_lack_of_a_right() -> None:
    pods = {"resource": "pods", "namespace": "a"}
    lacking = 'pods is forbidden: User "x" cannot create resource "pods" in API group "" in the namespace "a"'
    assert is_lacking(event("patch", 403, pods, lacking))
    assert is_lacking({"verb": "list", "annotations": {"authorization.k8s.io/decision": "forbid"}})
    assert not is_lacking(event("create", 403, pods, 'pods "x" is forbidden: exceeded quota: none'))
