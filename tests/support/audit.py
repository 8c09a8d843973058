"""What an API server's audit log says: who did what, and by what right."""

from datetime import datetime
from typing import Any

from devcluster.audit import audit_events, full_logs
from devcluster.components import AUDIT_LOGS_KEPT
from devcluster.paths import ClusterPaths

Event = dict[str, Any]


def events_since(paths: ClusterPaths, start: datetime) -> list[Event]:
    """Give every request since a point in time that a cluster has answered, a watch once it is begun.

    Raises:
        AssertionError: Some of them are lost: there were more full files than are kept.
    """
    events = list(audit_events(paths))
    lost = len(full_logs(paths)) >= AUDIT_LOGS_KEPT and time_of(events[0]) >= start
    assert not lost, f"what is kept of {paths.audit_log} begins at {time_of(events[0])} only, after {start}"
    return [event for event in events if time_of(event) >= start]


def time_of(event: Event) -> datetime:
    """Give when a request came in."""
    return datetime.fromisoformat(event["requestReceivedTimestamp"])
