"""Which processes belong to a node, seen from the host."""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from devcluster.errors import DevClusterError
from devcluster.shell import wait_until

_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process that is not mistaken for a later one with the same number.

    Attributes:
        pid: its number.
        started: when, in clock ticks since boot.
    """

    pid: int
    started: int

    @classmethod
    def find(cls, pid: int) -> "Process | None":
        """Identify a running process by its number."""
        started = _start_time(pid)
        return None if started is None else cls(pid, started)

    def alive(self) -> bool:
        """Whether it still runs; one that has ended and waits for its parent does not."""
        return _start_time(self.pid) == self.started

    def kill(self) -> None:
        """End it at once, if it still runs."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


@dataclass(frozen=True)
class NodeProcess:
    """The two processes that hold a node.

    Attributes:
        holder: `unshare`, which takes its only child along when it ends.
        first: that child, process 1 of the node's process namespace. When it ends, the kernel ends every other process
            in there, the pods' too, and only then lets it go.
    """

    holder: Process
    first: Process

    @classmethod
    def find(cls, holder_pid: int) -> "NodeProcess | None":
        """Identify a node by its holder; None until its namespaces are made, or once it has ended."""
        holder = Process.find(holder_pid)
        children = [pid for pid, parent in _parents().items() if parent == holder_pid]
        first = Process.find(children[0]) if children else None
        if holder is None or first is None or _process_namespace(first.pid) in {None, _process_namespace(os.getpid())}:
            return None
        return cls(holder, first)

    def alive(self) -> bool:
        """Whether the node runs."""
        return self.holder.alive() and self.first.alive()

    def members(self) -> list[int]:
        """List every process of the node, the pods' own included."""
        parents, found = _parents(), {self.first.pid} if self.alive() else set()
        size = 0
        while len(found) > size:
            size = len(found)
            found |= {pid for pid, parent in parents.items() if parent in found}
        return sorted(found)

    def kill(self) -> None:
        """End the node and wait until none of its processes is left.

        Raises:
            DevClusterError: some remain after 20 s.
        """
        self.holder.kill()
        self.first.kill()
        if not wait_until(lambda: not self.holder.alive() and not self.first.alive(), seconds=20, interval=0.02):
            raise DevClusterError(
                f"process {self.first.pid} of the cluster does not end", "see `dmesg`: does a disk not answer?"
            )


def memory_bytes(pids: list[int]) -> int:
    """Sum the processes' memory, with what they share counted once (the kernel's proportional set size)."""
    return sum(_proportional_size(pid) for pid in pids)


def _proportional_size(pid: int) -> int:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _parents() -> dict[int, int]:
    """Map every process of the machine to its parent."""
    found = {int(entry.name): _stat(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit()}
    return {pid: int(fields[1]) for pid, fields in found.items() if fields}


def _stat(pid: int) -> list[str]:
    """Give the fields of /proc/PID/stat from the third on; the second, the name, may hold spaces."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _start_time(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def _process_namespace(pid: int) -> str | None:
    try:
        return str((_PROC / str(pid) / "ns" / "pid").readlink())
    except OSError:
        return None
