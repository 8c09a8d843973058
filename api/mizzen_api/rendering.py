"""Renders the configuration that a runtime reads from the resource that a user wrote, for a pod and for a laptop."""

from collections.abc import Iterator
from typing import Any

from mizzen_api.agentdeployment import AgentDeployment, ModelEndpoint, NamedSecret
from mizzen_api.capabilities import PYTHON_TOOLS, argument_of
from mizzen_api.contract import (
    MOUNT_ROOT,
    ConfigMapSource,
    LiveSettings,
    RuntimeConfig,
    RuntimeModel,
    RuntimeSecret,
    RuntimeService,
    RuntimeTracing,
    SecretSource,
    SettingsSource,
    api_key_path,
    authorities_path,
    secret_path,
    settings_path,
)
from mizzen_api.duration import seconds
from mizzen_api.health import runtime_health
from mizzen_api.limits import Limits, runtime_limits
from mizzen_api.services import ServiceSpec


def runtime_config(agent: AgentDeployment, revision: str, root: str = MOUNT_ROOT) -> RuntimeConfig:
    """Render the configuration of a revision.

    Fields that have their default value are left out of the agent, so that a default which a later CRD writes into
    stored resources does not make a new revision of an agent that nobody changed.

    Args:
        agent: The resource.
        revision: Name of the revision.
        root: Folder below which what the resource refers to is mounted.
    """
    return RuntimeConfig(
        namespace=agent.metadata.namespace,
        name=agent.metadata.name,
        revision=revision,
        agent=_agent(agent),
        entrypoint=agent.spec.entrypoint,
        vars=agent.spec.vars,
        secrets=tuple(_secret(secret, root) for secret in agent.spec.secrets or ()) or None,
        services=tuple(_service(service, root) for service in agent.spec.services or ()) or None,
        models=tuple(_model(index, model, root) for index, model in enumerate(agent.spec.models or ())),
        health=runtime_health(agent.spec.health),
        limits=runtime_limits(agent.spec.limits) if (agent.spec.limits or Limits()) != Limits() else None,
        secret_variables=_secret_variables(agent) if _has_own_code(agent) else None,
        tracing=_tracing(agent),
    )


def live_settings(agent: AgentDeployment) -> LiveSettings | None:
    """Give what may change while a revision runs; None where the resource says nothing about it."""
    return LiveSettings(log_level=agent.spec.logging.level) if agent.spec.logging is not None else None


def _tracing(agent: AgentDeployment) -> RuntimeTracing | None:
    if agent.spec.monitoring is None:
        return None
    tracing = agent.spec.monitoring.tracing
    return RuntimeTracing(
        endpoint=tracing.endpoint, sampling_ratio=tracing.sampling_ratio, include_content=tracing.include_content
    )


def _agent(agent: AgentDeployment) -> dict[str, Any] | None:
    return agent.spec.agent.model_dump(mode="json", exclude_defaults=True) if agent.spec.agent else None


def _has_own_code(agent: AgentDeployment) -> bool:
    """Tell whether code of the user's own runs in the pods: as the agent, as tools, or as services."""
    spec = agent.spec
    named = [path for service in spec.services or () for path in (service.interface, service.implementation)]
    capabilities = spec.agent.capabilities if spec.agent is not None else ()
    tools = [tool for each in capabilities for tool in argument_of(each, PYTHON_TOOLS, "tools") or ()]
    return spec.entrypoint is not None or bool(tools) or any(":" in path for path in named)


def _secret_variables(agent: AgentDeployment) -> tuple[str, ...] | None:
    """Name the variables that come from Secrets; None rather than an empty list, which would be rendered."""
    names = (
        variable.name for variable in agent.spec.pod.env if variable.value_from and variable.value_from.secret_key_ref
    )
    return tuple(names) or None


def _secret(secret: NamedSecret, root: str) -> RuntimeSecret:
    reference = secret.secret_key_ref
    source = SecretSource(name=reference.name, key=reference.key, path=secret_path(secret.name, root))
    return RuntimeSecret(name=secret.name, source=source)


def _service(service: ServiceSpec, root: str) -> RuntimeService:
    return RuntimeService(
        name=service.name,
        interface=service.interface,
        implementation=service.implementation,
        settings=service.settings,
        sources=tuple(_sources(service, root)),
        required=service.required or "AtStart",
        scope=service.scope,
        breaker=service.breaker.rendered() if service.breaker is not None else None,
    )


def _sources(service: ServiceSpec, root: str) -> Iterator[SettingsSource]:
    if service.config_map_ref is not None:
        path = settings_path(service.name, "ConfigMap", root)
        yield SettingsSource(kind="ConfigMap", name=service.config_map_ref.name, path=path)
    if service.secret_ref is not None:
        listed = service.secret_ref.keys
        keys = {item.file: item.key for item in listed} if listed is not None else None
        path = settings_path(service.name, "Secret", root)
        yield SettingsSource(kind="Secret", name=service.secret_ref.name, path=path, keys=keys)


def _model(index: int, endpoint: ModelEndpoint, root: str) -> RuntimeModel:
    key = endpoint.api_key.secret_key_ref if endpoint.api_key else None
    bundle = endpoint.ca_bundle.config_map_key_ref if endpoint.ca_bundle else None
    return RuntimeModel(
        model=endpoint.model,
        base_url=endpoint.base_url,
        api_key=SecretSource(name=key.name, key=key.key, path=api_key_path(index, root)) if key else None,
        ca_bundle=(
            ConfigMapSource(name=bundle.name, key=bundle.key, path=authorities_path(index, root)) if bundle else None
        ),
        request_timeout_seconds=seconds(endpoint.request_timeout) if endpoint.request_timeout else None,
        breaker=endpoint.breaker.rendered() if endpoint.breaker is not None else None,
        price=endpoint.price,
    )
