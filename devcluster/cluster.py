"""What the demo, the tests and the benchmarks do with a cluster, and the one that runs on this machine."""

import subprocess
from pathlib import Path
from typing import Protocol

from devcluster import images, lifecycle, records, status
from devcluster.build import Binaries, require_binaries
from devcluster.errors import DevClusterError
from devcluster.paths import ClusterPaths
from devcluster.progress import Report, say
from devcluster.shell import clean_environment, run
from devcluster.spec import check_duration, load_spec, unknown_cluster

DEFAULT_NAME = "mizzen"


class Cluster(Protocol):
    """A Kubernetes cluster. Every call names its kubeconfig: the current context of the user's own is never used."""

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig for this cluster alone."""
        ...

    @property
    def kubectl_program(self) -> Path:
        """The kubectl that fits this cluster, for commands that are shown to people or run on beside this process."""
        ...

    def load(self, image: str) -> str:
        """Make an image available to the cluster's pods and give the reference that their specs must use.

        Args:
            image: a reference in buildah's storage, or the path of a docker or OCI archive.

        Raises:
            DevClusterError: there is no such image, or it cannot be brought there.
        """
        ...

    def kubectl(
        self, *args: str, stdin: str | None = None, check: bool = True, timeout: float | None = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl on this cluster and give its output.

        Raises:
            CommandFailedError: it failed (with `check`) or took longer than `timeout` seconds.
        """
        ...

    def helm(
        self, *args: str, stdin: str | None = None, check: bool = True, timeout: float | None = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run helm on this cluster, as `kubectl` does."""
        ...


def run_on(
    program: Path,
    kubeconfig: Path,
    args: tuple[str, ...],
    *,
    cache: Path,
    proxies: bool,
    stdin: str | None,
    check: bool,
    timeout: float | None,
) -> subprocess.CompletedProcess[str]:
    """Run kubectl or helm with an explicit kubeconfig and a discovery cache of the cluster's own."""
    environment = clean_environment(proxies=proxies, KUBECACHEDIR=str(cache))
    command: list[str | Path] = [program, "--kubeconfig", kubeconfig, *args]
    return run(command, stdin=stdin, env=environment, timeout=timeout, check=check)


class DevCluster:
    """A cluster on this machine. Making the object starts nothing; `up` does."""

    def __init__(self, name: str = DEFAULT_NAME, report: Report = say) -> None:
        self.paths = ClusterPaths.of(name)
        self._report = report

    @property
    def name(self) -> str:
        """The cluster's name, which is its node's name too."""
        return self.paths.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; the file exists once the cluster has been started."""
        return self.paths.kubeconfig

    @property
    def binaries(self) -> Binaries:
        """The programs of the cluster's version: kubectl, helm and, if built, prometheus.

        Raises:
            DevClusterError: they have not been built.
        """
        return require_binaries()

    @property
    def kubectl_program(self) -> Path:
        """See `Cluster.kubectl_program`."""
        return self.binaries.kubectl

    def up(self, *, sync_frequency: str | None = None) -> None:
        """Start the cluster, or start it again on its data; return when pods can run.

        Args:
            sync_frequency: how often kubelet looks at mounted ConfigMaps and Secrets, such as 5s.

        Raises:
            DevClusterError: it cannot be started, and why.
        """
        lifecycle.up(self.paths, check_duration(sync_frequency) if sync_frequency else None, self._report)

    def down(self, *, keep_data: bool = False) -> bool:
        """End the cluster and remove all of it, or all but its data; give whether there was one."""
        return lifecycle.down(self.paths, self._report, keep_data=keep_data)

    def status(self) -> status.Status:
        """Give what is known about the cluster.

        Raises:
            DevClusterError: there is no cluster of this name.
        """
        return status.of(self.paths)

    def load(self, image: str) -> str:
        """See `Cluster.load`. Takes a moment if the node has the image already."""
        self._require_running()
        return images.load(self.paths, image, self._report)

    def kubectl(
        self, *args: str, stdin: str | None = None, check: bool = True, timeout: float | None = 120
    ) -> subprocess.CompletedProcess[str]:
        """See `Cluster.kubectl`."""
        return self._run(self.kubectl_program, args, stdin=stdin, check=check, timeout=timeout)

    def helm(
        self, *args: str, stdin: str | None = None, check: bool = True, timeout: float | None = 300
    ) -> subprocess.CompletedProcess[str]:
        """See `Cluster.helm`."""
        return self._run(self.binaries.helm, args, stdin=stdin, check=check, timeout=timeout)

    def _run(
        self, program: Path, args: tuple[str, ...], *, stdin: str | None, check: bool, timeout: float | None
    ) -> subprocess.CompletedProcess[str]:
        if not self.kubeconfig.exists():
            raise unknown_cluster(self.name)
        where = {"program": program, "kubeconfig": self.kubeconfig, "cache": self.paths.kubectl_cache}
        return run_on(**where, args=args, proxies=False, stdin=stdin, check=check, timeout=timeout)

    def _require_running(self) -> None:
        if load_spec(self.paths) is None:
            raise unknown_cluster(self.name)
        if records.running(self.paths) is None:
            raise DevClusterError(
                f"the cluster {self.name!r} is not running", f"start it: `python -m devcluster up {self.name}`"
            )
