"""What is written down about a running or ended node, and who reads it back."""

import json
import time
from dataclasses import asdict, dataclass, replace

from devcluster import claims
from devcluster.paths import ClusterPaths
from devcluster.processes import NodeProcess, Process


@dataclass(frozen=True)
class NodeRecord:
    """A start of the node.

    Attributes:
        process: holds the node.
        started_at: when, in seconds since the epoch.
        complete: whether `up` has seen all of it ready.
    """

    process: NodeProcess
    started_at: float
    complete: bool = False


def new_record(process: NodeProcess) -> NodeRecord:
    """Describe a node that starts now."""
    return NodeRecord(process, time.time())


def save_record(paths: ClusterPaths, record: NodeRecord) -> None:
    """Write the record, whole or not at all."""
    draft = paths.node.with_suffix(".new")
    draft.write_text(json.dumps(asdict(record), indent=2) + "\n")
    draft.replace(paths.node)


def load_record(paths: ClusterPaths) -> NodeRecord | None:
    """Read the record of the last start, whose process may have ended; None if there is none to read."""
    if not claims.owns(paths):
        return None
    try:
        entry = json.loads(paths.node.read_text())
        holder, first = (Process(**entry["process"][part]) for part in ("holder", "first"))
        return NodeRecord(NodeProcess(holder, first), entry["started_at"], entry["complete"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def running(paths: ClusterPaths) -> NodeRecord | None:
    """Read the record of the node that runs; None if none does."""
    record = load_record(paths)
    return record if record and record.process.alive() else None


def mark_complete(paths: ClusterPaths, record: NodeRecord) -> None:
    """Note that everything has been ready once: the next `up` has nothing to do."""
    save_record(paths, replace(record, complete=True))


def failure_text(paths: ClusterPaths) -> str | None:
    """Say why the node ended by itself, with the last log lines; None if it left no word."""
    try:
        entry = json.loads(paths.failure.read_text())
    except (FileNotFoundError, ValueError):
        return None
    lines = [f"{entry['component']} {entry['reason']}", *(f"    {line[:300]}" for line in entry["tail"])]
    return "\n".join(lines)
