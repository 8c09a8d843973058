"""Installs the operator and the samples into a cluster, as a user would: with helm and kubectl."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from devcluster import Cluster, DevClusterError

CHECKOUT = Path(__file__).resolve().parent.parent
CHART = CHECKOUT / "helm" / "mizzen"
SAMPLES = CHECKOUT / "manifests" / "samples"
OPERATOR_NAMESPACE = "mizzen-system"
RELEASE = "mizzen"
MODEL_SERVER_IMAGE = "localhost/mizzen-model-server"
"""The image that `manifests/samples/model-server.yaml` names, without its tag."""


def helm_values(images: Mapping[str, str]) -> list[str]:
    """Give helm's arguments for the images as the cluster knows them.

    Args:
        images: References by name: `operator`, `runtime`.
    """
    repository, _, tag = images["operator"].rpartition(":")
    values = {"image.repository": repository, "image.tag": tag, "runtimeImage": images["runtime"]}
    return [part for key, value in values.items() for part in ("--set-string", f"{key}={value}")]


def install_operator(cluster: Cluster, images: Mapping[str, str], *, extra: Iterable[str] = ()) -> None:
    """Install or upgrade the operator and wait until it is up."""
    cluster.kubectl("apply", "-f", "-", stdin=_namespace(OPERATOR_NAMESPACE))
    arguments = ["upgrade", "--install", RELEASE, str(CHART), "--namespace", OPERATOR_NAMESPACE]
    arguments += ["--wait", "--timeout", "3m", *helm_values(images), *extra]
    cluster.helm(*arguments)


def create_namespace(cluster: Cluster, name: str) -> None:
    """Create a namespace that enforces the restricted Pod Security Standard; one that exists is left as it is."""
    cluster.kubectl("apply", "-f", "-", stdin=_namespace(name))


def apply_model_server(cluster: Cluster, image: str, namespace: str) -> None:
    """Apply the sample model server with the image that was built here, and wait until it answers."""
    text = (SAMPLES / "model-server.yaml").read_text()
    lines = [
        f"{line.split('image:')[0]}image: {image}" if f"image: {MODEL_SERVER_IMAGE}" in line else line
        for line in text.splitlines()
    ]
    cluster.kubectl("apply", "--namespace", namespace, "-f", "-", stdin="\n".join(lines))
    cluster.kubectl("rollout", "status", "deployment/model-server", "--namespace", namespace, "--timeout", "3m")


def describe_failure(cluster: Cluster, namespace: str, agent: str) -> str:
    """Give what a person would look at first when an agent does not become Ready."""
    path = "{range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{'\\n'}{end}"
    try:
        return cluster.kubectl("get", "agd", agent, "--namespace", namespace, "-o", f"jsonpath={path}").stdout
    except DevClusterError as error:
        return str(error)


def _namespace(name: str) -> str:
    return (
        "apiVersion: v1\n"
        "kind: Namespace\n"
        "metadata:\n"
        f"  name: {name}\n"
        "  labels:\n"
        "    pod-security.kubernetes.io/enforce: restricted\n"
    )
