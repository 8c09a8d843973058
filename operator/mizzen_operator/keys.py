"""The key of one AgentDeployment: what is queued, reconciled and logged."""

from typing import NamedTuple


class Key(NamedTuple):
    """Names one AgentDeployment."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Give `namespace/name`."""
        return f"{self.namespace}/{self.name}"
