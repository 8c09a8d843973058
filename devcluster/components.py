"""The node's processes: their command lines and configuration, as values. Nothing here touches the machine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devcluster.build import Binaries
from devcluster.paths import ClusterPaths
from devcluster.slots import Subnet

DEFAULT_SYNC_FREQUENCY = "1m"  # kubelet's own
DNS_DOMAIN = "cluster.local"
AUDIT_LOG_MB = 200
AUDIT_LOGS_KEPT = 4
"""Of those that were full, beside the one that is being written."""


@dataclass(frozen=True)
class Programs:
    """Programs that the machine provides."""

    containerd: Path
    etcd: Path
    cni: Path  # the folder of CNI plugins


@dataclass(frozen=True)
class Component:
    """One process of the node."""

    name: str
    argv: tuple[str, ...]
    # The others leave when they find the API server without its bootstrap roles.
    needs_api: bool = True


@dataclass(frozen=True)
class Node:
    """All that decides how the components are configured."""

    paths: ClusterPaths
    subnet: Subnet
    programs: Programs
    binaries: Binaries
    pause_image: str
    sync_frequency: str

    def kubeconfig(self, client: str) -> str:
        """Give the path of a component's kubeconfig."""
        return str(self.paths.pki / f"{client}.kubeconfig")

    def pki(self, file: str) -> str:
        """Give the path of a key or certificate."""
        return str(self.paths.pki / file)

    def config(self, file: str) -> str:
        """Give the path of a rendered file."""
        return str(self.paths.config / file)


def components(node: Node) -> list[Component]:
    """List the node's processes in the order in which they start."""
    return [
        Component("etcd", (str(node.programs.etcd), *_flags(_etcd(node))), needs_api=False),
        Component("kube-apiserver", _program(node, "kube-apiserver", _api_server(node)), needs_api=False),
        Component(
            "containerd", (str(node.programs.containerd), "--config", node.config("containerd.toml")), needs_api=False
        ),
        Component("kube-controller-manager", _program(node, "kube-controller-manager", _controller_manager(node))),
        Component("kube-scheduler", _program(node, "kube-scheduler", _scheduler(node))),
        Component("kubelet", _program(node, "kubelet", _kubelet(node))),
        Component("kube-proxy", _program(node, "kube-proxy", {"config": node.config("kube-proxy.json")})),
        Component("coredns", (str(node.binaries.path("coredns")), "-conf", node.config("Corefile"))),
    ]


def _program(node: Node, name: str, flags: Mapping[str, str]) -> tuple[str, ...]:
    return (str(node.binaries.path(name)), *_flags(flags))


def _flags(flags: Mapping[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]


def _etcd(node: Node) -> dict[str, str]:
    client = "http://127.0.0.1:2379"
    return {
        "data-dir": str(node.paths.data / "etcd"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": "http://127.0.0.1:2380",
        "snapshot-count": "10000",
        # What was written survives the process, not a power cut: enough for a cluster that can be made again.
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }


def _api_server(node: Node) -> dict[str, str]:
    return {
        "advertise-address": node.subnet.node,
        "secure-port": "6443",
        "etcd-servers": "http://127.0.0.1:2379",
        "client-ca-file": node.pki("ca.crt"),
        "tls-cert-file": node.pki("apiserver.crt"),
        "tls-private-key-file": node.pki("apiserver.key"),
        "kubelet-client-certificate": node.pki("admin.crt"),
        "kubelet-client-key": node.pki("admin.key"),
        "kubelet-certificate-authority": node.pki("ca.crt"),
        "kubelet-preferred-address-types": "InternalIP",
        "service-cluster-ip-range": node.subnet.services,
        "service-account-issuer": f"https://kubernetes.default.svc.{DNS_DOMAIN}",
        "service-account-key-file": node.pki("service-account.pub"),
        "service-account-signing-key-file": node.pki("service-account.key"),
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "audit-log-path": str(node.paths.audit_log),
        "audit-policy-file": node.config("audit-policy.json"),
        "audit-log-maxsize": str(AUDIT_LOG_MB),
        "audit-log-maxbackup": str(AUDIT_LOGS_KEPT),
        # The aggregation layer: metrics-server and custom metrics can be added.
        "requestheader-client-ca-file": node.pki("front-proxy-ca.crt"),
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": node.pki("front-proxy-client.crt"),
        "proxy-client-key-file": node.pki("front-proxy-client.key"),
        "profiling": "false",
    }


def _controller_manager(node: Node) -> dict[str, str]:
    return {
        "kubeconfig": node.kubeconfig("kube-controller-manager"),
        "root-ca-file": node.pki("ca.crt"),
        "service-account-private-key-file": node.pki("service-account.key"),
        "cluster-signing-cert-file": node.pki("ca.crt"),
        "cluster-signing-key-file": node.pki("ca.key"),
        "use-service-account-credentials": "true",
        "flex-volume-plugin-dir": str(node.paths.data / "volume-plugins"),
        "leader-elect": "false",
        "secure-port": "0",
        # The default of 20 requests a second would be what a benchmark of an operator measures.
        "kube-api-qps": "500",
        "kube-api-burst": "1000",
        # Every 15 s by default, which a person who tries an autoscaler, or a test, would spend waiting.
        "horizontal-pod-autoscaler-sync-period": "2s",
        "profiling": "false",
    }


def _scheduler(node: Node) -> dict[str, str]:
    return {"config": node.config("kube-scheduler.json"), "secure-port": "0"}


def _kubelet(node: Node) -> dict[str, str]:
    return {
        "config": node.config("kubelet.json"),
        "kubeconfig": node.kubeconfig("kubelet"),
        "hostname-override": node.paths.name,
        "node-ip": node.subnet.node,
    }


def configuration(node: Node) -> dict[str, str]:
    """Give the content of every configuration file, by its name."""
    documents = {
        "audit-policy.json": _audit_policy(),
        "kube-scheduler.json": _scheduler_configuration(node),
        "kubelet.json": _kubelet_configuration(node),
        "kube-proxy.json": _kube_proxy_configuration(node),
        "cni/10-devcluster.conflist": _cni_configuration(node),
    }
    return {
        **{name: json.dumps(document, indent=2) + "\n" for name, document in documents.items()},
        "containerd.toml": _containerd_configuration(node),
        "Corefile": _corefile(node),
        "resolv.conf": f"nameserver {node.subnet.dns_service}\n",
    }


def _audit_policy() -> dict[str, object]:
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]},
            {"level": "Metadata"},
        ],
    }


