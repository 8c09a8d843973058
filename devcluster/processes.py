"""Which processes belong to a node, seen from the host."""

import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from devcluster.errors import DevClusterError
from devcluster.shell import wait_until

_PROC = Path("/proc")


@dataclass(frozen=True)
class NodeProcess:
    """The process whose end is the end of the node, and the process namespace that it holds.

    Attributes:
        pid: of `unshare`, which takes its only child along when it dies.
        started: in clock ticks since boot; tells the process from a later one with the same number.
        namespace: identifies the process namespace of everything in the node.
    """

    pid: int
    started: int
    namespace: str

    @classmethod
    def find(cls, pid: int) -> "NodeProcess | None":
        """Describe a process that has made its namespaces; None until it has, or once it is gone."""
        started = _start_time(pid)
        namespace = _namespace(pid, "pid_for_children")
        if started is None or namespace is None or namespace == _namespace(os.getpid(), "pid"):
            return None
        return cls(pid, started, namespace)

    def to_json(self) -> dict[str, object]:
        """Give the fields for a file."""
        return asdict(self)

    def alive(self) -> bool:
        """Whether it still runs."""
        return _start_time(self.pid) == self.started

    def members(self) -> list[int]:
        """List every process inside the node: daemons, shims and the pods' own (whose namespaces are below)."""
        inside = [pid for pid in _pids() if _namespace(pid, "pid") == self.namespace]
        return inside + [pid for pid in _pids() if pid not in inside and _is_below(pid, set(inside))]

    def kill(self) -> None:
        """End the node and wait until none of its processes is left.

        Raises:
            DevClusterError: some remain after 20 s.
        """
        targets = self.members()
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)
        for pid in targets:
            _kill(pid)
        if not wait_until(lambda: not self.alive() and not any(map(_runs, targets)) and not self.members(), seconds=20):
            left = ", ".join(str(pid) for pid in self.members())
            raise DevClusterError(f"processes {left} of the cluster do not end", "see `dmesg`: is a disk stuck?")


def memory_bytes(pids: list[int]) -> int:
    """Sum the processes' memory, with what they share counted once (the kernel's proportional set size)."""
    return sum(_proportional_size(pid) for pid in pids)


def _proportional_size(pid: int) -> int:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir(_PROC) if entry.isdigit()]


def _stat(pid: int) -> list[str]:
    """Give the fields of /proc/PID/stat from the third on; the second, the name, may hold spaces."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _start_time(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] != "Z" else None


def _runs(pid: int) -> bool:
    return _start_time(pid) is not None


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _is_below(pid: int, ancestors: set[int]) -> bool:
    while pid > 1:
        if pid in ancestors:
            return True
        pid = _parent(pid)
    return False


def _namespace(pid: int, kind: str) -> str | None:
    try:
        return os.readlink(_PROC / str(pid) / "ns" / kind)
    except OSError:
        return None


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
