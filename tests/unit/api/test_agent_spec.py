"""The mirror of pydantic-ai's AgentSpec stays a mirror."""

import typing

import pytest
from pydantic import ValidationError
from pydantic_ai.agent.abstract import AgentRetries as PydanticAgentRetries
from pydantic_ai.agent.spec import AgentSpec as PydanticAgentSpec
from pydantic_ai.capabilities import CAPABILITY_TYPES
from pydantic_ai.models import KnownModelName

from mizzen_api.agent_spec import NOT_MIRRORED, AgentRetries, AgentSpec
from mizzen_api.capabilities import ALLOWED_CAPABILITIES, REFUSED_CAPABILITIES


def test_the_mirror_has_every_field_of_the_installed_agent_spec_but_the_ones_left_out_on_purpose() -> None:
    assert set(AgentSpec.model_fields) == set(PydanticAgentSpec.model_fields) - set(NOT_MIRRORED)


def test_the_mirror_has_the_defaults_of_the_installed_agent_spec() -> None:
    theirs = PydanticAgentSpec().model_dump(exclude=set(NOT_MIRRORED))
    ours = AgentSpec().model_dump()
    assert {**ours, "capabilities": list(ours["capabilities"])} == theirs


def test_the_mirror_takes_the_end_strategies_of_the_installed_agent_spec() -> None:
    ours = AgentSpec.model_fields["end_strategy"].annotation
    theirs = PydanticAgentSpec.model_fields["end_strategy"].annotation
    assert set(typing.get_args(ours)) == set(typing.get_args(theirs))


def test_the_mirror_takes_the_retry_budgets_of_the_installed_agent_spec() -> None:
    assert set(AgentRetries.model_fields) == set(PydanticAgentRetries.__annotations__)


def test_what_the_mirror_accepts_pydantic_ai_accepts_too() -> None:
    spec = AgentSpec.model_validate(
        {
            "model": "test",
            "name": "triage",
            "description": "Sorts tickets",
            "instructions": ["Be brief.", "Be kind."],
            "output_schema": {"type": "object", "properties": {"a": {"type": "string"}}},
            "model_settings": {"temperature": 0.1},
            "retries": {"tools": 2},
            "end_strategy": "early",
            "tool_timeout": 1.5,
            "metadata": {"team": "support"},
            "capabilities": ["Thinking", {"Caching": {}}],
        }
    )
    taken = PydanticAgentSpec.model_validate(spec.model_dump(exclude_none=True))
    assert taken.instructions == ["Be brief.", "Be kind."]
    assert [capability.name for capability in taken.capabilities] == ["Thinking", "Caching"]


def test_every_installed_capability_is_either_allowed_or_refused_with_a_reason() -> None:
    assert set(CAPABILITY_TYPES) == ALLOWED_CAPABILITIES | set(REFUSED_CAPABILITIES)
    assert ALLOWED_CAPABILITIES.isdisjoint(REFUSED_CAPABILITIES)


@pytest.mark.parametrize(
    ("capability", "message"),
    [
        ("LocalWorkspace", "capability 'LocalWorkspace' is not allowed: it gives the model a shell and the files"),
        ({"LocalWorkspace": {}}, "capability 'LocalWorkspace' is not allowed"),
        ({"name": "LocalWorkspace", "arguments": None}, "capability 'LocalWorkspace' is not allowed"),
        (
            {"PrefixTools": {"prefix": "x", "capability": {"LocalWorkspace": {}}}},
            "capability 'LocalWorkspace' is not allowed",
        ),
        ({"PrefixTools": {"prefix": "x"}}, "capability 'PrefixTools' needs `capability`"),
        ({"name": "Thinking", "arguments": "x"}, "the arguments of capability 'Thinking' must be an object or a list"),
        (
            {"XSearch": {"fallback_subagent_model": "xai:grok"}},
            "capability 'XSearch' must not name another model (fallback_subagent_model): the chain is in spec.models",
        ),
        (
            {"PrefixTools": {"prefix": "x", "capability": {"ImageGeneration": {"fallback_model": "openai:x"}}}},
            "capability 'ImageGeneration' must not name another model (fallback_model)",
        ),
        ("Thinkin", "unknown capability 'Thinkin'; known are Caching, "),
        ({"MCP": {}, "Thinking": {}}, "a capability is a name or one `name: arguments` pair"),
    ],
)
def test_a_capability_that_is_not_allowed_is_refused_in_words(capability: object, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        AgentSpec.model_validate({"capabilities": [capability]})
    assert message in str(refused.value)


def test_every_model_that_pydantic_ai_knows_by_name_can_be_named() -> None:
    for model in KnownModelName.__value__.__args__:
        assert AgentSpec.model_validate({"model": model}).model == model


def test_an_unknown_field_of_the_agent_is_refused() -> None:
    with pytest.raises(ValidationError, match="intsructions"):
        AgentSpec.model_validate({"intsructions": "typo"})
