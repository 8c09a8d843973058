"""Container images: small ones made here without any builder, and loading of others into the node."""

import hashlib
import io
import json
import platform
import socket
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster.errors import CommandFailedError, DevClusterError
from devcluster.paths import ClusterPaths, cache_root
from devcluster.progress import Report, step
from devcluster.shell import clean_environment, find_program, run
from devcluster.transfer import import_archive

_PAUSE_SOURCE = Path(__file__).parent / "images" / "pause.c"
_ID_LABEL = "mizzen.dev/image-id"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Works without privileges over images, in a container and on a plain machine alike.
_BUILDAH_ENVIRONMENT = {"STORAGE_DRIVER": "overlay", "BUILDAH_ISOLATION": "chroot"}


@dataclass(frozen=True)
class Image:
    """An image that can be loaded.

    Attributes:
        reference: its full name, as a pod spec has to give it.
        identity: changes with its content.
        archive: the docker or OCI archive that holds it; None while it is in buildah's storage.
    """

    reference: str
    identity: str
    archive: Path | None = None


def load(paths: ClusterPaths, image: str, report: Report) -> str:
    """Load an image into a running node unless it has it, and give the reference for pod specs.

    Args:
        paths: of the cluster.
        image: a reference in buildah's storage, or the path of a docker or OCI archive.
        report: is told when there is something to do, and how long it took.

    Raises:
        DevClusterError: there is no such image.
    """
    found = find(image)
    ctr: list[str | Path] = [
        find_program("ctr", "containerd"),
        "--address",
        paths.containerd_socket,
        "--namespace",
        "k8s.io",
    ]
    listed = run([*ctr, "images", "list", f"name=={found.reference}"]).stdout
    if f"{_ID_LABEL}={found.identity}" in listed:
        return found.reference
    report(f"  loading {found.reference} into the cluster {paths.name!r}")
    with step(report, "loaded"), tempfile.TemporaryDirectory(dir=paths.state, prefix="load-") as folder:
        import_archive(found.archive or _export(found.reference, Path(folder)), found.reference, ctr)
    run([*ctr, "images", "label", found.reference, f"{_ID_LABEL}={found.identity}"])
    return found.reference


def find(image: str) -> Image:
    """Find an image by reference or path.

    Raises:
        DevClusterError: there is none.
    """
    path = Path(image)
    if path.is_file():
        return _read_archive(path.absolute())
    if image.startswith(("/", "./", "../")) or image.endswith(".tar"):
        raise DevClusterError(f"there is no image archive {image}", "build it, or give the image's name")
    try:
        said = buildah("inspect", "--type", "image", "--format", "{{.FromImage}} {{.FromImageID}}", image)
    except CommandFailedError as error:
        raise DevClusterError(
            f"there is no image {image!r} on this machine",
            "build it, see what there is with `STORAGE_DRIVER=overlay buildah images`, or give an archive's path",
        ) from error
    reference, identity = said.split()
    return Image(reference, identity)


def buildah(*args: str | Path) -> str:
    """Run buildah on the storage that the project's images are built in, and give what it said."""
    program = find_program("buildah", "buildah")
    return run(
        [program, *args], env=clean_environment(proxies=True, **_BUILDAH_ENVIRONMENT), timeout=600
    ).stdout.strip()


def _export(reference: str, folder: Path) -> Path:
    archive = folder / "image.tar"
    buildah("push", "--quiet", reference, f"docker-archive:{archive}:{reference}")
    return archive


def _read_archive(path: Path) -> Image:
    """Read an image's name and identity from a docker archive or an OCI archive."""
    try:
        with tarfile.open(path) as archive:
            names = archive.getnames()
            if "manifest.json" in names:
                entry = _member(archive, "manifest.json")[0]
                return Image(entry["RepoTags"][0], hashlib.sha256(entry["Config"].encode()).hexdigest(), path)
            entry = _member(archive, "index.json")["manifests"][0]
            annotations = entry["annotations"]
            name = annotations.get("io.containerd.image.name") or annotations["org.opencontainers.image.ref.name"]
            return Image(name, entry["digest"].removeprefix("sha256:"), path)
    except (tarfile.TarError, KeyError, IndexError, TypeError, ValueError) as error:
        raise DevClusterError(
            f"{path} is no image archive that names its image",
            "make it with `buildah push NAME docker-archive:FILE:NAME`",
        ) from error


def _member(archive: tarfile.TarFile, name: str) -> Any:
    file = archive.extractfile(name)
    return json.loads(file.read()) if file else None


def containerd_answers(path: Path) -> bool:
    """Whether something listens on containerd's socket.

    Raises:
        OSError: nothing does.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        return True


def pause_reference() -> str:
    """Give the name of the image of every pod's first process; it changes with its source."""
    digest = hashlib.sha256(_PAUSE_SOURCE.read_bytes()).hexdigest()[:12]
    return f"localhost/devcluster-pause:{digest}"


def build_pause() -> Path:
    """Give the archive of the pause image, made the first time."""
    archive = cache_root() / f"{pause_reference().rpartition('/')[2].replace(':', '-')}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
            program = compile_static(_PAUSE_SOURCE, Path(folder) / "pause")
            draft = write_scratch_image(pause_reference(), {"pause": program}, ["/pause"], Path(folder) / "image.tar")
            draft.rename(archive)
    return archive


def compile_static(source: Path, program: Path, *options: str) -> Path:
    """Compile a C file into a program that needs no library of the image it runs in."""
    run(
        [
            find_program("cc", "gcc libc6-dev"),
            "-static",
            "-Os",
            "-s",
            "-Wall",
            "-Werror",
            "-o",
            program,
            source,
            *options,
        ]
    )
    return program


def write_scratch_image(reference: str, files: Mapping[str, Path], command: list[str], archive: Path) -> Path:
    """Write a docker archive of an image that holds nothing but some programs; the same input gives the same image.

    Args:
        reference: the image's full name.
        files: where a program goes in the image, without the leading slash, and where it is here.
        command: the image's entry point.
        archive: the file to write.
    """
    layer = _tar({name: path.read_bytes() for name, path in files.items()}, mode=0o755)
    layer_digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": command},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    layer_name = f"{layer_digest}.tar"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [reference], "Layers": [layer_name]}]).encode()
    archive.write_bytes(_tar({layer_name: layer, config_name: config, "manifest.json": manifest}))
    return archive


def _tar(files: Mapping[str, bytes], mode: int = 0o644) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
