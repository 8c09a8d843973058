"""A strict mirror of pydantic-ai's `AgentSpec`, so that the operator can answer `InvalidSpec` without importing it.

Field names, defaults and types are pydantic-ai's own (snake_case); a test compares them with the installed version.
pydantic-ai ignores unknown keys, the mirror refuses them.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, field_validator

from mizzen_api.base import ApiModel, Matching
from mizzen_api.capabilities import capability_problem

PreservedObject = Annotated[
    dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}, max_length=256)
]

ModelName = Annotated[
    str,
    Field(max_length=256),
    Matching(
        r"^([a-z][a-z0-9-]*(/[a-z0-9-]+)?:[^\s]+|test)$",
        "write it as provider:name, such as openai:gpt-5.2 or vllm:qwen3-32b",
    ),
]
"""A model as `provider:name` in pydantic-ai's notation, or `test`."""

NOT_MIRRORED = {
    "json_schema_path": "`$schema` is a hint for editors of pydantic-ai's own files",
    "deps_schema": "it describes template values, and the resource has no field to give them yet",
}
"""Fields of pydantic-ai's AgentSpec that the resource does not take, with the reason."""


RetryBudget = Annotated[int, Field(ge=0, le=100)]


class AgentRetries(ApiModel):
    """Retry budgets by category."""

    tools: RetryBudget | None = None
    """For tool calls."""
    output: RetryBudget | None = None
    """For the validation of the output."""


def _tag_of(value: object) -> str | None:
    """Give the tag of the union's member that a value must be meant for; a union without tags tells of each member."""
    if isinstance(value, str):
        return "<text>"
    if isinstance(value, int | float):
        return "<number>"
    if isinstance(value, list | tuple):
        return "<list>"
    return "<object>" if isinstance(value, dict | ApiModel) else None


Instructions = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[tuple[str, ...], Tag("<list>")],
    Discriminator(_tag_of, custom_error_type="instructions", custom_error_message="write a text, or a list of texts"),
]
Retries = Annotated[
    Annotated[RetryBudget, Tag("<number>")] | Annotated[AgentRetries, Tag("<object>")],
    Discriminator(
        _tag_of, custom_error_type="retries", custom_error_message="write a number, or an object of tools and output"
    ),
]
Capability = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[dict[str, Any], Tag("<object>")],
    Discriminator(
        _tag_of, custom_error_type="capability", custom_error_message="write a name, or one pair of name and arguments"
    ),
]


class AgentSpec(ApiModel):
    """The agent in pydantic-ai's own AgentSpec."""

    model_config = ConfigDict(alias_generator=None)

    model: ModelName | None = None
    """Model as `provider:name`. Give it here, or give the chain in `spec.models`."""
    name: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Name of the agent in traces; the resource's name without it."""
    description: Annotated[str, Field(max_length=8192)] | None = None
    """What the agent is for."""
    instructions: Annotated[
        Instructions | None, Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
    ] = None
    """Instructions for the model: a text, or a list of texts."""
    output_schema: PreservedObject | None = None
    """JSON schema of the answer; enforced, not only advertised. A text without it."""
    model_settings: PreservedObject | None = None
    """pydantic-ai's model settings, such as `temperature` and `max_tokens`."""
    retries: Annotated[
        Retries | None,
        Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
    ] = None
    """Retries for tools and output: a number, or `{tools: 1, output: 2}`."""
    end_strategy: Literal["early", "graceful", "exhaustive"] = "graceful"
    """What becomes of tool calls beside a final result."""
    tool_timeout: Annotated[float, Field(gt=0, le=86400)] | None = None
    """Seconds that a tool may take."""
    metadata: PreservedObject | None = None
    """Free-form data that goes with each run."""
    capabilities: Annotated[
        tuple[Capability, ...],
        Field(max_length=64, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
    ] = ()
    """pydantic-ai capabilities: `Name`, or `{Name: arguments}`."""

    @field_validator("capabilities")
    @classmethod
    def _allow_capabilities(cls, capabilities: tuple[str | dict[str, Any], ...]) -> tuple[str | dict[str, Any], ...]:
        problems = [problem for entry in capabilities if (problem := capability_problem(entry))]
        if problems:
            raise ValueError("; ".join(problems))
        return capabilities
