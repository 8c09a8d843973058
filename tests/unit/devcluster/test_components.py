"""The components' command lines and files, as values."""

import json
import tomllib
from pathlib import Path

import pytest

from devcluster.build import Binaries
from devcluster.components import Node, Programs, components, configuration
from devcluster.manifests import dns
from devcluster.paths import ClusterPaths
from devcluster.pki import CLIENTS, certificates
from devcluster.slots import Subnet

PROGRAMS = Programs(Path("/usr/bin/containerd"), Path("/usr/bin/etcd"), Path("/usr/lib/cni"))


@pytest.fixture
def node() -> Node:
    paths = ClusterPaths("blue", Path("/state of/blue"))
    return Node(paths, Subnet(3), PROGRAMS, Binaries(Path("/cache/bin")), "localhost/pause:1", "5s")


def test_what_does_not_need_the_api_server_starts_first(node: Node) -> None:
    names = [(component.name, component.needs_api) for component in components(node)]
    assert names[:3] == [("etcd", False), ("kube-apiserver", False), ("containerd", False)]
    assert {name for name, needs_api in names[3:] if needs_api} == {
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "coredns",
    }


def test_every_file_that_a_command_line_names_is_rendered_or_a_key(node: Node) -> None:
    rendered = {f"{node.paths.config}/{name}" for name in configuration(node)}
    issued = {f"{node.paths.pki}/{c.file}.{end}" for c in certificates("blue", node.subnet) for end in ("crt", "key")}
    issued |= {
        f"{node.paths.pki}/{authority}.{end}" for authority in ("ca", "front-proxy-ca") for end in ("crt", "key")
    }
    issued |= {f"{node.paths.pki}/service-account.{end}" for end in ("key", "pub")}
    issued |= {f"{node.paths.pki}/{client}.kubeconfig" for client in CLIENTS}
    words = [word.rpartition("=")[2] for component in components(node) for word in component.argv]
    named = {word for word in words if word.startswith((str(node.paths.config), str(node.paths.pki)))}
    assert named
    assert named <= rendered | issued


def test_the_settings_reach_kubelet(node: Node) -> None:
    kubelet = json.loads(configuration(node)["kubelet.json"])
    assert kubelet["syncFrequency"] == "5s"
    assert kubelet["maxPods"] == 250
    assert kubelet["clusterDNS"] == ["10.203.128.10"]
    assert kubelet["cgroupRoot"] == "/mizzen-blue"


def test_every_json_file_is_json_and_names_its_kind(node: Node) -> None:
    documents = {name: json.loads(text) for name, text in configuration(node).items() if name.endswith(".json")}
    assert {name: document["kind"] for name, document in documents.items()} == {
        "audit-policy.json": "Policy",
        "kube-scheduler.json": "KubeSchedulerConfiguration",
        "kubelet.json": "KubeletConfiguration",
        "kube-proxy.json": "KubeProxyConfiguration",
    }


def test_containerds_file_is_toml_whatever_is_in_a_path(node: Node) -> None:
    document = tomllib.loads(configuration(node)["containerd.toml"])
    cri = document["plugins"]["io.containerd.grpc.v1.cri"]
    assert document["root"] == "/state of/blue/data/containerd"
    assert cri["sandbox_image"] == "localhost/pause:1"
    assert cri["restrict_oom_score_adj"] is True
    assert cri["cni"] == {"bin_dir": "/usr/lib/cni", "conf_dir": "/state of/blue/config/cni"}


def test_the_audit_log_records_metadata_and_never_bodies(node: Node) -> None:
    policy = json.loads(configuration(node)["audit-policy.json"])
    assert {rule["level"] for rule in policy["rules"]} == {"None", "Metadata"}
    assert policy["rules"][-1] == {"level": "Metadata"}


def test_dns_is_where_kubelet_says(node: Node) -> None:
    manifests = dns(node.subnet)
    assert manifests["/api/v1/namespaces/kube-system/services"]["spec"]["clusterIP"] == "10.203.128.10"
    slice_ = manifests["/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"]
    assert slice_["endpoints"][0]["addresses"] == [node.subnet.node]
    assert f"bind {node.subnet.node}" in configuration(node)["Corefile"]


def test_the_api_server_is_trusted_under_every_name_it_has() -> None:
    (server,) = [found for found in certificates("blue", Subnet(3)) if found.file == "apiserver"]
    assert {"IP:10.203.0.2", "IP:10.203.128.1", "IP:127.0.0.1", "DNS:kubernetes.default.svc"} <= set(
        server.server_names
    )
    assert "DNS:kubernetes.default.svc.cluster.local" in server.server_names


def test_only_the_administrator_is_above_authorisation() -> None:
    masters = [found.file for found in certificates("blue", Subnet(3)) if found.organisation == "system:masters"]
    assert masters == ["admin"]
