"""The rendered configuration: one immutable ConfigMap for each revision.

A pod mounts the ConfigMap of its own revision only, so that an old pod that is restarted in the middle of a rollout
comes back with the old configuration.
"""

from typing import Any

from mizzen_api.agentdeployment import AgentDeployment, ModelEndpoint
from mizzen_api.contract import CONFIG_FILE, RuntimeConfig, RuntimeModel, SecretSource, api_key_path
from mizzen_api.duration import seconds
from mizzen_api.names import LABEL_REVISION
from mizzen_api.problems import Problem
from mizzen_operator.desired.manifest import Manifest, metadata

MAX_DATA_BYTES = 1024 * 1024
"""What the API server lets a ConfigMap's data be."""


def config_map_name(agent_name: str, revision: str) -> str:
    """Give the name of a revision's ConfigMap."""
    return f"{agent_name}-{revision}"


def runtime_config(agent: AgentDeployment, revision: str) -> RuntimeConfig:
    """Render the configuration of a revision.

    Fields that have their default value are left out of the agent, so that a default which a later CRD writes into
    stored resources does not make a new revision of an agent that nobody changed.
    """
    return RuntimeConfig(
        namespace=agent.metadata.namespace,
        name=agent.metadata.name,
        revision=revision,
        agent=_agent(agent),
        entrypoint=agent.spec.entrypoint,
        models=tuple(_model(index, model) for index, model in enumerate(agent.spec.models or ())),
        secret_variables=_secret_variables(agent) if agent.spec.entrypoint else None,
    )


def build_config_map(agent: AgentDeployment, revision: str) -> Manifest:
    """Give the ConfigMap of a revision."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(agent, config_map_name(agent.metadata.name, revision), **{LABEL_REVISION: revision}),
        "immutable": True,
        "data": {CONFIG_FILE: runtime_config(agent, revision).model_dump_json(exclude_none=True)},
    }


def size_problem(config_map: Manifest) -> Problem | None:
    """Say whether the configuration is too large for a ConfigMap."""
    size = len(config_map["data"][CONFIG_FILE].encode())
    if size <= MAX_DATA_BYTES:
        return None
    return Problem(
        field="spec.agent",
        message=f"it renders to {size} bytes, and a ConfigMap holds {MAX_DATA_BYTES}",
        remedy="shorten the instructions, the schema or the capabilities",
    )


def _agent(agent: AgentDeployment) -> dict[str, Any] | None:
    return agent.spec.agent.model_dump(mode="json", exclude_defaults=True) if agent.spec.agent else None


def _secret_variables(agent: AgentDeployment) -> tuple[str, ...] | None:
    """Name the variables that come from Secrets; None rather than an empty list, which would be rendered."""
    names = (
        variable.name for variable in agent.spec.pod.env if variable.value_from and variable.value_from.secret_key_ref
    )
    return tuple(names) or None


def _model(index: int, endpoint: ModelEndpoint) -> RuntimeModel:
    key = endpoint.api_key.secret_key_ref if endpoint.api_key else None
    return RuntimeModel(
        model=endpoint.model,
        base_url=endpoint.base_url,
        api_key=SecretSource(name=key.name, key=key.key, path=api_key_path(index)) if key else None,
        request_timeout_seconds=seconds(endpoint.request_timeout) if endpoint.request_timeout else None,
    )
