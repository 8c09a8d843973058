"""All objects of one AgentDeployment."""

from dataclasses import dataclass

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_operator.desired.config_map import build_config_map
from mizzen_operator.desired.deployment import build_deployment
from mizzen_operator.desired.live_config_map import build_live_config_map
from mizzen_operator.desired.manifest import Manifest
from mizzen_operator.desired.revision import Revision
from mizzen_operator.desired.service import build_service
from mizzen_operator.desired.service_account import build_service_account


@dataclass(frozen=True)
class Desired:
    """What must be there for one AgentDeployment."""

    revision: Revision
    """What runs in its pods."""
    replicas: int
    """How many pods there are to be."""
    children: tuple[Manifest, ...]
    """The objects, in the order in which they are applied: what a pod needs comes before the pods."""


def build_desired(agent: AgentDeployment, revision: Revision, replicas: int) -> Desired:
    """Build every object of an agent.

    Args:
        agent: The resource as the API server holds it.
        revision: What runs in its pods.
        replicas: How many pods there are to be.
    """
    children = (
        build_service_account(agent),
        build_config_map(agent, revision),
        build_live_config_map(agent),
        build_service(agent),
        build_deployment(agent, revision.pod_template, replicas),
    )
    return Desired(revision, replicas, tuple(child for child in children if child is not None))
