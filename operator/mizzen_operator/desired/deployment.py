"""The Deployment of an agent."""

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_operator.desired.manifest import Manifest, metadata, selector_labels

REVISION_HISTORY_LIMIT = 3
"""Old ReplicaSets that are kept, and with each of them the ConfigMap of its revision."""

MIN_READY_SECONDS = 1
"""How long a pod must have been ready before an old one goes for it, and the agent is said to be Ready.

In this time the nodes learn of it. Where a Service has no other pod, a client that comes meanwhile is refused; or,
since kube-proxy takes its refusal away some milliseconds before it puts the pod in, gets no answer until it gives up.
"""


def build_deployment(agent: AgentDeployment, pod_template: Manifest, replicas: int) -> Manifest:
    """Give the Deployment that runs `pod_template` in so many pods.

    No old pod goes before a new one is ready, so that a revision that cannot start never takes the old one down.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(agent, agent.metadata.name),
        "spec": {
            "minReadySeconds": MIN_READY_SECONDS,
            "paused": False,
            "replicas": replicas,
            "revisionHistoryLimit": REVISION_HISTORY_LIMIT,
            "selector": {"matchLabels": selector_labels(agent.metadata.name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
            "template": pod_template,
        },
    }
