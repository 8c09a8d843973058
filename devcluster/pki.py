"""The cluster's keys and certificates, made once per cluster by openssl, and its kubeconfigs."""

import json
import os
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from devcluster.components import DNS_DOMAIN
from devcluster.paths import ClusterPaths
from devcluster.shell import find_program, run
from devcluster.slots import Subnet

_DAYS = "3650"
# Elliptic curves: a key takes 1 ms instead of RSA's 100, and there are eleven.
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_SETTINGS = """\
[req]
distinguished_name = dn
[dn]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True)
class Certificate:
    """A certificate to be issued: for a client by name and group, for a server by the names it is reached by."""

    file: str
    common_name: str
    organisation: str = ""
    server_names: tuple[str, ...] = ()
    authority: str = "ca"

    @property
    def subject(self) -> str:
        """In openssl's notation."""
        return (f"/O={self.organisation}" if self.organisation else "") + f"/CN={self.common_name}"

    @property
    def extensions(self) -> list[str]:
        """As openssl's arguments."""
        usage = "serverAuth" if self.server_names else "clientAuth"
        names = ["-addext", f"subjectAltName={','.join(self.server_names)}"] if self.server_names else []
        return ["-addext", f"extendedKeyUsage={usage}", *names]


# Who has a kubeconfig, by file name: the API server's authorisation rests on these names.
CLIENTS = ("admin", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "coredns")


def certificates(name: str, subnet: Subnet) -> list[Certificate]:
    """List the certificates of a cluster."""
    service = ["kubernetes", "default", "svc", *DNS_DOMAIN.split(".")]
    service_names = [".".join(service[: length + 1]) for length in (0, 1, 2, len(service) - 1)]
    addresses = (subnet.node, subnet.kubernetes_service, "127.0.0.1")
    dns = tuple(f"DNS:{dns}" for dns in ["localhost", *service_names])
    return [
        Certificate("apiserver", "kube-apiserver", server_names=(*dns, *(f"IP:{address}" for address in addresses))),
        Certificate("kubelet-server", name, server_names=(f"DNS:{name}", f"IP:{subnet.node}")),
        Certificate("front-proxy-client", "front-proxy-client", authority="front-proxy-ca"),
        Certificate("admin", "devcluster-admin", "system:masters"),
        Certificate("kubelet", f"system:node:{name}", "system:nodes"),
        *(Certificate(client, f"system:{client}") for client in CLIENTS if client not in {"admin", "kubelet"}),
    ]


def issue(paths: ClusterPaths, subnet: Subnet) -> None:
    """Make every key, certificate and kubeconfig of a cluster, unless it has them."""
    finished = paths.pki / "complete"
    if finished.exists():
        return
    paths.pki.mkdir(mode=0o700, exist_ok=True)
    openssl = find_program("openssl", "openssl")
    (paths.pki / "openssl.cnf").write_text(_SETTINGS)
    for authority in ("ca", "front-proxy-ca"):
        _request(paths.pki, authority, f"/CN=devcluster-{authority}", ["-extensions", "authority"])
    for certificate in certificates(paths.name, subnet):
        signer = paths.pki / certificate.authority
        signed = ["-CA", f"{signer}.crt", "-CAkey", f"{signer}.key", "-extensions", "leaf", *certificate.extensions]
        _request(paths.pki, certificate.file, certificate.subject, signed)
    key = run([openssl, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]).stdout
    _write_private(paths.pki / "service-account.key", key)
    public = run([openssl, "pkey", "-pubout"], stdin=key).stdout
    (paths.pki / "service-account.pub").write_text(public)
    for client in CLIENTS:
        target = paths.kubeconfig if client == "admin" else paths.pki / f"{client}.kubeconfig"
        _write_private(target, _kubeconfig(paths, subnet, client))
    finished.touch()


def _request(folder: Path, file: str, subject: str, options: list[str]) -> None:
    """Make a key and its certificate."""
    openssl = find_program("openssl", "openssl")
    files = ["-keyout", f"{folder / file}.key", "-out", f"{folder / file}.crt"]
    settings = ["-config", str(folder / "openssl.cnf"), "-days", _DAYS, *_NEW_KEY]
    run([openssl, "req", "-x509", *settings, *options, "-subj", subject, *files])


def _kubeconfig(paths: ClusterPaths, subnet: Subnet, client: str) -> str:
    def data(file: str) -> str:
        return b64encode((paths.pki / file).read_bytes()).decode()

    name = f"devcluster-{paths.name}"
    cluster = {"server": subnet.api_url, "certificate-authority-data": data("ca.crt")}
    # A user's name carries the cluster's too: kubectl merges files, and of two equal names it takes the first.
    user_name = f"{name}-{client}"
    user = {"client-certificate-data": data(f"{client}.crt"), "client-key-data": data(f"{client}.key")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": user_name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user_name}}],
        "current-context": name,
    }
    return json.dumps(document, indent=2)


def _write_private(path: Path, content: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(content)
