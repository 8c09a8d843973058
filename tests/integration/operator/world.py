"""All states of `states.STATES` at once: each is a resource of its name, in one of a few namespaces."""

import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from devcluster import Cluster, DevCluster
from mizzen_operator.status.pod_events import CREATING_SECONDS
from tests.integration.operator.audit import AuditLog
from tests.integration.operator.process import OperatorProcess
from tests.integration.operator.states import (
    NAMESPACES,
    POLICIES,
    SLOW_REGISTRY_PORT,
    STAND_IN,
    STATES,
    Policy,
    State,
)
from tests.integration.operator.statuses import Statuses, watched_statuses
from tests.support.namespace import Namespace, Object
from tests.support.waiting import wait_for

LOST = "a-config-map-is-missing"
"""The state whose operator ends and comes back."""
Said = dict[str, str]
"""By condition: `Status Reason: message`."""


@dataclass(frozen=True)
class World:
    """The namespaces, and what was seen in them."""

    made_at: float
    """When, by the clock that never goes back."""
    namespaces: dict[str, Namespace]
    statuses: Statuses
    audit: AuditLog

    def namespace(self, name: str) -> Namespace:
        """Give the namespace of a state."""
        return self.namespaces[STATES[name].namespace]

    def told(self, name: str) -> list[Said]:
        """Give what the conditions of a state's resource have said, as golden texts, the newest last."""
        namespace = self.namespace(name).name
        return [said_by(status, namespace, name) for status in self.statuses.of(namespace, name)]

    def wait_ready(self, name: str) -> None:
        """Wait until the resource of a state has been Ready."""

        def was_ready() -> bool:
            return any(said["Ready"].startswith("True Ready") for said in self.told(name))

        wait_for(was_ready, f"the first revision of {name}", seconds=90)


def said_by(status: Object, namespace: str, name: str) -> Said:
    """Give what conditions say, with <namespace> and <revision> for what differs from run to run."""

    def golden(text: str) -> str:
        return re.sub(rf"\b{name}-[a-z0-9]{{10}}\b", f"{name}-<revision>", text.replace(namespace, "<namespace>"))

    return {
        condition["type"]: golden(f"{condition['status']} {condition['reason']}: {condition['message']}")
        for condition in status.get("conditions", ())
    }


@contextmanager
def made_world(cluster: DevCluster, states: dict[str, State]) -> Iterator[World]:
    """Make the states, and take everything away in the end; an operator that complains fails it."""
    prefix = f"test-{uuid.uuid4().hex[:8]}"
    namespaces = {name: Namespace(cluster, f"{prefix}-{name}") for name in NAMESPACES}
    obstacles = _policies(namespaces["plain"].name)
    try:
        _apply(cluster, [*_namespaces(namespaces), *obstacles, _slow_registry(prefix)])
        _wait_for_quotas(cluster, namespaces)
        with watched_statuses(cluster) as statuses:
            world = World(time.monotonic(), namespaces, statuses, AuditLog.from_now(cluster.paths.audit_log))
            _lose_config_map(world)
            others = [namespace for name, namespace in namespaces.items() if name != "mount"]
            with running_operator(*others):
                _make_states(world, states)
                with running_operator(namespaces["mount"]):
                    yield world
    finally:
        cluster.kubectl("delete", "--wait=false", "--ignore-not-found", "-f", "-", stdin=json.dumps(_list(obstacles)))
        cluster.kubectl("delete", "pod", prefix, "--namespace=default", "--wait=false", "--ignore-not-found")
        names = [namespace.name for namespace in namespaces.values()]
        cluster.kubectl("delete", "namespace", *names, "--wait=false", "--ignore-not-found")


@contextmanager
def running_operator(*namespaces: Namespace) -> Iterator[None]:
    """Run an operator for some namespaces."""
    names = [namespace.name for namespace in namespaces]
    operator = OperatorProcess(namespaces[0].cluster.kubeconfig, *names)
    try:
        operator.wait_working()
        yield
    finally:
        status = operator.terminate()
    assert (status, operator.complaints()) == (0, []), "\n".join(operator.messages())


