"""Imports of docker archives into containerd that leave out the layers that it has.

Images share their base, which is most of them, and an import reads, hashes and stores every layer that it is given.
"""

import contextlib
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

from devcluster.errors import CommandFailedError
from devcluster.shell import run

_OCI = "application/vnd.oci.image"


def import_archive(archive: Path, reference: str, ctr: list[str | Path]) -> None:
    """Import the image of an archive into containerd.

    Args:
        archive: a docker archive whose layers are named by their digests, as buildah does, is sent in part; anything
            else as a whole.
        reference: the image's name.
        ctr: containerd's command line with its options for the node.

    Raises:
        CommandFailedError: containerd refused the image.
    """
    present = run([*ctr, "content", "list", "--quiet"]).stdout.split()
    try:
        _import(archive, reference, ctr, present)
    except CommandFailedError:
        # A layer that was there may have been collected meanwhile: another image under this name had it.
        _import(archive, reference, ctr, [])


def _import(archive: Path, reference: str, ctr: list[str | Path], present: Collection[str]) -> None:
    command = [*ctr, "images", "import", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101 (for the type checker: both were asked for above)
        assert process.stderr is not None  # noqa: S101
        # Where containerd stops reading, it says why.
        with contextlib.suppress(BrokenPipeError), process.stdin as target:
            send(archive, reference, present, target)
        said = process.stderr.read().decode(errors="replace").strip()
    if process.returncode != 0:
        raise CommandFailedError(f"{reference} could not be imported: {said}", output=said)


def send(archive: Path, reference: str, present: Collection[str], target: IO[bytes]) -> None:
    """Write an archive as an OCI archive without the layers whose digests are in `present`."""
    with tarfile.open(archive) as source:
        entry = _docker_image(source)
        if entry is None:
            target.write(archive.read_bytes())
            return
        config = _read(source, entry["Config"])
        layers = [source.getmember(name) for name in entry["Layers"]]
        digests = json.loads(config)["rootfs"]["diff_ids"]
        described = [
            _descriptor("layer.v1.tar", digest, layer.size) for digest, layer in zip(digests, layers, strict=True)
        ]
        manifest = _manifest(config, described)
        with tarfile.open(fileobj=target, mode="w|") as result:
            _add(result, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
            _add(result, "index.json", _index(manifest, reference))
            for content in (manifest, config):
                _add(result, _path(_digest(content)), content)
            for digest, layer in zip(digests, layers, strict=True):
                if digest not in present:
                    member = tarfile.TarInfo(_path(digest))
                    member.size = layer.size
                    result.addfile(member, source.extractfile(layer))


def _docker_image(source: tarfile.TarFile) -> Any:
    """Give the archive's only image, if its layers' names tell that their digests are those of the configuration."""
    entries = json.loads(_read(source, "manifest.json")) if "manifest.json" in source.getnames() else []
    if len(entries) != 1:
        return None
    entry = entries[0]
    digests = json.loads(_read(source, entry["Config"]))["rootfs"]["diff_ids"]
    return entry if entry["Layers"] == [f"{digest.removeprefix('sha256:')}.tar" for digest in digests] else None


def _read(source: tarfile.TarFile, name: str) -> bytes:
    file = source.extractfile(name)
    return file.read() if file else b""


def _add(result: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    result.addfile(member, io.BytesIO(content))


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _descriptor(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": f"{_OCI}.{kind}", "digest": digest, "size": size}


def _manifest(config: bytes, layers: list[dict[str, Any]]) -> bytes:
    described = _descriptor("config.v1+json", _digest(config), len(config))
    kind = f"{_OCI}.manifest.v1+json"
    return json.dumps({"schemaVersion": 2, "mediaType": kind, "config": described, "layers": layers}).encode()


def _index(manifest: bytes, reference: str) -> bytes:
    described = _descriptor("manifest.v1+json", _digest(manifest), len(manifest))
    # The importer looks for a name in this annotation first, and takes it as it is.
    described["annotations"] = {"io.containerd.image.name": reference}
    return json.dumps({"schemaVersion": 2, "manifests": [described]}).encode()
