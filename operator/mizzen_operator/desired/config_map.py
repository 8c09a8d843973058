"""The rendered configuration: one immutable ConfigMap for each revision.

A pod mounts the ConfigMap of its own revision only, so that an old pod that is restarted in the middle of a rollout
comes back with the old configuration. Beside what the runtime reads, it keeps the pods' template: see `revision`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.names import LABEL_REVISION
from mizzen_api.problems import Problem
from mizzen_operator.desired.manifest import Manifest, metadata

if TYPE_CHECKING:
    from mizzen_operator.desired.revision import Revision

SPEC_HASH_KEY = "spec-hash"
"""Key of the ConfigMap that holds the hash of the spec that it was rendered from; it is not mounted."""
POD_TEMPLATE_KEY = "pod-template.json"
"""Key of the ConfigMap that holds the pods' template; it is not mounted."""
MAX_DATA_BYTES = 1024 * 1024
"""What the API server lets a ConfigMap's data be."""


def config_map_name(agent_name: str, revision: str) -> str:
    """Give the name of a revision's ConfigMap."""
    return f"{agent_name}-{revision}"


def build_config_map(agent: AgentDeployment, revision: "Revision") -> Manifest:
    """Give the ConfigMap of a revision."""
    name = config_map_name(agent.metadata.name, revision.name)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(agent, name, **{LABEL_REVISION: revision.name}),
        "immutable": True,
        "data": dict(revision.data),
    }


def size_problem(data: Mapping[str, str]) -> Problem | None:
    """Say whether a revision is too large for a ConfigMap."""
    size = sum(len(text.encode()) for text in data.values())
    if size <= MAX_DATA_BYTES:
        return None
    return Problem(
        field="spec.agent",
        message=f"it renders to {size} bytes, and a ConfigMap holds {MAX_DATA_BYTES}",
        remedy="shorten the instructions, the schema or the capabilities",
    )
