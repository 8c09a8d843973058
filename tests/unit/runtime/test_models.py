import pytest
from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model
from pydantic_ai.models.test import TestModel
from pydantic_ai.providers.openai import OpenAIProvider

from mizzen_api.contract import RuntimeConfig, RuntimeModel, SecretSource
from mizzen_api.problems import Problem
from mizzen_runtime.agent import models
from mizzen_runtime.agent.models import build_models, chain_of
from mizzen_runtime.mounted_secrets import MountedSecrets


def config_of(*models: RuntimeModel, **agent: object) -> RuntimeConfig:
    return RuntimeConfig(namespace="support", name="triage", revision="r1", agent=agent, models=models)


def known(keys: dict[int, str] | None = None) -> MountedSecrets:
    return MountedSecrets(keys or {}, {}, ())


def built(*models: RuntimeModel, keys: dict[int, str] | None = None) -> tuple[Model, ...]:
    found = build_models(config_of(*models), known(keys))
    assert found.problems == ()
    return found.members


def problem_of(model: RuntimeModel, keys: dict[int, str] | None = None) -> Problem:
    found = build_models(config_of(model), known(keys))
    assert found.members == ()
    (problem,) = found.problems
    return problem


KEY = SecretSource(name="llm", key="token", path="/key")
VLLM = RuntimeModel(model="vllm:qwen3", base_url="http://vllm:8000/v1")


def test_no_sdk_retries_because_the_chain_decides_that() -> None:
    (model,) = built(VLLM)

    assert model.settings == {"max_retries": 0}


def test_the_request_timeout_bounds_a_whole_request_to_the_model() -> None:
    (model,) = built(VLLM.model_copy(update={"request_timeout_seconds": 2.5}))

    assert model.settings == {"max_retries": 0, "request_timeout": 2.5}


def test_a_stream_must_say_that_it_ended() -> None:
    (model,) = built(VLLM)

    assert dict(model.profile)["openai_chat_streaming_requires_finish_reason"] is True


def test_address_and_key_reach_the_provider() -> None:
    endpoint = RuntimeModel(model="anthropic:claude-opus-4-5", base_url="http://proxy/v1", api_key=KEY)
    (model,) = built(endpoint, keys={0: "sk-1"})

    assert model.base_url == "http://proxy/v1/"
    assert model.model_name == "claude-opus-4-5"
    assert model.provider is not None
    assert model.provider.client.api_key == "sk-1"


@pytest.mark.parametrize("name", ["openai:gpt-5.2", "openai-chat:x", "ollama:x", "litellm:x", "google:gemini-3-pro"])
def test_every_common_provider_takes_an_address_and_a_key(name: str) -> None:
    (model,) = built(RuntimeModel(model=name, base_url="http://proxy/v1", api_key=KEY), keys={0: "sk-1"})

    assert model.model_name == name.partition(":")[2]


def test_the_test_model_calls_no_tools_with_made_up_arguments() -> None:
    (model,) = built(RuntimeModel(model="test"))

    assert isinstance(model, TestModel)
    assert model.call_tools == []


def test_the_model_may_be_named_in_the_agent() -> None:
    assert [model.model for model in chain_of(config_of(model="test"))] == ["test"]


def test_a_model_in_the_agent_beside_the_chain_is_not_ignored() -> None:
    (problem,) = build_models(config_of(RuntimeModel(model="test"), model="test"), known()).problems

    assert str(problem) == "spec.agent.model: is not used beside spec.models; name it in one of the two"


def test_own_code_may_name_its_model_itself() -> None:
    config = RuntimeConfig(namespace="support", name="triage", revision="r1", entrypoint="acme:triage", models=())

    assert chain_of(config) == ()
    assert build_models(config, known()) == ((), (), ())


def test_no_model_at_all_is_told() -> None:
    (problem,) = build_models(config_of(), known()).problems

    assert str(problem) == "spec.models: no model is named; name one here or in spec.agent.model"


def test_an_unknown_provider_is_told_with_what_was_meant() -> None:
    problem = problem_of(RuntimeModel(model="anthropc:claude"))

    assert (problem.field, problem.message) == ("spec.models[0].model", "unknown provider 'anthropc'")
    assert problem.remedy.startswith("did you mean 'anthropic'? ")


def test_a_provider_for_other_things_than_chat_is_told() -> None:
    problem = problem_of(RuntimeModel(model="voyageai:voyage-4", api_key=KEY), {0: "sk-1"})

    assert problem.field == "spec.models[0].model"


@pytest.mark.parametrize(
    ("model", "field", "message"),
    [
        (
            RuntimeModel(model="cohere:command-r", base_url="http://x", api_key=KEY),
            "spec.models[0].baseUrl",
            "the provider 'cohere' takes no address",
        ),
        (
            RuntimeModel(model="test", base_url="http://x"),
            "spec.models[0]",
            "the model 'test' asks nobody",
        ),
    ],
)
def test_what_a_provider_does_not_take_is_not_ignored(model: RuntimeModel, field: str, message: str) -> None:
    problem = problem_of(model, {0: "sk-1"})

    assert (problem.field, problem.message) == (field, message)


def test_a_model_whose_key_is_missing_has_no_second_problem() -> None:
    assert build_models(config_of(VLLM.model_copy(update={"api_key": KEY})), known()) == ((), (), ())


def test_a_key_in_a_providers_own_words_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Chatty(OpenAIProvider):
        def __init__(self, api_key: str) -> None:
            raise UserError(f"the key {api_key} is too short")

    # No installed provider repeats its key; one in an image of the user's own may.
    monkeypatch.setattr(models, "infer_provider_class", lambda _: Chatty)

    problem = problem_of(RuntimeModel(model="openai-chat:x", api_key=KEY), {0: "sk-very-secret"})

    assert problem.message == "the key <the key> is too short"
