"""Builds the cluster's programs from one Go module, once per version, into the cache."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from devcluster.errors import CommandFailedError, DevClusterError
from devcluster.paths import GO_MODULE, REPOSITORY, cache_root
from devcluster.progress import Report, Ticker, say
from devcluster.shell import run, search_path

# Two groups, so that who only wants a cluster does not wait for what only the tests need.
CLUSTER = "cluster"
PROMETHEUS = "prometheus"
GROUPS: dict[str, tuple[str, ...]] = {
    CLUSTER: (
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-proxy",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "k8s.io/kubernetes/cmd/kubectl",
        "k8s.io/kubernetes/cmd/kubelet",
        "helm.sh/helm/v4/cmd/helm",
        "./coredns",
    ),
    PROMETHEUS: ("github.com/prometheus/prometheus/cmd/prometheus",),
}
_OLDEST_GO = (1, 21)  # the first that can fetch the toolchain that go.mod asks for


@dataclass(frozen=True)
class Binaries:
    """The built programs of one version. A property's file exists once its group has been built."""

    folder: Path

    def path(self, name: str) -> Path:
        """Give the path of a program by name: kubectl, helm, kubelet, coredns, prometheus ..."""
        return self.folder / name

    @property
    def kubectl(self) -> Path:
        """The command line of Kubernetes, of the cluster's version."""
        return self.path("kubectl")

    @property
    def helm(self) -> Path:
        """Helm 4."""
        return self.path("helm")

    @property
    def prometheus(self) -> Path:
        """Prometheus with Kubernetes discovery; built by `build --with prometheus`."""
        return self.path("prometheus")

    def has(self, group: str) -> bool:
        """Whether every program of the group has been built."""
        return all(self.path(Path(package).name).is_file() for package in GROUPS[group])


def binaries() -> Binaries:
    """Give where this checkout's version of the programs is, built or not."""
    return Binaries(cache_root() / _version_key() / "bin")


def require_binaries() -> Binaries:
    """Give the cluster's programs.

    Raises:
        DevClusterError: they have not been built.
    """
    found = binaries()
    if not found.has(CLUSTER):
        raise DevClusterError(
            "Kubernetes has not been built on this machine yet", "run `python -m devcluster build` (about 10 minutes)"
        )
    return found


def build(group: str = CLUSTER, report: Report = say) -> Binaries:
    """Build a group of programs unless they are there, and give where they are.

    Safe to call from several processes at once: the second waits for the first.

    Raises:
        DevClusterError: there is no usable Go, or the build fails.
    """
    result = binaries()
    if result.has(group):
        return result
    with _locked(result.folder.parent, report):
        if not result.has(group):
            _build(group, result.folder, report)
    return result


def _build(group: str, target: Path, report: Report) -> None:
    go = _find_go()
    packages = GROUPS[group]
    begun = time.monotonic()
    report(f"building {', '.join(Path(package).name for package in packages)}")
    report("  a first build takes about 10 minutes on two cores; what Go has compiled before is reused")
    total = _count_packages(go, packages)
    with tempfile.TemporaryDirectory(prefix="building-", dir=target.parent) as folder:
        argv = [*go.command("build"), "-trimpath", "-buildvcs=false", "-v", "-ldflags", _ldflags(), "-o", f"{folder}/"]
        _watch([*argv, *packages], go.environment, lambda lines, seconds: _estimate(lines, total, seconds))
        target.mkdir(exist_ok=True)
        for built in sorted(Path(folder).iterdir()):
            built.rename(target / built.name)
    report(f"  built in {time.monotonic() - begun:.0f} s: {target}")


@dataclass(frozen=True)
class _Go:
    program: Path
    environment: dict[str, str]

    def command(self, verb: str) -> list[str]:
        """The options that decide which files are compiled: the same for listing and for building."""
        return [str(self.program), verb, "-mod=readonly", "-tags", _TAGS]


# Prometheus without the discoveries of two dozen clouds compiles in half the time. The others know no such tags.
_TAGS = "remove_all_sd,enable_kubernetes_sd"


