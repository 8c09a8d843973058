"""What the API server's audit log says that the operator did."""

import json
from dataclasses import dataclass
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

    def requests(self, *namespaces: str) -> list[dict[str, Any]]:
        """Give the operator's requests about these namespaces that the API server has answered."""
        return [event for event in self.everybodys(*namespaces) if is_operators(event)]

    def writes(self, namespace: str) -> list[str]:
        """Give the operator's writes in a namespace as `verb resource/name`."""
        return [
            f"{event['verb']} {resource(event)}/{event['objectRef'].get('name', '')}"
            for event in self.requests(namespace)
            if event["verb"] in WRITES
        ]


def is_operators(event: dict[str, Any]) -> bool:
    """Tell whether the operator made a request."""
    return str(event.get("userAgent", "")).startswith(f"{USER_AGENT} (")


def resource(event: dict[str, Any]) -> str:
    """Give the resource of a request as roles name it: `agentdeployments/status`."""
    reference = event["objectRef"]
    return "/".join(filter(None, [reference["resource"], reference.get("subresource")]))
