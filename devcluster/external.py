"""A cluster that exists elsewhere: a context of the user's kubeconfig, and a registry that it can pull from."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from devcluster import images
from devcluster.build import binaries
from devcluster.cluster import DEFAULT_NAME, Cluster, DevCluster, run_on
from devcluster.errors import CommandFailedError, DevClusterError
from devcluster.paths import state_root
from devcluster.shell import run, search_path


class ExternalCluster:
    """A cluster that this project neither starts nor ends."""

    def __init__(self, context: str, registry: str) -> None:
        """Take the context out of the user's kubeconfig.

        Args:
            context: its name there.
            registry: where images are pushed and the cluster pulls them from, such as registry.example.com/team.

        Raises:
            DevClusterError: there is no such context.
        """
        self.context = context
        self.registry = registry.rstrip("/")
        # Copied by context, so that a later `kubectl config use-context` cannot redirect what runs against it.
        self._folder = state_root().parent / "contexts" / hashlib.sha256(context.encode()).hexdigest()[:16]
        self._write_kubeconfig()

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig that holds this context alone."""
        return self._folder / "kubeconfig"

    @property
    def kubectl_program(self) -> Path:
        """The user's own kubectl; see `Cluster.kubectl_program`."""
        return _program("kubectl")

    def load(self, image: str) -> str:
        """Push the image to the registry; see `Cluster.load`."""
        try:
            found = images.find(image)
        except DevClusterError:
            if not _docker_has(image):
                raise
            return self._push_from_docker(image)
        return self._push_archive(found) if found.archive else self._push_from_buildah(found.reference)

    def kubectl(
        self, *args: str, stdin: str | None = None, check: bool = True, timeout: float | None = 120
    ) -> subprocess.CompletedProcess[str]:
        """See `Cluster.kubectl`."""
        return self._run(self.kubectl_program, args, stdin=stdin, check=check, timeout=timeout)

    def helm(
        self, *args: str, stdin: str | None = None, check: bool = True, timeout: float | None = 300
    ) -> subprocess.CompletedProcess[str]:
        """See `Cluster.helm`."""
        return self._run(_program("helm"), args, stdin=stdin, check=check, timeout=timeout)

    def _run(
        self, program: Path, args: tuple[str, ...], *, stdin: str | None, check: bool, timeout: float | None
    ) -> subprocess.CompletedProcess[str]:
        where = {"program": program, "kubeconfig": self.kubeconfig, "cache": self._folder / "cache"}
        return run_on(**where, args=args, proxies=True, stdin=stdin, check=check, timeout=timeout)

    def _write_kubeconfig(self) -> None:
        command: list[str | Path] = [
            _program("kubectl"),
            "config",
            "view",
            "--minify",
            "--flatten",
            "--raw",
            "--context",
            self.context,
        ]
        try:
            content = run(command).stdout  # with the user's own environment: this is the one place that reads it
        except CommandFailedError as error:
            raise DevClusterError(
                f"the context {self.context!r} cannot be read: {error.output or error.problem}",
                "see which there are: `kubectl config get-contexts -o name`",
            ) from error
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(self.kubeconfig, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(content)

    def destination(self, reference: str) -> str:
        """Give an image's name in the registry: the host that it was named with is replaced."""
        host, slash, rest = reference.partition("/")
        has_host = bool(slash) and (host == "localhost" or "." in host or ":" in host)
        return f"{self.registry}/{rest if has_host else reference}"

    def _push_from_buildah(self, reference: str) -> str:
        destination = self.destination(reference)
        images.buildah("push", "--quiet", reference, f"docker://{destination}")
        return destination

    def _push_from_docker(self, reference: str) -> str:
        destination = self.destination(reference)
        run(["docker", "tag", reference, destination])
        run(["docker", "push", "--quiet", destination], timeout=600)
        return destination

    def _push_archive(self, image: images.Image) -> str:
        if shutil.which("buildah", path=search_path()):
            images.buildah("pull", "--quiet", f"docker-archive:{image.archive}")
            return self._push_from_buildah(image.reference)
        run(["docker", "load", "--quiet", "--input", str(image.archive)], timeout=600)
        return self._push_from_docker(image.reference)


def _docker_has(image: str) -> bool:
    try:
        return run(["docker", "image", "inspect", image], check=False).returncode == 0
    except CommandFailedError:  # there is no docker
        return False


def _program(name: str) -> Path:
    """Find the user's own program, which knows the cluster's way to authenticate, else ours."""
    if found := shutil.which(name, path=search_path()):
        return Path(found)
    if (built := binaries().path(name)).is_file():
        return built
    raise DevClusterError(f"`{name}` is not installed", f"install {name}, or run `python -m devcluster build`")


def resolve(context: str | None, registry: str | None, name: str = DEFAULT_NAME) -> Cluster:
    """Give the cluster that a command's `--context` and `--registry` mean: both, or neither for this machine's.

    Raises:
        DevClusterError: one is given without the other, or there is no such context.
    """
    if context and registry:
        return ExternalCluster(context, registry)
    if context:
        raise DevClusterError(
            f"--context {context} needs --registry: that cluster has to pull the images from somewhere",
            "add --registry HOST/PATH, a registry that you may push to and the cluster may pull from",
        )
    if registry:
        raise DevClusterError(
            "--registry needs --context: the cluster on this machine gets its images without a registry",
            "add --context NAME to use another cluster, or leave --registry out",
        )
    return DevCluster(name)
