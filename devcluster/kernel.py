"""A limit of the kernel that clusters side by side reach."""

from pathlib import Path

from devcluster.progress import Report

INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
WANTED_INSTANCES = 1024
"""A cluster with a few pods takes about 20; many distributions allow 128 to all processes of a user."""


def raise_inotify_limit(report: Report, limit: Path = INOTIFY_INSTANCES) -> None:
    """Let more inotify instances be made where few are allowed: without one kubelet does not start.

    It is the one setting of the machine that is touched. It lasts until the next boot and is never lowered.
    """
    allowed = int(limit.read_text())
    if allowed >= WANTED_INSTANCES:
        return
    command = f"sysctl fs.inotify.max_user_instances={WANTED_INSTANCES}"
    try:
        limit.write_text(f"{WANTED_INSTANCES}\n")
    except OSError as error:
        report(f"  {allowed} inotify instances are allowed, too few for several clusters; {command}: {error.strerror}")
    else:
        report(f"  {command} (it was {allowed})")
