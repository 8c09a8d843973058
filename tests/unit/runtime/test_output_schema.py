import math
from typing import Any

import pytest
from pydantic_ai import Agent, UnexpectedModelBehavior, UserError
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from mizzen_runtime.agent.output_schema import EnforceOutputSchema, compile_schema

pytestmark = pytest.mark.anyio

NAME = {"type": "object", "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}}, "required": ["name"]}


def problems_of(schema: dict[str, Any]) -> dict[str, str]:
    validator, problems = compile_schema(schema)
    assert (validator is None) == bool(problems)
    return {problem.field: problem.message for problem in problems}


@pytest.mark.parametrize(
    "schema",
    [
        NAME,
        {**NAME, "$schema": "https://json-schema.org/draft/2020-12/schema"},
        {**NAME, "$schema": "http://json-schema.org/draft-07/schema#"},
        {"type": "object", "$defs": {"n": {"type": "string"}}, "properties": {"n": {"$ref": "#/$defs/n"}}},
        {"type": "object", "properties": {"$ref": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"const": {"$ref": "x"}, "enum": [{"$ref": "y"}]}}},
    ],
)
def test_a_json_schema_of_an_object_is_taken(schema: dict[str, Any]) -> None:
    assert problems_of(schema) == {}


@pytest.mark.parametrize(
    ("schema", "field", "message"),
    [
        ({"type": "objekt"}, "type", "is no valid JSON schema: 'objekt' is not valid under any of the given schemas"),
        (
            {"type": "object", "properties": {"a": {"minimum": "1"}}},
            "properties.a.minimum",
            "is no valid JSON schema: '1' is not of type 'number'",
        ),
        ({"type": "object", "required": "a"}, "required", "is no valid JSON schema: 'a' is not of type 'array'"),
        (
            {"type": "object", "properties": {"a": {"$ref": "https://example.com/s.json"}}},
            "properties.a.$ref",
            "refers to 'https://example.com/s.json', and nothing is fetched from elsewhere",
        ),
        (
            {"type": "object", "properties": {"a": {"pattern": "("}}},
            "properties.a.pattern",
            "is no valid JSON schema: '(' is not a 'regex'",
        ),
        (
            {"type": "object", "patternProperties": {"[": {}}},
            "patternProperties",
            "is no valid JSON schema: '[' is not a 'regex'",
        ),
        (
            {
                "type": "object",
                "$schema": "http://json-schema.org/draft-07/schema",
                "properties": {"a": {"pattern": "("}},
            },
            "properties.a.pattern",
            "is no valid JSON schema: '(' is not a 'regex'",
        ),
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/nmae"}}, "$defs": {"name": {}}},
            "properties.a.$ref",
            "refers to '#/$defs/nmae', and there is no such definition",
        ),
        (
            {"type": "object", "properties": {"a": {"$ref": "#/definitions/n"}}, "definitions": {"n": {}}},
            "properties.a.$ref",
            "refers to '#/definitions/n', and only a `$ref` to a definition is supported",
        ),
        (
            {"type": "object", "properties": {"a": {"$ref": "#"}}},
            "properties.a.$ref",
            "refers to '#', and only a `$ref` to a definition is supported",
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/a"}},
                "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}},
            },
            "$defs.b",
            "refers to itself, and pydantic-ai supports no recursive schema",
        ),
        (
            {"type": "object", "properties": {"default": {"$ref": "#/$defs/missing"}}},
            "properties.default.$ref",
            "refers to '#/$defs/missing', and there is no such definition",
        ),
        ({"type": "object", "$schema": "urn:mine"}, "$schema", "unknown dialect 'urn:mine'"),
        ({"type": "object", "$schema": 5}, "$schema", "unknown dialect 5"),
        ({"type": "array"}, "type", "the answer must be an object"),
        ({}, "type", "the answer must be an object"),
    ],
)
def test_what_is_no_usable_schema_is_told(schema: dict[str, Any], field: str, message: str) -> None:
    assert problems_of(schema)[f"spec.agent.output_schema.{field}"] == message


def test_a_reference_as_the_whole_schema_is_told_to_be_written_out() -> None:
    _, (problem,) = compile_schema({"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}})

    assert problem.remedy.startswith("write the definition that `$ref` names in its place")


def test_a_recursive_schema_is_refused_because_pydantic_ai_refuses_it() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/a"}},
        "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}},
    }
    assert list(problems_of(schema)) == ["spec.agent.output_schema.$defs.a"]
    with pytest.raises(UserError, match="recursive"):
        Agent.from_spec({"output_schema": schema})


def test_all_faults_of_a_schema_are_told_at_once() -> None:
    assert len(problems_of({"type": "objekt", "required": "a", "properties": {"a": {"$ref": "http://x"}}})) == 3


def agent_answering(*answers: dict[str, Any]) -> tuple[Agent[None, Any], list[list[ModelMessage]]]:
    queue, seen = list(answers), []

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.append(messages)
        return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, queue.pop(0))])

    validator, _ = compile_schema(NAME)
    assert validator is not None
    spec = {"output_schema": NAME, "retries": 1}
    return Agent.from_spec(spec, model=FunctionModel(answer), capabilities=[EnforceOutputSchema(validator)]), seen


async def test_a_violation_goes_back_to_the_model_with_the_reason() -> None:
    agent, seen = agent_answering({"name": "Ada"}, {"name": "ada"})

    assert (await agent.run("Who?")).output == {"name": "ada"}
    assert "$.name: 'Ada' does not match '^[a-z]+$'" in repr(seen[1])


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
async def test_a_number_that_json_does_not_have_goes_back_to_the_model(number: float) -> None:
    agent, seen = agent_answering({"name": "ada", "sizes": [{"of": number}]}, {"name": "ada", "sizes": []})

    assert (await agent.run("Who?")).output == {"name": "ada", "sizes": []}
    assert "$.sizes[0].of: must be a finite number" in repr(seen[1])


async def test_a_model_that_does_not_learn_gives_no_answer() -> None:
    agent, _ = agent_answering({"name": "Ada"}, {})

    with pytest.raises(UnexpectedModelBehavior):
        await agent.run("Who?")
