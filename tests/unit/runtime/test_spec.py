import sys
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest
from pydantic_ai.models import Model, infer_model
from pydantic_ai.models.test import TestModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.vllm import VLLMProvider

from mizzen_runtime.agent.spec import check_spec

pytestmark = pytest.mark.anyio

VLLM: Model = infer_model("vllm:x", provider_factory=lambda _: VLLMProvider(base_url="http://vllm/v1"))


UNKNOWN_SETTING = "no model of the chain knows this setting"


def instructions_in(messages: list[ModelMessage]) -> str | None:
    return next(message.instructions for message in messages if isinstance(message, ModelRequest))


def problems_of(**spec: Any) -> dict[str, str]:
    return {problem.field: problem.message for problem in check_spec(spec, (VLLM,), {})}


def test_a_whole_good_spec_has_no_problems() -> None:
    assert (
        problems_of(
            model="test",
            name="triage",
            description="Sorts tickets",
            instructions=["Be kind", "Be short"],
            model_settings={"temperature": 0, "max_tokens": 100, "openai_reasoning_effort": "low"},
            retries={"tools": 1, "output": 2},
            end_strategy="early",
            tool_timeout=5,
            metadata={"team": "support"},
            capabilities=["Thinking", {"Thinking": {"effort": "low"}}],
        )
        == {}
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"temprature": 1}, {"spec.agent.model_settings.temprature": UNKNOWN_SETTING}),
        (
            {"anthropic_thinking": {}},
            {"spec.agent.model_settings.anthropic_thinking": UNKNOWN_SETTING},
        ),
        ({"temperature": "hot"}, {"spec.agent.model_settings.temperature": "input should be a valid number"}),
        ({"max_tokens": 1.5}, {"spec.agent.model_settings.max_tokens": "input should be a valid integer"}),
        (
            {"tool_choice": "required"},
            {"spec.agent.model_settings.tool_choice": "with 'required' at every step the agent can never answer"},
        ),
    ],
)
def test_model_settings_that_no_model_would_take_are_told(settings: dict[str, Any], expected: dict[str, str]) -> None:
    assert problems_of(model_settings=settings) == expected


def test_each_capability_that_is_refused_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_ai.mcp", None)  # as in an image without the package

    problems = problems_of(capabilities=[{"Thinking": {"hard": 1}}, "Thinking", {"MCP": {"url": "http://mcp/"}}])

    assert problems == {
        "spec.agent.capabilities[0]": "pydantic-ai refuses it: "
        "Thinking.__init__() got an unexpected keyword argument 'hard'",
        "spec.agent.capabilities[2]": "needs a package that is not installed in this image",
    }


@pytest.mark.parametrize(
    ("capability", "kind"),
    [
        ("WebSearch", "web_search"),
        ({"PrefixTools": {"prefix": "a", "capability": "WebFetch"}}, "web_fetch"),
        ({"NativeTool": {"kind": "mcp_server", "id": "crm", "url": "http://crm/"}}, "mcp_server"),
    ],
)
def test_a_tool_that_a_models_provider_does_not_have_is_told_for_each_model(capability: Any, kind: str) -> None:
    messages = [problem.message for problem in check_spec({"capabilities": [capability]}, (VLLM, TestModel()), {})]

    assert messages == [
        f"needs the tool {kind!r} of the model's provider, which 'x' does not have",
        f"needs the tool {kind!r} of the model's provider, which 'test' does not have",
    ]


def test_a_tool_that_the_models_provider_has_is_taken() -> None:
    model = infer_model("openai-responses:gpt-5", provider_factory=lambda _: OpenAIProvider(api_key="x"))

    assert check_spec({"capabilities": ["WebSearch", "ToolSearch", "Thinking"]}, (model,), {}) == ()


def test_a_providers_setting_is_not_called_unknown_while_a_model_is_missing() -> None:
    settings = {"anthropic_thinking": {}, "temprature": 1}

    assert [problem.field for problem in check_spec({"model_settings": settings}, (VLLM,), {}, all_built=False)] == [
        "spec.agent.model_settings.temprature"
    ]


SECRET = "Bearer SECRET-TOKEN"
SERVER = {"kind": "mcp_server", "id": "crm", "url": "http://crm/"}


@pytest.mark.parametrize(
    ("capability", "field"),
    [
        ({"NativeTool": {**SERVER, "headers": SECRET}}, "capabilities[0].headers"),
        ({"NativeTool": {**SERVER, "headers": {"authorization": [SECRET]}}}, "capabilities"),
        ({"NativeTool": {**SERVER, "authorization_token": {"a": SECRET}}}, "capabilities[0].authorization_token"),
        ({"NativeTool": {"kind": "mcp_server", "headers": {"accept": SECRET}}}, "capabilities[0]"),
        ({"NativeTool": {"kind": SECRET}}, "capabilities[0]"),
        ({"NativeTool": SECRET}, "capabilities[0]"),
        (
            {"PrefixTools": {"prefix": "a", "capability": {"NativeTool": {**SERVER, "headers": SECRET}}}},
            "capabilities[0].headers",
        ),
        ({"name": "NativeTool", "arguments": {"tool": SECRET}}, "capabilities[0]"),
        ({"name": "NativeTool", "arguments": SECRET}, "capabilities"),
        ({"SetToolMetadata": SECRET}, "capabilities[0]"),
    ],
)
def test_a_secret_in_what_is_refused_is_not_repeated(capability: dict[str, Any], field: str) -> None:
    problems = problems_of(capabilities=[capability])

    assert set(problems) == {f"spec.agent.{field}"}
    assert "SECRET" not in str(problems)


@pytest.mark.parametrize("settings", [{"extra_headers": SECRET}, {"temperature": SECRET}, {"max_tokens": [SECRET]}])
def test_a_secret_in_wrong_settings_is_not_repeated(settings: dict[str, Any]) -> None:
    assert "SECRET" not in str(problems_of(model_settings=settings))


def test_a_capability_that_is_not_allowed_is_told_once() -> None:
    assert list(problems_of(capabilities=["LocalWorkspace"])) == ["spec.agent.capabilities"]


def test_a_capability_is_checked_with_the_secrets_that_it_refers_to() -> None:
    def problems(arguments: dict[str, Any], secrets: dict[str, str]) -> list[str]:
        spec = {"capabilities": [{"MCP": {"url": "http://crm/", **arguments}}]}
        return [problem.message for problem in check_spec(spec, (VLLM,), secrets)]

    assert problems({"authorization_token": {"secret": "crm"}}, {"crm": "hunter2"}) == []
    assert problems({"authorization_token": {"secret": "crm"}}, {}) == []  # told by whoever read the secrets
    (message,) = problems({"headers": {"X-Key": {"secret": "crm"}}, "wrong": 1}, {"crm": "hunter2"})
    assert "wrong" in message
    assert "hunter2" not in message
