"""A cluster elsewhere: its images go through a registry."""

import hashlib
import json
import uuid
from pathlib import Path

import pytest

from devcluster import DevClusterError, ExternalCluster
from devcluster.build import binaries
from devcluster.images import buildah, write_scratch_image
from tests.integration.devcluster.registry import running_registry

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "far", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "sam", "user": {}}],
    "contexts": [{"name": "far", "context": {"cluster": "far", "user": "sam"}}],
}


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(binaries().folder), prepend=":")
    monkeypatch.setenv("MIZZEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "kubeconfig").write_text(json.dumps(KUBECONFIG))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))


def test_an_image_is_pushed_under_the_registrys_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"localhost/devcluster-test-{uuid.uuid4().hex}:7"
    program = tmp_path / "program"
    program.write_bytes(b"not run here")
    archive = write_scratch_image(name, {"program": program}, ["/program"], tmp_path / "image.tar")
    with running_registry() as registry:
        insecure = tmp_path / "registries.conf"
        insecure.write_text(f'[[registry]]\nlocation = "{registry.address}"\ninsecure = true\n')
        monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(insecure))
        cluster = ExternalCluster("far", f"{registry.address}/team")
        try:
            reference = cluster.load(str(archive))
            assert cluster.load(name) == reference  # now from buildah's storage
        finally:
            buildah("rmi", name)
    path = name.removeprefix("localhost/")
    assert reference == f"{registry.address}/team/{path}"
    manifest = json.loads(registry.manifests[f"team/{path}"])
    digests = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
    for digest in digests:
        assert f"sha256:{hashlib.sha256(registry.blobs[digest]).hexdigest()}" == digest


def test_an_unknown_context_is_an_error_that_says_where_to_look() -> None:
    with pytest.raises(DevClusterError, match=r"the context 'near' cannot be read(.|\n)*kubectl config get-contexts"):
        ExternalCluster("near", "registry.example")


def test_an_image_that_nobody_has_is_an_error() -> None:
    with pytest.raises(DevClusterError, match="there is no image 'localhost/nothing:1' on this machine"):
        ExternalCluster("far", "registry.example").load("localhost/nothing:1")
