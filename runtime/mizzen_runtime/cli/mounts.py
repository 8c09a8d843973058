"""Lays ConfigMaps and Secrets out as folders, in the way in which kubelet mounts them.

A folder's files are links into `..data`, itself a link, which is swapped as a whole: so the runtime sees each change at
once and never half of it, here as in a pod.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mizzen_api.base import ApiModel
from mizzen_api.contract import ConfigMapSource, RuntimeConfig, SecretSource, SettingsSource
from mizzen_runtime.cli.objects import Objects

_DATA = "..data"


@dataclass(frozen=True)
class Mount:
    """One object and the folder that it is mounted in."""

    kind: str
    name: str
    folder: Path
    items: Mapping[str, str] | None
    """The object's keys by file; every key under its own name without it."""

    def contents(self, objects: Objects, namespace: str) -> dict[str, bytes]:
        """Give what each file holds. What is missing is left out, as kubelet does: the runtime says so."""
        found = objects.find(self.kind, namespace, self.name)
        values = found.values if found is not None else {}
        items = self.items if self.items is not None else {key: key for key in values}
        return {file: values[key] for file, key in items.items() if key in values}


def mounts_of(config: RuntimeConfig) -> Iterator[Mount]:
    """Give all that a configuration wants to find mounted."""
    for source in _sources_in(config):
        if isinstance(source, SettingsSource):
            yield Mount(source.kind, source.name, Path(source.path), source.keys)
        else:
            kind, path = "Secret" if isinstance(source, SecretSource) else "ConfigMap", Path(source.path)
            yield Mount(kind, source.name, path.parent, {path.name: source.key})


def _sources_in(value: object) -> Iterator[SecretSource | ConfigMapSource | SettingsSource]:
    if isinstance(value, SecretSource | ConfigMapSource | SettingsSource):
        yield value
    elif isinstance(value, ApiModel):
        for name in type(value).model_fields:
            yield from _sources_in(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _sources_in(item)


@contextlib.contextmanager
def temporary_root() -> Iterator[Path]:
    """Give a folder that nobody else may read, and that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mizzen-") as folder:
        yield Path(folder)


def lay_out(mounts: Iterable[Mount], objects: Objects, namespace: str) -> list[Mount]:
    """Bring every folder to what the objects hold.

    Returns:
        The mounts whose contents have changed.
    """
    return [mount for mount in mounts if write_folder(mount.folder, mount.contents(objects, namespace))]


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> bool:
    """Bring a folder to what it is to hold, by file; gives whether anything has changed."""
    folder.mkdir(parents=True, exist_ok=True)
    before = (folder / _DATA).resolve() if (folder / _DATA).exists() else None
    if before is not None and {path.name: path.read_bytes() for path in before.iterdir()} == contents:
        return False
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    for name, content in contents.items():
        (fresh / name).write_bytes(content)
    link = folder / "..data_tmp"
    link.symlink_to(fresh.name)
    link.replace(folder / _DATA)
    shown = {path.name for path in folder.iterdir() if not path.name.startswith("..")}
    for name in contents.keys() - shown:
        (folder / name).symlink_to(Path(_DATA) / name)
    for name in shown - contents.keys():
        (folder / name).unlink()
    if before is not None:
        shutil.rmtree(before)
    return True
