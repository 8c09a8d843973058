"""Mounted ConfigMaps and Secrets, changed as kubelet changes them."""

import time
from pathlib import Path


def mount(folder: Path, **files: str) -> None:
    """Put these files, and no others, into the folder of a mounted object, by a link that is swapped.

    Args:
        folder: Where the object is mounted; made unless it is there.
        files: Contents by key.
    """
    folder.mkdir(exist_ok=True)
    data = folder / f"..{time.time_ns()}"
    data.mkdir()
    for name, content in files.items():
        (data / name).write_text(content)
    (folder / "..data_tmp").symlink_to(data.name)
    (folder / "..data_tmp").rename(folder / "..data")
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    for path in folder.iterdir():
        if not path.name.startswith("..") and path.name not in files:
            path.unlink()