def _ldflags() -> str:
    found = re.search(r"^\tk8s\.io/kubernetes v((\d+)\.(\d+)\.\S+)", (GO_MODULE / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise DevClusterError("devcluster/go/go.mod does not require k8s.io/kubernetes", "restore it from git")
    version, major, minor = found.groups()
    package = "k8s.io/component-base/version"
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s -w", *(f"-X {package}.{name}={value}" for name, value in values.items())])


def _version_key() -> str:
    digest = hashlib.sha256()
    for source in ("go.mod", "go.sum", "coredns/main.go"):
        digest.update((GO_MODULE / source).read_bytes())
    digest.update(f"{_TAGS} {_ldflags()}".encode())
    return digest.hexdigest()[:16]


def _find_go() -> _Go:
    """Find a Go that can build the module: `$MIZZEN_GO`, the PATH's, or the checkout's virtual environment's."""
    candidates = [os.environ.get("MIZZEN_GO"), shutil.which("go", path=search_path()), REPOSITORY / ".venv/bin/go"]
    for candidate in candidates:
        if candidate and (version := _go_version(Path(candidate))) and version >= _OLDEST_GO:
            # The compiler is short-lived and memory plentiful: it collects less of its garbage, and takes less time.
            environment = {"GOGC": "400", **os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
            if version < _wanted_go():
                environment["GOTOOLCHAIN"] = "auto"  # even where the machine's setting forbids to fetch a newer one
            return _Go(Path(candidate), environment)
    oldest = ".".join(map(str, _OLDEST_GO))
    raise DevClusterError(
        f"Kubernetes is built from source, and there is no Go {oldest} or newer here",
        "run `make setup`, or install Go (apt-get install golang, or go.dev/dl), or set MIZZEN_GO to a go program",
    )


def _go_version(program: Path) -> tuple[int, ...] | None:
    # From the root folder: inside the module an older Go would first try to become a newer one.
    try:
        said = run(["env", "-C", "/", "GOTOOLCHAIN=local", program, "env", "GOVERSION"], timeout=30).stdout
    except CommandFailedError:
        return None
    found = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", said)
    return tuple(int(part or 0) for part in found.groups()) if found else None


def _wanted_go() -> tuple[int, ...]:
    found = re.search(r"^go (\d+)\.(\d+)\.(\d+)$", (GO_MODULE / "go.mod").read_text(), re.MULTILINE)
    return tuple(int(part) for part in found.groups()) if found else _OLDEST_GO


def _count_packages(go: _Go, packages: Sequence[str]) -> int:
    argv = [*go.command("list"), "-deps", *packages]
    return _watch(
        argv, go.environment, lambda lines, seconds: f"reading the sources, {lines} packages ({seconds:.0f} s)"
    )


def _estimate(done: int, total: int, seconds: float) -> str:
    text = f"compiled {done} of {total} packages, {_minutes(seconds)}"
    if done < total // 20:
        return text
    if done > total * 0.98:
        return f"{text}, linking"
    return f"{text}, about {_minutes(seconds * (total - done) / done)} to go"


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


@dataclass
class _Output:
    packages: int = 0
    tail: list[str] = field(default_factory=list)

    def read(self, stream: Iterator[str]) -> None:
        for line in stream:
            # A line is a package's path unless it says something: "go: downloading ...", "x.go:3:4: undefined: y".
            if re.fullmatch(r"[\w./~-]+", line.strip()):
                self.packages += 1
            else:
                self.tail = [*self.tail[-20:], line.rstrip()]


def _watch(argv: Sequence[str], environment: dict[str, str], describe: Callable[[int, float], str]) -> int:
    """Run Go in the module, show its progress, and give the number of packages it named."""
    begun = time.monotonic()
    ticker, output = Ticker(), _Output()
    with subprocess.Popen(
        argv, cwd=GO_MODULE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101 (for the type checker: it was asked for above)
        reader = threading.Thread(target=output.read, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            while reader.is_alive():
                reader.join(0.25)
                ticker.update(describe(output.packages, time.monotonic() - begun))
        except BaseException:
            process.terminate()
            raise
        finally:
            ticker.close()
    if process.returncode != 0:
        said = "\n  ".join(output.tail)
        raise DevClusterError(
            f"Go could not build the cluster's programs:\n  {said}",
            "if modules could not be fetched, check the network and `go env GOPROXY`, then run the command again",
        )
    return output.packages


@contextmanager
def _locked(folder: Path, report: Report) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another build of the same version is running: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
