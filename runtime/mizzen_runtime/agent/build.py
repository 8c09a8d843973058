"""Builds the agent out of its configuration, or tells everything that stands against it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from httpx2 import AsyncClient
from pydantic_ai import Agent, Tool
from pydantic_ai.capabilities import AbstractCapability, RaiseContentFilterError
from pydantic_ai.models import Model

from mizzen_api.breakers import DEFAULT_BREAKER
from mizzen_api.capabilities import PYTHON_TOOLS, argument_of, with_secrets
from mizzen_api.contract import RuntimeConfig
from mizzen_api.problems import Problem
from mizzen_runtime.agent.chain import chain
from mizzen_runtime.agent.entrypoint import Host, OwnAgent, load_agent
from mizzen_runtime.agent.exits import ContainExits
from mizzen_runtime.agent.models import BuiltModels, build_models, chain_of
from mizzen_runtime.agent.output_schema import FIELD as OUTPUT_SCHEMA_FIELD
from mizzen_runtime.agent.output_schema import EnforceOutputSchema, compile_schema
from mizzen_runtime.agent.own_agent import check_own_agent, deps_type_of, model_of, output_schema_of
from mizzen_runtime.agent.own_base import BuiltBase, built_base
from mizzen_runtime.agent.python_tools import ServiceKey, load_tools
from mizzen_runtime.agent.refusals import refusals_of
from mizzen_runtime.agent.spec import check_spec
from mizzen_runtime.agent.templates import TEMPLATED, fill_templates
from mizzen_runtime.breakers import Breakers, CircuitBreaker
from mizzen_runtime.config import SPEC_FIELD, ConfigRefused
from mizzen_runtime.container import AgentServices
from mizzen_runtime.mounted_secrets import MountedSecrets
from mizzen_runtime.own_code.imports import OwnCodeLoader
from mizzen_runtime.production_agent import AgentConfig, ProductionAgentBase
from mizzen_runtime.redaction import Redactor

JsonSchema = dict[str, Any]

TEXT: JsonSchema = {"type": "string"}
"""Schema of an answer that is a text."""


@dataclass(frozen=True)
class BuiltAgent:
    """An agent that can run, and what callers and operator may know about it."""

    agent: OwnAgent
    model: Model
    """What to enter for the life of the process, and to run the agent with. Never enter the agent: it would keep MCP
    connections that do not survive a restart of their server."""
    models: tuple[str, ...]
    """The chain by name."""
    description: str | None = None
    output_schema: JsonSchema = field(default_factory=TEXT.copy)
    """JSON schema of the answer."""
    streams_text: bool = True
    """Whether the answer is plain text, so that pieces of it are worth sending."""
    members: tuple[Model, ...] = ()
    """The models of the chain, in order."""
    breakers: tuple[CircuitBreaker, ...] = ()
    """Theirs, in the same order; they stay when the agent is built anew."""
    clients: tuple[AsyncClient, ...] = ()
    """What models with authorities of their own ask by, to be closed with the agent."""
    tools: tuple[Tool[Any], ...] = ()
    """What `PythonTools` named in own code."""
    deps_type: type[Any] | None = None
    """What it wants as its dependencies, if anything."""
    run_capabilities: tuple[AbstractCapability[Any], ...] = ()
    """What each run adds to what the agent has."""


def build_agent(
    config: RuntimeConfig,
    secrets: MountedSecrets,
    host: Host,
    loader: OwnCodeLoader,
    services: Collection[ServiceKey],
    *,
    limits: AgentConfig,
    breakers: Breakers,
) -> BuiltAgent | BuiltBase:
    """Build the agent that the configuration describes, or load the one that it names in own code.

    Args:
        config: The configuration.
        secrets: What could be read of the Secrets for models and capabilities; what is wrong with them is told here.
        host: Where own code runs at its start.
        loader: Loads own code.
        services: Those that there are.
        limits: What the agent may take in this process.
        breakers: Makes those of the models.

    Raises:
        ConfigRefused: With every problem of keys and models, and of spec and output schema or of own code.
    """
    models = build_models(config, secrets)
    problems = (*secrets.problems, *models.problems)
    if config.agent is not None:
        capabilities = config.agent.get("capabilities") or ()
        tools, tool_problems = load_tools(capabilities, loader, services)
        built = _described_agent(config, models, secrets.by_name, tools, (*problems, *tool_problems))
    else:
        own = _own_agent(config, models, problems, host, loader, limits=limits)
        if isinstance(own, BuiltBase):
            return own
        built = own
    return _with_breakers(built, _breakers_of(built.models, config, breakers))


def _breakers_of(names: Sequence[str], config: RuntimeConfig, breakers: Breakers) -> tuple[CircuitBreaker, ...]:
    """Make a breaker for each model: as the resource says, or by the defaults."""
    settings = [endpoint.breaker or DEFAULT_BREAKER for endpoint in chain_of(config)] or [DEFAULT_BREAKER]
    return tuple(breakers.add(f"model:{name}", each) for name, each in zip(names, settings, strict=True))


def _with_breakers(built: BuiltAgent, breakers: tuple[CircuitBreaker, ...]) -> BuiltAgent:
    named = list(zip(built.models, built.members, strict=True))
    return replace(built, model=chain(named, breakers), breakers=breakers)


def rebuild_agent(built: BuiltAgent, config: RuntimeConfig, secrets: MountedSecrets) -> BuiltAgent:
    """Build an agent with other values of its Secrets and ConfigMaps. Own code is not loaded again.

    Args:
        built: The agent as it is.
        config: The configuration that it was built from.
        secrets: The values.

    Raises:
        ConfigRefused: With every problem of the values.
    """
    models = build_models(config, secrets)
    problems = (*secrets.problems, *models.problems)
    if config.agent is not None:
        fresh = _described_agent(config, models, secrets.by_name, built.tools, problems)
        return _with_breakers(fresh, built.breakers)
    if problems:
        raise ConfigRefused(problems)
    if not config.models:  # own code has its models by itself, and no value of ours
        return built
    fresh = replace(built, members=models.members, clients=models.clients)
    return _with_breakers(fresh, built.breakers)


def _described_agent(
    config: RuntimeConfig,
    models: BuiltModels,
    secrets: Mapping[str, str],
    tools: Sequence[Tool[Any]],
    problems: tuple[Problem, ...],
) -> BuiltAgent:
    spec = config.agent or {}
    names = _names(config)
    texts, template_problems = fill_templates(spec, config.vars or {})
    all_built = len(models.members) == len(names)
    problems += (*check_spec(spec, models.members, secrets, all_built=all_built), *template_problems)
    capabilities: list[AbstractCapability[None]] = [RaiseContentFilterError()]
    schema = spec.get("output_schema")
    if isinstance(schema, dict):
        validator, schema_problems = compile_schema(schema)
        problems += schema_problems
        if validator is not None:
            capabilities.append(EnforceOutputSchema(validator))
    if problems:
        raise ConfigRefused(problems)
    try:
        agent = Agent.from_spec(
            _spec_for_pydantic_ai(config, with_secrets(spec, secrets)),
            instructions=texts.instructions,
            description=texts.description,
            capabilities=capabilities,
            tools=tools,
        )
    except Exception as error:  # pydantic-ai refuses in several types, and what remains here is about the schema
        if schema:
            remedy = "keep to properties, items, anyOf and references at these places"
            raise ConfigRefused(refusals_of(error, schema, OUTPUT_SCHEMA_FIELD, remedy)) from error
        raise ConfigRefused(refusals_of(error, spec, SPEC_FIELD, "correct the value")) from error
    return BuiltAgent(
        agent=agent,
        model=chain(list(zip(names, models.members, strict=True))),
        models=names,
        members=models.members,
        clients=models.clients,
        description=texts.description,
        output_schema=schema or TEXT,
        streams_text=schema is None,
        tools=tuple(tools),
        deps_type=AgentServices if config.services else None,
    )


def _spec_for_pydantic_ai(config: RuntimeConfig, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Give the spec without what may hold braces: pydantic-ai would take them for templates once more."""
    rest = {key: value for key, value in spec.items() if key not in TEMPLATED}
    if "capabilities" in rest:  # without those that are none of pydantic-ai's
        rest["capabilities"] = [each for each in rest["capabilities"] if not argument_of(each, PYTHON_TOOLS, "tools")]
    return {"name": config.name, **rest, "model": None}