def _lose_config_map(world: World) -> None:
    """Have a pod made whose ConfigMap was deleted while no operator ran.

    The operator that starts later makes it again; kubelet, which has tried for a while, waits before it tries again.
    """
    name = LOST
    namespace = world.namespace(name)
    with running_operator(namespace):
        namespace.apply(STATES[name].manifest(name, replicas=0))
        wait_for(lambda: any("ScaledToZero" in said["Ready"] for said in world.told(name)), "its children", seconds=30)
    namespace.kubectl("delete", "configmap", "--selector", f"app.kubernetes.io/instance={name}")
    namespace.kubectl("patch", "agd", name, "--type=merge", "-p", '{"spec": {"replicas": 1}}')
    namespace.kubectl("scale", "deployment", name, "--replicas=1")


def _namespaces(namespaces: dict[str, Namespace]) -> list[Object]:
    """Give the namespaces, under the restricted Pod Security Standard, with what stands in the way in them."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    made: list[Object] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace.name, "labels": labels}}
        for namespace in namespaces.values()
    ]
    for name, obstacle in NAMESPACES.items():
        if obstacle is not None:
            metadata = {"name": "mizzen-test", "namespace": namespaces[name].name}
            made.append({"apiVersion": "v1", "metadata": metadata, **obstacle})
    metadata = {"name": "there", "namespace": namespaces["plain"].name}
    return [*made, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"other": "x"}}]


def _wait_for_quotas(cluster: DevCluster, namespaces: dict[str, Namespace]) -> None:
    """Wait until the quotas know what is used: from then on they refuse."""
    limited = {namespaces[name].name for name, item in NAMESPACES.items() if item and item["kind"] == "ResourceQuota"}

    def in_force() -> bool:
        quotas = json.loads(cluster.kubectl("get", "quota", "--all-namespaces", "-o", "json").stdout)["items"]
        return limited <= {quota["metadata"]["namespace"] for quota in quotas if "used" in quota.get("status", {})}

    wait_for(in_force, "the quotas in force")


def _make_states(world: World, states: dict[str, State]) -> None:
    lost_at = time.monotonic()
    made = [_placed(world, name, state.manifest(name)) for name, state in states.items() if name != LOST]
    _apply(world.namespaces["plain"].cluster, made)
    for name, state in states.items():
        if state.then is not None:
            world.wait_ready(name)
            world.namespace(name).apply(state.manifest(name, state.then))
    wait_for(lambda: time.monotonic() - lost_at > CREATING_SECONDS, "the time that a pod has to be made")


def _placed(world: World, name: str, manifest: Object) -> Object:
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": world.namespace(name).name}}


def _apply(cluster: Cluster, manifests: list[Object]) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(_list(manifests)))


def _slow_registry(name: str) -> Object:
    """Give a pod that listens on the node's own loopback, accepts connections, and never answers."""
    behaves = {"PORT": str(SLOW_REGISTRY_PORT), "OTHERWISE": "0"}
    container = {
        "name": "registry",
        "image": STAND_IN,
        "imagePullPolicy": "Never",
        "env": [{"name": variable, "value": value} for variable, value in behaves.items()],
    }
    spec = {"hostNetwork": True, "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def _policies(namespace: str) -> list[Object]:
    return [
        manifest for name, policy in POLICIES.items() for manifest in _policy(f"{namespace}-{name}", namespace, policy)
    ]


def _policy(name: str, namespace: str, policy: Policy) -> list[Object]:
    api = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    rule = {
        "apiGroups": [policy.group],
        "apiVersions": ["v1"],
        "resources": [policy.resource],
        "operations": ["CREATE"],
    }
    spec = {
        "matchConstraints": {
            "resourceRules": [rule],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        },
        "matchConditions": [{"name": "applies", "expression": policy.applies}],
        "validations": [{"expression": "false", "message": policy.message}],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    return [
        {**api, "kind": "ValidatingAdmissionPolicy", "spec": spec},
        {**api, "kind": "ValidatingAdmissionPolicyBinding", "spec": binding},
    ]


def _list(items: list[Object]) -> Object:
    return {"apiVersion": "v1", "kind": "List", "items": items}
