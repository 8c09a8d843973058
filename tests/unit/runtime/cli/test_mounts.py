"""Folders as kubelet makes them."""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.contract import CONFIG_DIRECTORY, LIVE_DIRECTORY
from mizzen_api.rendering import runtime_config
from mizzen_operator.desired.volumes import volumes_of
from mizzen_runtime.cli.mounts import Mount, lay_out, mounts_of, temporary_root
from mizzen_runtime.cli.objects import Objects
from mizzen_runtime.mounted_files import state_of
from tests.unit.runtime.cli.documents import objects_in

AGENT = AgentDeployment.model_validate(
    {
        "metadata": {"name": "triage", "namespace": "support"},
        "spec": {
            "agent": {"capabilities": [{"MCP": {"url": "http://x", "authorization_token": {"secret": "crm"}}}]},
            "models": [
                {"model": "vllm:a"},
                {"model": "vllm:b", "apiKey": {"secretKeyRef": {"name": "llm", "key": "token"}}},
            ],
            "secrets": [{"name": "crm", "secretKeyRef": {"name": "crm-token", "key": "t"}}],
            "services": [
                {
                    "name": "database",
                    "interface": "DatabaseService",
                    "implementation": "postgres",
                    "configMapRef": {"name": "db"},
                    "secretRef": {"name": "db", "keys": [{"key": "pw", "field": "password"}, {"key": "user"}]},
                },
                {
                    "name": "cache",
                    "interface": "CacheService",
                    "implementation": "redis",
                    "secretRef": {"name": "redis"},
                },
            ],
        },
    }
)


def of_volume(source: Mapping[str, Any]) -> tuple[str, str, dict[str, str] | None]:
    """Give kind, name and the keys by file of what a pod's volume mounts."""
    kind, inner = ("Secret", source["secret"]) if "secret" in source else ("ConfigMap", source["configMap"])
    items = {item["path"]: item["key"] for item in inner["items"]} if "items" in inner else None
    return kind, inner.get("secretName") or inner["name"], items


def test_what_is_mounted_is_what_the_operator_mounts_into_a_pod() -> None:
    in_a_pod = {
        volume.path: of_volume(volume.source)
        for volume in volumes_of(AGENT, "r")
        if "emptyDir" not in volume.source and volume.path not in {CONFIG_DIRECTORY, LIVE_DIRECTORY}
    }
    here = {
        str(mount.folder): (mount.kind, mount.name, dict(mount.items) if mount.items is not None else None)
        for mount in mounts_of(runtime_config(AGENT, "r"))
    }
    assert here == in_a_pod


def test_everything_is_below_the_root_that_is_given() -> None:
    root = "/home/me/x"
    folders = [str(mount.folder) for mount in mounts_of(runtime_config(AGENT, "r", root=root))]
    in_a_pod = [str(mount.folder) for mount in mounts_of(runtime_config(AGENT, "r"))]
    assert folders == [f"{root}{folder.removeprefix('/etc/mizzen')}" for folder in in_a_pod]


def secret(**values: str) -> Objects:
    data = "".join(f"  {key}: {value!r}\n" for key, value in values.items())
    return objects_in(f"apiVersion: v1\nkind: Secret\nmetadata: {{name: db}}\nstringData:\n{data}")[0]


def files_in(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith("..")}


def test_a_change_is_one_swap_and_what_is_gone_is_gone(tmp_path: Path) -> None:
    mounts = [Mount("Secret", "db", tmp_path / "db", None)]
    assert lay_out(mounts, secret(user="me", password="old"), "default") == mounts
    assert files_in(tmp_path / "db") == {"user": "me", "password": "old"}
    before = state_of(tmp_path / "db")
    target = (tmp_path / "db" / "..data").readlink()

    assert lay_out(mounts, secret(user="me", password="old"), "default") == []
    assert state_of(tmp_path / "db") == before

    assert lay_out(mounts, secret(password="new", host="h"), "default") == mounts
    assert files_in(tmp_path / "db") == {"password": "new", "host": "h"}
    assert state_of(tmp_path / "db") != before
    assert (tmp_path / "db" / "password").readlink() == Path("..data/password")
    assert (tmp_path / "db" / "..data").readlink() != target
    assert not (tmp_path / "db" / target).exists()


def test_single_keys_are_mounted_under_the_names_of_their_fields(tmp_path: Path) -> None:
    mount = Mount("Secret", "db", tmp_path / "db", {"password": "pw", "host": "not-there"})
    lay_out([mount], secret(pw="x", other="y"), "default")
    assert files_in(tmp_path / "db") == {"password": "x"}


def test_what_no_file_has_is_an_empty_folder_until_it_comes(tmp_path: Path) -> None:
    mount = Mount("Secret", "db", tmp_path / "db", None)
    lay_out([mount], Objects((), {}), "default")
    assert files_in(tmp_path / "db") == {}
    lay_out([mount], secret(a="1"), "another")
    assert files_in(tmp_path / "db") == {}
    lay_out([mount], secret(a="1"), "default")
    assert files_in(tmp_path / "db") == {"a": "1"}


def test_nobody_else_may_read_them_and_they_do_not_stay() -> None:
    with temporary_root() as root:
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        lay_out([Mount("Secret", "db", root / "db", None)], secret(a="1"), "default")
    assert not root.exists()
