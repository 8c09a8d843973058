"""The rights that the operator needs, and no others: the chart renders its roles from the same list.

- `patch` is server-side apply; where the object is not there yet, the API server asks for `create` too.
- `patch` of the scale subresource fills in `spec.replicas` where it was left out; no other field of a spec can be
  written.
- `get` is the live read before a name is used for the first time, and of the resource before a missing child is made
  again; and it reads back the ConfigMap of a revision that is kept.
- `delete` is for what is no longer desired. Deployments and Services go with their owner.
- `list` on events is for those about one pod, by its uid, when the pod's status does not say why it is not ready.
- There is nothing on Secrets: kubelet mounts them.
- `create` cannot be limited to a name; everything else on Leases is.
"""

from dataclasses import dataclass

from mizzen_api.names import GROUP, PLURAL


@dataclass(frozen=True)
class PolicyRule:
    """A rule of a Role or ClusterRole."""

    api_groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    """The objects that it is about; all of them if it is empty."""


RULES = (
    PolicyRule((GROUP,), (PLURAL,), ("get", "list", "watch")),
    PolicyRule((GROUP,), (f"{PLURAL}/scale", f"{PLURAL}/status"), ("patch",)),
    PolicyRule(("",), ("configmaps", "serviceaccounts"), ("get", "list", "watch", "create", "patch", "delete")),
    PolicyRule(("",), ("services",), ("get", "list", "watch", "create", "patch")),
    PolicyRule(("apps",), ("deployments",), ("get", "list", "watch", "create", "patch")),
    PolicyRule(("apps",), ("replicasets",), ("list", "watch")),
    PolicyRule(("",), ("pods",), ("list", "watch")),
    PolicyRule(("events.k8s.io",), ("events",), ("create", "list")),
)
"""In each namespace that is watched; in a ClusterRole where all of them are."""


def lease_rules(name: str) -> tuple[PolicyRule, ...]:
    """Give the rights in the operator's own namespace: on the Lease of this name."""
    return (
        PolicyRule(("coordination.k8s.io",), ("leases",), ("create",)),
        PolicyRule(("coordination.k8s.io",), ("leases",), ("get", "watch", "update"), names=(name,)),
    )
