"""The ServiceAccount of an agent's pods: an identity without rights, whose token is not mounted."""

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_operator.desired.manifest import Manifest, metadata


def service_account_name(agent: AgentDeployment) -> str:
    """Give the account that the pods run as: the user's own, or one named like the agent."""
    return agent.spec.pod.service_account_name or agent.metadata.name


def build_service_account(agent: AgentDeployment) -> Manifest | None:
    """Give the ServiceAccount, or None if the user brings one."""
    if agent.spec.pod.service_account_name is not None:
        return None
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(agent, agent.metadata.name),
        "automountServiceAccountToken": False,
    }