def _client(node: Node, client: str) -> dict[str, object]:
    return {"kubeconfig": node.kubeconfig(client), "qps": 500, "burst": 1000}


def _scheduler_configuration(node: Node) -> dict[str, object]:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": _client(node, "kube-scheduler"),
        "leaderElection": {"leaderElect": False},
    }


def _kubelet_configuration(node: Node) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": node.pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": node.pki("kubelet-server.crt"),
        "tlsPrivateKeyFile": node.pki("kubelet-server.key"),
        "containerRuntimeEndpoint": f"unix://{node.paths.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup_name(node.paths.name)}",
        "failCgroupV1": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDNS": [node.subnet.dns_service],
        "clusterDomain": DNS_DOMAIN,
        "resolvConf": node.config("resolv.conf"),
        "podLogsDir": str(node.paths.pod_logs),
        "volumePluginDir": str(node.paths.data / "volume-plugins"),
        "maxPods": 250,
        # One by one, an image from a registry that does not answer would keep every other pod waiting for minutes.
        "serializeImagePulls": False,
        # Who writes more to a disk than it may is put out after this time, and not within a minute.
        "volumeStatsAggPeriod": "10s",
        "syncFrequency": node.sync_frequency,
        # A node that was Ready before its restart would say so again after 10 s only.
        "nodeStatusUpdateFrequency": "1s",
        "nodeStatusReportFrequency": "5m",
        # Images come from `load` only: what is there must never be collected, however full the disk is.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
        "eventRecordQPS": 0,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
    }


def _kube_proxy_configuration(node: Node) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": _client(node, "kube-proxy"),
        "hostnameOverride": node.paths.name,
        "mode": "iptables",
        # What comes from outside of the pods' network, the host included, is masqueraded so that answers come back.
        "clusterCIDR": node.subnet.pods,
        "iptables": {"minSyncPeriod": "100ms"},
        # The table of connections belongs to the whole machine: its size is left alone.
        "conntrack": {"maxPerCore": 0, "min": 0},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
    }


def _cni_configuration(node: Node) -> dict[str, object]:
    # ptp, not bridge: every packet between pods is routed, so Services work also where the kernel has no br_netfilter.
    return {
        "cniVersion": "0.4.0",
        "name": "devcluster",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": node.subnet.pods}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _containerd_configuration(node: Node) -> str:
    quoted = {
        "root": node.paths.data / "containerd",
        "state": "/run/containerd",  # a file system in memory, the node's own
        "socket": node.paths.containerd_socket,
        "opt": node.paths.data / "containerd-opt",
        "cni_bin": node.programs.cni,
        "cni_conf": node.config("cni"),
        "pause": node.pause_image,
    }
    # A JSON string is a TOML string too.
    return _CONTAINERD.format(**{key: json.dumps(str(value)) for key, value in quoted.items()})


_CONTAINERD = """\
version = 2
root = {root}
state = {state}
oom_score = 0
disabled_plugins = [
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = {socket}

[plugins."io.containerd.internal.v1.opt"]
  path = {opt}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {pause}
  # Without CAP_SYS_RESOURCE runc cannot lower the score and dies of it.
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {cni_bin}
    conf_dir = {cni_conf}
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def _corefile(node: Node) -> str:
    return f"""\
.:53 {{
    bind {node.subnet.node}
    errors
    ready {node.subnet.node}:8181
    cache 5
    kubernetes {DNS_DOMAIN} in-addr.arpa {{
        kubeconfig {node.kubeconfig("coredns")}
        ttl 5
    }}
}}
"""


def cgroup_name(cluster: str) -> str:
    """Give the name of the cluster's control group, a direct child of each hierarchy's root."""
    return f"mizzen-{cluster}"
