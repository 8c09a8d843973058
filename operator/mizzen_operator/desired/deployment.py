"""The Deployment of an agent."""

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_operator.desired.manifest import Manifest, metadata, selector_labels

REVISION_HISTORY_LIMIT = 3
"""Old ReplicaSets that are kept, and with each of them the ConfigMap of its revision."""


def build_deployment(agent: AgentDeployment, pod_template: Manifest, replicas: int) -> Manifest:
    """Give the Deployment that runs `pod_template` in so many pods.

    No old pod goes before a new one is ready, so that a revision that cannot start never takes the old one down.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(agent, agent.metadata.name),
        "spec": {
            "paused": False,
            "replicas": replicas,
            "revisionHistoryLimit": REVISION_HISTORY_LIMIT,
            "selector": {"matchLabels": selector_labels(agent.metadata.name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
            "template": pod_template,
        },
    }
