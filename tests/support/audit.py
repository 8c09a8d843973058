"""What an API server's audit log says: who did what, and by what right."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from devcluster.components import AUDIT_LOGS_KEPT

Event = dict[str, Any]


@dataclass(frozen=True)
class Audit:
    """A cluster's whole audit log, with the files that were full and are kept."""

    path: Path
    """The file that is being written."""

    def since(self, start: datetime) -> list[Event]:
        """Give every request since a point in time that was answered, a watch once it is begun.

        Raises:
            AssertionError: Some of them are lost: there were more files than are kept.
        """
        events = list(self._events())
        lost = len(self._full()) >= AUDIT_LOGS_KEPT and time_of(events[0]) >= start
        assert not lost, f"what is kept of {self.path} begins at {time_of(events[0])} only, after {start}"
        return [event for event in events if time_of(event) >= start]

    def _full(self) -> list[Path]:
        """Give the files that were full, in the order of their times, which are in their names."""
        return sorted(self.path.parent.glob(f"{self.path.stem}-*{self.path.suffix}"))

    def _events(self) -> Iterator[Event]:
        for path in (*self._full(), self.path):
            with path.open() as lines:
                yield from (json.loads(line) for line in lines if line.endswith("}\n"))


def time_of(event: Event) -> datetime:
    """Give when a request came in."""
    return datetime.fromisoformat(event["requestReceivedTimestamp"])
