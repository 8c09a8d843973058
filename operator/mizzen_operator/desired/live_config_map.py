"""What changes in an agent's pods while its revision stays: a ConfigMap beside those of the revisions.

Every pod has its volume, and the object is there where the resource says something: to say it for the first time rolls
nothing either.
"""

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.contract import LIVE_FILE
from mizzen_api.rendering import live_settings
from mizzen_operator.desired.manifest import Manifest, metadata


def live_config_map_name(agent_name: str) -> str:
    """Give the name of the ConfigMap; no revision has one that is so short."""
    return f"{agent_name}-live"


def build_live_config_map(agent: AgentDeployment) -> Manifest | None:
    """Give the ConfigMap, or None if the resource says nothing that belongs there."""
    settings = live_settings(agent)
    if settings is None:
        return None
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(agent, live_config_map_name(agent.metadata.name)),
        "data": {LIVE_FILE: settings.model_dump_json()},
    }