def _own_agent(
    config: RuntimeConfig,
    models: BuiltModels,
    problems: tuple[Problem, ...],
    host: Host,
    loader: OwnCodeLoader,
    *,
    limits: AgentConfig,
) -> BuiltAgent | BuiltBase:
    try:
        agent = load_agent(config.entrypoint or "", host, loader, config.name, limits)
        own = built_base(agent, limits, loader.redact) if isinstance(agent, ProductionAgentBase) else agent
    except ConfigRefused as refused:
        raise ConfigRefused([*problems, *refused.problems]) from refused
    if isinstance(own, BuiltBase):
        if problems:
            raise ConfigRefused(problems)
        return own
    names, members = _names(config), models.members
    if not names:
        found, model_problems = model_of(own)
        problems += model_problems
        names, members = ((found[0],), (found[1],)) if found else ((), ())
    return replace(built_around(own, names, members, loader.redact, problems), clients=models.clients)


def built_around(
    agent: OwnAgent, names: tuple[str, ...], members: tuple[Model, ...], redact: Redactor, problems: tuple[Problem, ...]
) -> BuiltAgent:
    """Give an agent of own code as it is served.

    Args:
        agent: The agent.
        names: Of the models.
        members: The chain, in the place of the agent's own model.
        redact: Takes secrets out of what own code says when it fails.
        problems: What is known to be wrong already.

    Raises:
        ConfigRefused: With these, and with what else cannot be served.
    """
    schema, schema_problems = output_schema_of(agent, redact)
    problems = (*check_own_agent(agent), *schema_problems, *problems)
    if problems:
        raise ConfigRefused(problems)
    return BuiltAgent(
        agent=agent,
        model=chain(list(zip(names, members, strict=True))),
        models=names,
        members=members,
        description=agent.description,
        output_schema=schema,
        streams_text=agent.output_type is str,
        deps_type=deps_type_of(agent),
        run_capabilities=(RaiseContentFilterError(), ContainExits()),
    )


def _names(config: RuntimeConfig) -> tuple[str, ...]:
    return tuple(endpoint.model for endpoint in chain_of(config))
