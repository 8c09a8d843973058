"""Who has which slot, across every user and every state folder of the machine."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from devcluster.errors import DevClusterError
from devcluster.network import host_routes
from devcluster.paths import RUN_ROOT, ClusterPaths, state_root
from devcluster.progress import Report
from devcluster.slots import choose_slot


@contextmanager
def locked(name: str, report: Report) -> Iterator[None]:
    """Hold what is done to a cluster of that name against other processes.

    Raises:
        DevClusterError: this user may not; a node's namespaces need root.
    """
    if os.geteuid() != 0:
        raise DevClusterError(
            "devcluster makes network and mount namespaces, which needs root", "run the command as root: sudo -E ..."
        )
    RUN_ROOT.mkdir(parents=True, exist_ok=True)
    path = RUN_ROOT / f".{name}.lock"
    lock = _lock(path, lambda: report(f"another command works on the cluster {name!r}: waiting for it"))
    try:
        yield
    finally:
        if not (RUN_ROOT / name).exists():
            path.unlink()
        os.close(lock)


def _lock(path: Path, before_waiting: Callable[[], None]) -> int:
    """Lock a file, which whoever had it before may have removed in the end, and give its descriptor."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            before_waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists() and path.stat().st_ino == os.fstat(lock).st_ino:
            return lock
        os.close(lock)


def claim(paths: ClusterPaths, wanted: int | None) -> int:
    """Take a slot for a cluster: the wanted one, which its data was made with, or the lowest that is free.

    Raises:
        DevClusterError: another state folder has a running cluster of this name, or the slot; or none is free.
    """
    RUN_ROOT.mkdir(parents=True, exist_ok=True)
    with (RUN_ROOT / ".slots.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        others = {claimed: slot for claimed, slot in _claims().items() if claimed != paths.state}
        for state, slot in others.items():
            if state.name == paths.name or slot == wanted:
                raise DevClusterError(
                    f"the cluster of {state} has the same name or the same addresses",
                    f"end that one: MIZZEN_STATE={state.parent.parent} python -m devcluster down {state.name}",
                )
        slot = wanted if wanted is not None else choose_slot({*others.values(), *_stored()}, host_routes())
        paths.run.mkdir(mode=0o700, exist_ok=True)
        paths.claim.write_text(json.dumps({"state": str(paths.state), "slot": slot}))
        return slot


def owns(paths: ClusterPaths) -> bool:
    """Whether what is in /run under this name belongs to this cluster, not to another state folder's."""
    try:
        return Path(json.loads(paths.claim.read_text())["state"]) == paths.state
    except (FileNotFoundError, ValueError, KeyError):
        return False


def release(paths: ClusterPaths) -> None:
    """Give up what the cluster holds in /run."""
    if owns(paths):
        shutil.rmtree(paths.run)


def _claims() -> dict[Path, int]:
    """Map state folders to slots; what a removed state folder has left is not counted."""
    found = {}
    for file in RUN_ROOT.glob("*/claim.json"):
        entry = json.loads(file.read_text())
        if Path(entry["state"]).exists():
            found[Path(entry["state"])] = int(entry["slot"])
    return found


def _stored() -> set[int]:
    """Give the slots of this user's clusters, running or not: a stopped one wants its addresses again."""
    return {int(json.loads(file.read_text())["slot"]) for file in state_root().glob("*/cluster.json")}
