"""Changes files as kubelet does."""

import time
from pathlib import Path


def mount(folder: Path, **files: str) -> None:
    """Change a mounted object: a new folder, then a link to it that is swapped; a file that is not given goes."""
    folder.mkdir(exist_ok=True)
    data = folder / f"..{time.time_ns()}"
    data.mkdir()
    for name, content in files.items():
        (data / name).write_text(content)
    (folder / "..new").symlink_to(data.name)
    (folder / "..new").rename(folder / "..data")
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    for path in folder.iterdir():
        if not path.name.startswith("..") and path.name not in files:
            path.unlink()
