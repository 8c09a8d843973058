"""The control group below which kubelet puts the pods, in every hierarchy of the machine."""

import os
from pathlib import Path

from devcluster.components import cgroup_name
from devcluster.errors import DevClusterError
from devcluster.shell import wait_until

_CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")
_WEIGHT_FILES = {"cpu.shares": 1024, "cpu.weight": 100}
"""What one process of the machine weighs, by the file of version 1 and of version 2."""


def hierarchies() -> list[Path]:
    """List where control groups are mounted: one folder per controller (version 1), or one in all (version 2)."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted({Path(mount[1]) for mount in mounts if mount[2] in {"cgroup", "cgroup2"}})


def create(cluster: str) -> None:
    """Make the cluster's group; kubelet needs it to exist, with processors and memory nodes to hand on."""
    for root in hierarchies():
        if (root / "cgroup.subtree_control").exists():
            _hand_down(root)
        group = root / cgroup_name(cluster)
        group.mkdir(exist_ok=True)
        for name in _CPUSET_FILES:
            # In version 1 a new group's set is empty, and no process can join it.
            if (group / name).exists() and not (group / name).read_text().strip():
                (group / name).write_text((root / name).read_text())
        # All pods together would else have what a single process of the machine has.
        for name, weight in _WEIGHT_FILES.items():
            if (group / name).exists():
                (group / name).write_text(str(weight * (os.cpu_count() or 1)))
        if (group / "cgroup.subtree_control").exists():
            _hand_down(group)


def _hand_down(group: Path) -> None:
    """Let the children of a version 2 group have its controllers."""
    for controller in (group / "cgroup.controllers").read_text().split():
        try:
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError:  # a controller of the root only
            continue


def remove(cluster: str) -> None:
    """Remove the cluster's group with all below it. Its processes must have ended.

    Raises:
        DevClusterError: a group is still in use after 10 s.
    """
    if not wait_until(lambda: not [root for root in hierarchies() if not _removed(root, cluster)], seconds=10):
        raise DevClusterError(
            f"the control group {cgroup_name(cluster)} is still in use",
            f"see which process is in it: cat /sys/fs/cgroup/*/{cgroup_name(cluster)}/cgroup.procs",
        )


def _removed(root: Path, cluster: str) -> bool:
    group = root / cgroup_name(cluster)
    if not group.exists():
        return True
    folders = [folder for folder in group.rglob("*") if folder.is_dir()]
    try:
        for folder in [*sorted(folders, key=lambda path: len(path.parts), reverse=True), group]:
            folder.rmdir()
    except OSError:  # a process that has just ended may hold it for a moment
        return False
    return True
