"""What the runtime can serve of an agent that own code made."""

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, DeferredToolRequests, NativeOutput, PendingModelResponse, PromptedOutput, ToolOutput
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.output import TextOutput
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider

from mizzen_runtime.agent.own_agent import check_own_agent, model_of, output_schema_of
from mizzen_runtime.redaction import Redactor


class Ticket(BaseModel):
    urgency: int


@dataclass
class Refund:
    amount: float


class Opaque:
    """Nothing that pydantic knows."""


def words(text: str) -> list[str]:
    return text.split()


def make_refund(amount: float) -> Refund:
    return Refund(amount)


def make_opaque(amount: float) -> Opaque:
    return Opaque()


def agent(output_type: Any = str, **settings: Any) -> Agent[Any, Any]:
    return Agent(TestModel(), output_type=output_type, **settings)


@pytest.mark.parametrize(
    ("output_type", "kind"),
    [
        (str, "string"),
        (bool, "boolean"),
        (int, "integer"),
        (list[Ticket], "array"),
        (dict[str, int], "object"),
        (Ticket, "object"),
        (Refund, "object"),
        (NativeOutput(Ticket), "object"),
        (ToolOutput(Ticket, name="ticket"), "object"),
        (PromptedOutput(Ticket), "object"),
        (TextOutput(words), "array"),
        (make_refund, "object"),
    ],
)
def test_every_output_of_pydantic_ai_has_its_schema(output_type: Any, kind: str) -> None:
    schema, problems = output_schema_of(agent(output_type), Redactor([]))

    assert (schema["type"], problems) == (kind, ())
    assert list(check_own_agent(agent(output_type))) == []


@pytest.mark.parametrize("output_type", [[str, Ticket], Ticket | Refund, [ToolOutput(Ticket), ToolOutput(Refund)]])
def test_several_outputs_are_any_of_their_schemas(output_type: Any) -> None:
    schema, problems = output_schema_of(agent(output_type), Redactor([]))

    assert (len(schema["anyOf"]), problems) == (2, ())
    assert list(check_own_agent(agent(output_type))) == []


def test_an_output_that_no_json_can_be_made_of_is_told() -> None:
    with pytest.warns(UserWarning, match="unsupported return type"):
        opaque = agent(make_opaque)

    _, (problem,) = output_schema_of(opaque, Redactor([]))

    assert problem.message.startswith(
        "its output has no JSON schema: Unable to generate pydantic-core schema for <class"
    )
    assert "test_own_agent.Opaque" in problem.message
    assert problem.remedy == "let the agent answer with types that pydantic can write as JSON"


@pytest.mark.parametrize(("deps_type", "name"), [(str, "str"), (str | int, "str | int")])
def test_an_agent_that_wants_dependencies_is_told_what_to_do(deps_type: Any, name: str) -> None:
    (problem,) = check_own_agent(agent(deps_type=deps_type))

    assert problem.field == "spec.entrypoint"
    assert problem.message == (f"the agent wants dependencies of type {name}, which cannot hold services")
    assert "AgentServices, or a dataclass" in problem.remedy


@pytest.mark.parametrize("deps_type", [object, type(None)])
def test_an_agent_without_dependencies_may_say_so(deps_type: type) -> None:
    assert list(check_own_agent(agent(deps_type=deps_type))) == []


@pytest.mark.parametrize("unfinished", [DeferredToolRequests, PendingModelResponse])
@pytest.mark.parametrize("shape", ["list", "union"])
def test_an_output_that_a_caller_would_have_to_come_back_with_is_told(unfinished: Any, shape: str) -> None:
    output_type = [str, unfinished] if shape == "list" else str | unfinished
    (problem,) = check_own_agent(agent(output_type))

    assert problem.message == (
        f"its output may be {unfinished.__name__}, and there is nobody yet to continue such a run"
    )


def test_the_agents_own_model_is_found_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert model_of(Agent(TestModel()))[0] is not None
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    found, problems = model_of(Agent("openai-chat:gpt-5", defer_model_check=True))

    assert problems == ()
    assert found is not None
    assert (found[0], found[1].model_name) == ("openai-chat:gpt-5", "gpt-5")


@pytest.mark.parametrize("deferred", [True, False])
def test_a_model_that_the_agent_names_is_as_one_of_a_chain(monkeypatch: pytest.MonkeyPatch, *, deferred: bool) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")

    found, _ = model_of(Agent("openai-chat:gpt-5", defer_model_check=deferred))

    assert found is not None
    assert found[1].settings == {"max_retries": 0}
    assert dict(found[1].profile)["openai_chat_streaming_requires_finish_reason"] is True


def test_a_model_that_own_code_has_set_up_stays_as_it_is() -> None:
    provider = OpenAIProvider(api_key="sk-1")
    made = OpenAIChatModel("gpt-5", provider=provider, settings={"max_retries": 3})
    profiled = OpenAIChatModel("gpt-5", provider=provider, profile=OpenAIModelProfile(supports_tools=False))

    for model in (made, profiled, WrapperModel(made), FallbackModel(made, profiled), TestModel()):
        found, _ = model_of(Agent(model))
        assert found is not None
        assert found[1] is model


@pytest.mark.parametrize(
    ("model", "message", "remedy"),
    [
        (None, "the agent has no model", "give it one in the code, or name the chain in spec.models"),
        (
            "openai:gpt-5",
            "its model 'openai:gpt-5' cannot be had: Set the `OPENAI_API_KEY` environment variable",
            "give apiKey and baseUrl in spec.models, or the variable in spec.pod.env",
        ),
        (
            "typesafe:x",
            "its model 'typesafe:x' cannot be had: the provider 'typesafe' is not installed in this image",
            "build an image on the runtime's with `pip install 'pydantic-ai-slim[typesafe]'`",
        ),
    ],
)
def test_a_model_that_cannot_be_had_is_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch, model: str | None, message: str, remedy: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    found, (problem,) = model_of(Agent(model, defer_model_check=True))

    assert found is None
    assert problem.message.startswith(message)
    assert problem.remedy.startswith(remedy)
