"""The objects that a new cluster gets: DNS, which runs as a process of the node and not as a pod."""

from typing import Any

from devcluster.slots import Subnet

Manifest = dict[str, Any]


def dns(subnet: Subnet) -> dict[str, Manifest]:
    """Give the objects of the cluster's DNS, each by the path of its collection."""
    core, rbac = "/api/v1/namespaces/kube-system", "/apis/rbac.authorization.k8s.io/v1"
    return {
        f"{rbac}/clusterroles": _role(),
        f"{rbac}/clusterrolebindings": _binding(),
        f"{core}/services": _service(subnet),
        "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices": _endpoints(subnet),
    }


_RBAC = "rbac.authorization.k8s.io"
_COREDNS = "system:coredns"
_LABELS = {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}


def _role() -> Manifest:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": _COREDNS},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        ],
    }


def _binding() -> Manifest:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": _COREDNS},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": _COREDNS},
        "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": _COREDNS}],
    }


_PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))


def _service(subnet: Subnet) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "labels": _LABELS},
        "spec": {
            "clusterIP": subnet.dns_service,
            "ports": [{"name": name, "protocol": protocol, "port": 53} for name, protocol in _PORTS],
        },
    }


def _endpoints(subnet: Subnet) -> Manifest:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns",
            "labels": {
                "kubernetes.io/service-name": "kube-dns",
                "endpointslice.kubernetes.io/managed-by": "devcluster",
            },
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [subnet.node], "conditions": {"ready": True}}],
        "ports": [{"name": name, "protocol": protocol, "port": 53} for name, protocol in _PORTS],
    }
