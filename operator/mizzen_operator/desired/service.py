"""The Service in front of an agent's pods."""

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.names import SERVICE_PORT, TRAFFIC_PORT_NAME
from mizzen_operator.desired.manifest import Manifest, metadata, selector_labels


def build_service(agent: AgentDeployment) -> Manifest:
    """Give the Service: port 80 to the runtime's traffic port, pods of every revision alike."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(agent, agent.metadata.name),
        "spec": {
            "type": "ClusterIP",
            "selector": selector_labels(agent.metadata.name),
            "ports": [
                {
                    "name": TRAFFIC_PORT_NAME,
                    "port": SERVICE_PORT,
                    "targetPort": TRAFFIC_PORT_NAME,
                    "protocol": "TCP",
                    "appProtocol": "http",
                }
            ],
        },
    }


def service_url(agent: AgentDeployment) -> str:
    """Give the agent's address inside the cluster."""
    return f"http://{agent.metadata.name}.{agent.metadata.namespace}.svc"
