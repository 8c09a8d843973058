"""What of an image is sent to a node."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from devcluster.images import find, write_scratch_image
from devcluster.transfer import send

REFERENCE = "localhost/app:1"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    program = tmp_path / "program"
    program.write_bytes(b"a program")
    return write_scratch_image(REFERENCE, {"app": program}, ["/app"], tmp_path / "app.tar")


def sent(archive: Path, present: list[str]) -> dict[str, bytes]:
    target = io.BytesIO()
    send(archive, REFERENCE, present, target)
    target.seek(0)
    with tarfile.open(fileobj=target) as result:
        files = {name: result.extractfile(name) for name in result.getnames()}
        return {name: file.read() for name, file in files.items() if file}


def test_everything_that_is_sent_is_what_its_digest_says(archive: Path) -> None:
    files = sent(archive, [])
    blobs = {name.rpartition("/")[2]: content for name, content in files.items() if name.startswith("blobs/sha256/")}
    assert len(blobs) == 3  # manifest, configuration, layer
    assert all(hashlib.sha256(content).hexdigest() == digest for digest, content in blobs.items())
    (described,) = json.loads(files["index.json"])["manifests"]
    assert described["annotations"] == {"io.containerd.image.name": REFERENCE}
    manifest = json.loads(blobs[described["digest"].removeprefix("sha256:")])
    for part in [described, manifest["config"], *manifest["layers"]]:
        assert len(blobs[part["digest"].removeprefix("sha256:")]) == part["size"]


def test_a_layer_that_the_node_has_is_left_out_and_still_named(archive: Path) -> None:
    whole = sent(archive, [])
    manifests = [
        json.loads(content) for content in whole.values() if content.startswith(b'{"schemaVersion": 2, "media')
    ]
    (layer,) = manifests[0]["layers"]
    partial = sent(archive, ["sha256:0", layer["digest"]])
    assert whole.keys() - partial.keys() == {f"blobs/{layer['digest'].replace(':', '/')}"}
    assert all(whole[name] == content for name, content in partial.items())


def test_what_is_sent_is_the_image_of_the_archive(archive: Path, tmp_path: Path) -> None:
    target = tmp_path / "sent.tar"
    with target.open("wb") as file:
        send(archive, REFERENCE, [], file)
    assert find(str(target)).reference == REFERENCE
    manifest = json.loads(sent(archive, [])[f"blobs/sha256/{find(str(target)).identity}"])
    with tarfile.open(archive) as original:
        assert f"{manifest['config']['digest'].removeprefix('sha256:')}.json" in original.getnames()


def test_an_archive_of_another_kind_is_sent_as_it_is(tmp_path: Path) -> None:
    index = tmp_path / "index.json"
    index.write_text("{}")
    with tarfile.open(tmp_path / "oci.tar", "w") as oci:
        oci.add(index, "index.json")
    assert sent(tmp_path / "oci.tar", []) == {"index.json": b"{}"}
