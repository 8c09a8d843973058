"""What is left in a namespace at the end, without what differs from run to run: comparable object by object."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from devcluster.api import ApiClient
from mizzen_api.names import LABEL_INSTANCE, LABEL_REVISION

Object = dict[str, Any]
EndState = dict[str, Object]
"""By `Kind/name`."""

_PATHS = {
    "AgentDeployment": "apis/mizzen.dev/v1alpha1/namespaces/{}/agentdeployments",
    "ServiceAccount": "api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "api/v1/namespaces/{}/configmaps",
    "Service": "api/v1/namespaces/{}/services",
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "ReplicaSet": "apis/apps/v1/namespaces/{}/replicasets",
    "Pod": "api/v1/namespaces/{}/pods",
}
_OF_ONE_RUN = frozenset(
    {
        *("uid", "resourceVersion", "creationTimestamp", "managedFields", "generateName", "deletionGracePeriodSeconds"),
        *("clusterIP", "clusterIPs", "pod-template-hash", "lastTransitionTime", "mizzen.dev/applied"),
    }
)
"""Names and times that the API server gives out. What is stamped as applied holds the owner's uid."""
_OF_DEPLOYMENTS_CONTROLLER = "deployment.kubernetes.io/"
"""It counts every template that it saw; an operator that was dead during two quick edits writes the second only."""


def end_state(api: ApiClient, namespace: str) -> EndState:
    """Give every AgentDeployment of a namespace and all that belongs to one."""
    found = {kind: listed(api, namespace, kind) for kind in _PATHS}
    text = json.dumps(found).replace(namespace, "NAMESPACE")
    for revision, name in _revision_names((*found["ConfigMap"], *found["ReplicaSet"]), namespace).items():
        text = text.replace(revision, name)
    state: EndState = {}
    names: Counter[str] = Counter()
    for kind, items in json.loads(text).items():
        for item in items:
            name = _name(kind, item)
            names[name] += 1
            state[name if names[name] == 1 else f"{name} #{names[name]}"] = _comparable(kind, item)
    return state


def differences(expected: EndState, found: EndState) -> list[str]:
    """Give the names of the objects that are not the same, each with both contents."""
    names = sorted(expected.keys() | found.keys())
    return [
        f"{name}:\n  {json.dumps(expected.get(name))}\n  {json.dumps(found.get(name))}"
        for name in names
        if expected.get(name) != found.get(name)
    ]


def listed(api: ApiClient, namespace: str, kind: str) -> list[Object]:
    """Give the objects of a kind: every AgentDeployment, of the others those that belong to one."""
    selector = "" if kind == "AgentDeployment" else f"?labelSelector={LABEL_INSTANCE}"
    items: list[Object] = api.get(f"/{_PATHS[kind].format(namespace)}{selector}")["items"]
    return items


def _revision_names(holders: Iterable[Object], namespace: str) -> dict[str, str]:
    """Give each revision a name that says what it holds: its own name depends on the namespace.

    Args:
        holders: The ConfigMaps, which hold what runs in the pods of a revision, and the ReplicaSets, which hold the
            pods.
        namespace: Of theirs.
    """
    contents: dict[str, str] = defaultdict(str)
    for holder in holders:
        revision = holder["metadata"]["labels"][LABEL_REVISION]
        content = holder.get("data") or holder["spec"]["template"]["spec"]
        text = json.dumps(content, sort_keys=True)
        contents[revision] += text.replace(revision, "REVISION").replace(namespace, "NAMESPACE")
    return {revision: f"r{hashlib.sha256(text.encode()).hexdigest()[:9]}" for revision, text in contents.items()}


def _name(kind: str, item: Object) -> str:
    """Give the name; of a ReplicaSet or a pod, where it is a hash or random, whose and of which revision it is."""
    metadata = item["metadata"]
    if kind not in {"ReplicaSet", "Pod"}:
        return f"{kind}/{metadata['name']}"
    return f"{kind}/{metadata['labels'][LABEL_INSTANCE]}-{metadata['labels'][LABEL_REVISION]}"


def _comparable(kind: str, item: Object) -> Object:
    found: Object = _without(item)
    if kind == "AgentDeployment":
        return found
    found["metadata"].pop("generation", None)
    if kind in {"ReplicaSet", "Pod"}:
        del found["metadata"]["name"]
        # The name of a pod's owner is a hash.
        found["metadata"]["ownerReferences"] = [owner["kind"] for owner in found["metadata"]["ownerReferences"]]
    if kind == "Pod":
        found.pop("spec")  # made from the template, with random names of volumes and tokens
    found["status"] = _counts(found.get("status") or {})
    return found


def _counts(status: Object) -> Object:
    """Give the numbers of a status that another controller wrote."""
    return {name: value for name, value in status.items() if isinstance(value, int) and name != "observedGeneration"}


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without(item)
            for key, item in value.items()
            if key not in _OF_ONE_RUN and not key.startswith(_OF_DEPLOYMENTS_CONTROLLER)
        }
    if isinstance(value, list):
        return [_without(item) for item in value]
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", value) if isinstance(value, str) else value
