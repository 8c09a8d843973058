"""Image archives: written without a builder, read for their name and content."""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from devcluster.errors import DevClusterError
from devcluster.external import ExternalCluster
from devcluster.images import find, write_scratch_image


def scratch(folder: Path, content: bytes) -> Path:
    program = folder / "program"
    program.write_bytes(content)
    return write_scratch_image("localhost/app:1", {"app": program}, ["/app"], folder / "app.tar")


def test_the_same_content_is_the_same_image(tmp_path: Path) -> None:
    first = find(str(scratch(tmp_path, b"one")))
    again = find(str(scratch(tmp_path, b"one")))
    other = find(str(scratch(tmp_path, b"two")))
    assert first == again
    assert first.reference == other.reference == "localhost/app:1"
    assert first.identity != other.identity


def test_a_layers_digest_is_what_the_configuration_says(tmp_path: Path) -> None:
    with tarfile.open(scratch(tmp_path, b"program")) as archive:
        members = {name: archive.extractfile(name) for name in archive.getnames()}
        content = {name: file.read() for name, file in members.items() if file}
    (entry,) = json.loads(content["manifest.json"])
    config = json.loads(content[entry["Config"]])
    layers = [hashlib.sha256(content[layer]).hexdigest() for layer in entry["Layers"]]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{layer}" for layer in layers]
    assert entry["Config"] == f"{hashlib.sha256(content[entry['Config']]).hexdigest()}.json"
    assert config["config"]["Entrypoint"] == ["/app"]


@pytest.mark.parametrize(
    ("annotations", "reference"),
    [
        ({"org.opencontainers.image.ref.name": "localhost/app:2"}, "localhost/app:2"),
        (
            {"io.containerd.image.name": "localhost/app:3", "org.opencontainers.image.ref.name": "3"},
            "localhost/app:3",
        ),
    ],
)
def test_an_oci_archive_is_named_by_its_annotation(tmp_path: Path, annotations: dict[str, str], reference: str) -> None:
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"manifests": [{"digest": "sha256:abc", "annotations": annotations}]}))
    with tarfile.open(tmp_path / "oci.tar", "w") as archive:
        archive.add(index, "index.json")
    found = find(str(tmp_path / "oci.tar"))
    assert (found.reference, found.identity) == (reference, "abc")


def test_an_archive_without_a_name_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "no.tar", "w") as archive:
        archive.add(__file__, "content.py")
    with pytest.raises(DevClusterError, match="is no image archive that names its image"):
        find(str(tmp_path / "no.tar"))


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    with pytest.raises(DevClusterError, match="is no image archive"):
        find(str(tmp_path / "text"))


def test_a_missing_archive_is_not_looked_for_in_the_storage() -> None:
    with pytest.raises(DevClusterError, match=r"there is no image archive \./missing\.tar"):
        find("./missing.tar")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("localhost/mizzen-runtime:abc", "registry.example/team/mizzen-runtime:abc"),
        ("mizzen-runtime:abc", "registry.example/team/mizzen-runtime:abc"),
        ("ghcr.io/acme/agent:1", "registry.example/team/acme/agent:1"),
        ("localhost:5000/agent:1", "registry.example/team/agent:1"),
        ("acme/agent:1", "registry.example/team/acme/agent:1"),
    ],
)
def test_an_image_keeps_its_path_in_another_registry(reference: str, expected: str) -> None:
    cluster = ExternalCluster.__new__(ExternalCluster)
    cluster.registry = "registry.example/team"
    assert cluster.destination(reference) == expected
