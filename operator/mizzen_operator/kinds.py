"""The kinds that the operator works with."""

from enum import Enum

from mizzen_api.names import GROUP, KIND, LABEL_MANAGED_BY, MANAGED_BY, PLURAL, VERSION

OWN_OBJECTS_SELECTOR = f"{LABEL_MANAGED_BY}={MANAGED_BY}"
"""Selects children and pods by the label that the operator gives to them."""


class Kind(Enum):
    """A kind of object: group, version, plural and the name of the kind."""

    AGENT = (GROUP, VERSION, PLURAL, KIND)
    SERVICE_ACCOUNT = ("", "v1", "serviceaccounts", "ServiceAccount")
    CONFIG_MAP = ("", "v1", "configmaps", "ConfigMap")
    SERVICE = ("", "v1", "services", "Service")
    DEPLOYMENT = ("apps", "v1", "deployments", "Deployment")
    REPLICA_SET = ("apps", "v1", "replicasets", "ReplicaSet")
    POD = ("", "v1", "pods", "Pod")
    EVENT = ("events.k8s.io", "v1", "events", "Event")
    LEASE = ("coordination.k8s.io", "v1", "leases", "Lease")

    def __init__(self, group: str, version: str, plural: str, kind_name: str) -> None:
        self.group = group
        self.version = version
        self.plural = plural
        self.kind_name = kind_name

    @property
    def api_version(self) -> str:
        """As manifests write it: `apps/v1`, and `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def selector(self) -> str | None:
        """What lists and watches are narrowed to on the server; None for the resource itself."""
        return None if self is Kind.AGENT else OWN_OBJECTS_SELECTOR


WATCHED = (
    Kind.AGENT,
    Kind.SERVICE_ACCOUNT,
    Kind.CONFIG_MAP,
    Kind.SERVICE,
    Kind.DEPLOYMENT,
    Kind.REPLICA_SET,
    Kind.POD,
)
"""What the operator keeps in its cache."""

CHILDREN = (Kind.SERVICE_ACCOUNT, Kind.CONFIG_MAP, Kind.SERVICE, Kind.DEPLOYMENT)
"""What it writes."""

_BY_NAME = {kind.kind_name: kind for kind in Kind}


def kind_named(name: str) -> Kind:
    """Give the kind that a manifest calls `name`."""
    return _BY_NAME[name]
