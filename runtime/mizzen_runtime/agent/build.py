"""Builds the agent out of its configuration, or tells everything that stands against it."""

from dataclasses import dataclass
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.capabilities import AbstractCapability, RaiseContentFilterError
from pydantic_ai.models import Model

from mizzen_api.contract import RuntimeConfig
from mizzen_runtime.agent.models import build_models, chain, chain_of
from mizzen_runtime.agent.output_schema import FIELD as OUTPUT_SCHEMA_FIELD
from mizzen_runtime.agent.output_schema import EnforceOutputSchema, compile_schema
from mizzen_runtime.agent.refusals import refusals_of
from mizzen_runtime.agent.spec import check_spec
from mizzen_runtime.config import SPEC_FIELD, ConfigRefused, read_keys

OutputSchema = dict[str, Any]
"""A JSON schema as the user wrote it."""


@dataclass(frozen=True)
class BuiltAgent:
    """An agent that can run, and what callers and operator may know about it."""

    agent: Agent[None, Any]
    model: Model
    """What to enter for the life of the process. Never the agent: entered, it keeps MCP connections that do not
    survive a restart of their server."""
    models: tuple[str, ...]
    """The chain by name."""
    description: str | None
    output_schema: OutputSchema | None


def build_agent(config: RuntimeConfig) -> BuiltAgent:
    """Build the agent.

    Raises:
        ConfigRefused: With every problem of keys, models, spec and output schema.
    """
    keys, problems = read_keys(config)
    models, model_problems = build_models(config, keys)
    all_built = len(models) == len(chain_of(config))
    problems += (*model_problems, *check_spec(config.agent, models, all_built=all_built))
    capabilities: list[AbstractCapability[None]] = [RaiseContentFilterError()]
    schema = config.agent.get("output_schema")
    if isinstance(schema, dict):
        validator, schema_problems = compile_schema(schema)
        problems += schema_problems
        if validator is not None:
            capabilities.append(EnforceOutputSchema(validator))
    if problems:
        raise ConfigRefused(problems)
    model = chain(models)
    try:
        agent = Agent.from_spec(
            {"name": config.name, **config.agent, "model": None}, model=model, capabilities=capabilities
        )
    except Exception as error:  # pydantic-ai refuses in several types, and what remains here is about the schema
        if schema:
            remedy = "keep to properties, items, anyOf and references at these places"
            raise ConfigRefused(refusals_of(error, schema, OUTPUT_SCHEMA_FIELD, remedy)) from error
        raise ConfigRefused(refusals_of(error, config.agent, SPEC_FIELD, "correct the value")) from error
    return BuiltAgent(
        agent=agent,
        model=model,
        models=tuple(endpoint.model for endpoint in chain_of(config)),
        description=config.agent.get("description"),
        output_schema=schema,
    )
