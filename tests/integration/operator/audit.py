"""What the API server's audit log says that the operator did."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mizzen_operator.cluster.connection import USER_AGENT

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class AuditLog:
    """The audit log of a cluster, from a point in time on."""

    path: Path
    start: int

    @classmethod
    def from_now(cls, path: Path) -> "AuditLog":
        """Look at what comes from now on."""
        return cls(path, path.stat().st_size)

    def everybodys(self, *namespaces: str) -> list[dict[str, Any]]:
        """Give all requests about these namespaces that the API server has answered."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            lines = file.read().decode().splitlines()
        events = [json.loads(line) for line in lines if line.endswith("}")]
        return [event for event in events if (event.get("objectRef") or {}).get("namespace") in namespaces]

    def requests(self, *namespaces: str, user_agent: str | None = None) -> list[dict[str, Any]]:
        """Give the requests about these namespaces that the API server has answered: the operators', or one's."""
        return [event for event in self.everybodys(*namespaces) if is_operators(event, user_agent)]

    def writes(self, namespace: str, user_agent: str | None = None) -> list[str]:
        """Give the operators' writes in a namespace, or those of one, as `verb resource/name`."""
        return [
            f"{event['verb']} {resource(event)}/{event['objectRef'].get('name', '')}"
            for event in self.requests(namespace, user_agent=user_agent)
            if event["verb"] in WRITES
        ]


def is_operators(event: dict[str, Any], user_agent: str | None = None) -> bool:
    """Tell whether an operator made a request, or one that is given."""
    sender = str(event.get("userAgent", ""))
    return sender == user_agent if user_agent is not None else sender.startswith(f"{USER_AGENT} (")


def time_of(event: dict[str, Any]) -> float:
    """Give when the API server got a request, in seconds since the epoch."""
    return datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()


def resource(event: dict[str, Any]) -> str:
    """Give the resource of a request as roles name it: `agentdeployments/status`."""
    reference = event["objectRef"]
    return "/".join(filter(None, [reference["resource"], reference.get("subresource")]))
