"""The API server's audit log, one JSON event for each request: the file that is written, and those that were full."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devcluster.paths import ClusterPaths


def full_logs(paths: ClusterPaths) -> list[Path]:
    """Give the files that were full and are kept, the oldest first: their times are in their names."""
    log = paths.audit_log
    return sorted(log.parent.glob(f"{log.stem}-*{log.suffix}"))


def audit_events(paths: ClusterPaths) -> Iterator[dict[str, Any]]:
    """Give every event that is kept, in the order in which they were written."""
    for path in (*full_logs(paths), paths.audit_log):
        with path.open() as lines:
            # The last line may not be whole yet.
            yield from (json.loads(line) for line in lines if line.endswith("}\n"))
