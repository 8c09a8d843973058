"""The rights that roles give to an account, and those that its requests used, from the audit log."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.support.audit import Event

Object = dict[str, Any]
EVERYWHERE = ""
FORBIDDEN = 403


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource, as RBAC's rules give it."""

    verb: str
    group: str
    resource: str
    """With its subresource: `agentdeployments/status`."""
    namespace: str = EVERYWHERE
    name: str = ""
    """Of the only object that it is for; empty if it is for each."""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        name = f" {self.name!r}" if self.name else ""
        return f"{self.verb} {resource}{name} in {self.namespace or 'every namespace'}"

    def covers(self, use: "Right") -> bool:
        """Tell whether a request that needs `use` is allowed by this."""
        same = (self.verb, self.group, self.resource) == (use.verb, use.group, use.resource)
        return same and self.namespace in {EVERYWHERE, use.namespace} and self.name in {"", use.name}


def granted(manifests: Iterable[Object], account: str, namespace: str) -> set[Right]:
    """Give the rights of a service account, from roles and bindings among some manifests."""
    objects = list(manifests)
    roles = {
        (item["kind"], item["metadata"]["name"], item["metadata"].get("namespace", EVERYWHERE)): item["rules"]
        for item in objects
        if item["kind"] in {"Role", "ClusterRole"}
    }
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    rights: set[Right] = set()
    for binding in objects:
        if binding["kind"] in {"RoleBinding", "ClusterRoleBinding"} and subject in binding["subjects"]:
            kind, name = binding["roleRef"]["kind"], binding["roleRef"]["name"]
            where = binding["metadata"].get("namespace", EVERYWHERE)
            rules = roles[kind, name, where if kind == "Role" else EVERYWHERE]
            rights.update(right for rule in rules for right in _of_rule(rule, where))
    return rights


def _of_rule(rule: Object, namespace: str) -> Iterable[Right]:
    parts = (rule["verbs"], rule["apiGroups"], rule["resources"], [namespace], rule.get("resourceNames") or [""])
    return itertools.starmap(Right, itertools.product(*parts))


def used(events: Iterable[Event]) -> set[Right]:
    """Give the rights that requests needed: an apply that made its object needed `create` too."""
    return {right for event in events if "objectRef" in event for right in _needed(event)}


def _needed(event: Event) -> Iterable[Right]:
    reference = event["objectRef"]
    resource = "/".join(filter(None, [reference["resource"], reference.get("subresource")]))
    where = (reference.get("apiGroup", ""), resource, reference.get("namespace", ""), reference.get("name", ""))
    yield Right(event["verb"], *where)
    if event["verb"] == "patch" and event["responseStatus"]["code"] == 201:
        yield Right("create", *where)


def is_lacking(event: Event) -> bool:
    """Tell a request that was refused for lack of a right, and not by a quota or another admission."""
    said = event.get("responseStatus", {})
    decision = event.get("annotations", {}).get("authorization.k8s.io/decision")
    return bool(
        decision == "forbid" or (said.get("code") == FORBIDDEN and "cannot create resource" in said.get("message", ""))
    )
