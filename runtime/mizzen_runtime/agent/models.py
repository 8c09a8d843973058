"""Builds the chain of models. Every problem of every model is told at once."""

import inspect
import ssl
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from httpx2 import AsyncClient, AsyncHTTPTransport, Limits
from pydantic_ai.exceptions import UserError
from pydantic_ai.models import (
    KnownModelName,
    Model,
    create_async_httpx2_client,
    infer_model,
)
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers import Provider, infer_provider_class
from pydantic_ai.settings import ModelSettings

from mizzen_api.contract import RuntimeConfig, RuntimeModel
from mizzen_api.problems import Problem
from mizzen_runtime.extras import extra_named_in, remedy_for_missing
from mizzen_runtime.mounted_secrets import MountedSecrets

TEST_MODEL = "test"
_BASE_URL_PARAMETERS = ("base_url", "api_base", "azure_endpoint")
"""What providers call the address of their API."""
_TAKEN = {"baseUrl": "address", "apiKey": "key", "caBundle": "authorities"}
"""What the fields of a model give to its provider."""
_LIMITS = Limits(max_connections=1000, max_keepalive_connections=100)
"""Connections to one provider, as pydantic-ai's own clients have them."""
_PROFILE = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
"""Without it, a stream that a server or proxy cuts passes for a whole answer. Other protocols' models ignore it."""


def chain_of(config: RuntimeConfig) -> tuple[RuntimeModel, ...]:
    """Give the models in order of preference, wherever the configuration names them; none where own code does."""
    if config.models:
        return config.models
    model = (config.agent or {}).get("model")
    return (RuntimeModel(model=model),) if isinstance(model, str) else ()


class BuiltModels(NamedTuple):
    """The models of a chain."""

    members: tuple[Model, ...]
    """Those that could be built, in order. One whose key or authorities are missing is left out without a problem of
    its own: who read them has told it."""
    clients: tuple[AsyncClient, ...]
    """What those with authorities of their own ask by; whoever uses the models closes them."""
    problems: tuple[Problem, ...]
    """What is wrong with the others."""


def build_models(config: RuntimeConfig, secrets: MountedSecrets) -> BuiltModels:
    """Build every model of the chain.

    Args:
        config: The configuration.
        secrets: What could be read of the models' keys and authorities.
    """
    models: list[Model] = []
    clients: list[AsyncClient] = []
    problems: list[Problem] = []
    for index, endpoint in enumerate(chain_of(config)):
        field = f"spec.models[{index}]" if config.models else "spec.agent"
        key, authorities = secrets.model_keys.get(index), secrets.authorities.get(index)
        if (endpoint.api_key and key is None) or (endpoint.ca_bundle and authorities is None):
            continue
        client = _client_that_trusts(authorities, endpoint.base_url) if authorities is not None else None
        clients.extend(filter(None, [client]))
        try:
            models.append(build_model(endpoint, key, field, client))
        except ModelRefused as found:
            problems.append(found.problem)
    return BuiltModels(tuple(models), tuple(clients), (*problems, *_source_problems(config)))


def _source_problems(config: RuntimeConfig) -> Iterator[Problem]:
    if config.agent is None:
        return
    if config.models and config.agent.get("model") is not None:
        remedy = "name it in one of the two"
        yield Problem(field="spec.agent.model", message="is not used beside spec.models", remedy=remedy)
    if not chain_of(config):
        remedy = "name one here or in spec.agent.model"
        yield Problem(field="spec.models", message="no model is named", remedy=remedy)


class ModelRefused(Exception):  # noqa: N818 - it carries a problem out of a nested call
    """A model cannot be built."""

    def __init__(self, field: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.problem = Problem(field=field, message=message, remedy=remedy)


def build_model(endpoint: RuntimeModel, key: str | None, field: str, client: AsyncClient | None = None) -> Model:
    """Build one model, with the settings and the profile that every model of a chain has.

    Args:
        endpoint: What it is.
        key: Its key; None where the provider finds one in the environment, or needs none.
        field: Where it is named.
        client: What it asks by, if not by one that its provider makes and closes.

    Raises:
        ModelRefused: It cannot be built.
    """
    if endpoint.model == TEST_MODEL:
        if endpoint.base_url or endpoint.api_key or endpoint.ca_bundle:
            raise ModelRefused(field, "the model 'test' asks nobody", "leave baseUrl, apiKey and caBundle out")
        from pydantic_ai.models.test import TestModel  # noqa: PLC0415 - its import costs a start 40 ms

        # Its default calls every tool once with arguments that it makes up.
        return TestModel(call_tools=[])
    provider_name = endpoint.model.partition(":")[0]
    provider = _provider(provider_name, endpoint, key, field, client)
    try:
        model = infer_model(endpoint.model, provider_factory=lambda _: provider)
    except ImportError as error:
        raise _missing_extra(error, provider_name, field) from error
    except UserError as error:
        raise ModelRefused(f"{field}.model", error.message, "correct the model's name") from error
    return _configured(model, provider, endpoint)


def as_in_a_chain(model: Model) -> Model:
    """Give a model of own code the settings and the profile that every model of a chain has.

    pydantic-ai makes a model of the name that an `Agent` is given, and keeps no name. A model to which the code gave
    settings or a profile stays as it is.
    """
    provider = model.provider
    model_class: type[Any] = type(model)
    if provider is None or not model_class.__module__.startswith("pydantic_ai.models."):
        return model
    try:
        by_name = model_class(model.model_name, provider=provider)
    except TypeError:  # it wraps others
        return model
    return _configured(model, provider, RuntimeModel(model=model.model_id)) if by_name == model else model


def _configured(model: Model, provider: Provider[Any], endpoint: RuntimeModel) -> Model:
    # `infer_model` finds the class, but takes neither settings nor profile.
    model_class: type[Any] = type(model)
    configured: Model = model_class(
        model.model_name, provider=provider, settings=_settings(model, endpoint), profile=_PROFILE
    )
    return configured


def _settings(model: Model, endpoint: RuntimeModel) -> ModelSettings:
    settings = ModelSettings()
    if "max_retries" not in model.unsupported_settings:
        # The chain and the caller decide what is tried again; retries of the SDK would multiply with theirs.
        settings["max_retries"] = 0
    if endpoint.request_timeout_seconds is not None:
        settings["request_timeout"] = endpoint.request_timeout_seconds
    return settings


def _provider(
    name: str, endpoint: RuntimeModel, key: str | None, field: str, client: AsyncClient | None
) -> Provider[object]:
    try:
        provider_class = infer_provider_class(name)
    except ValueError as error:
        raise ModelRefused(f"{field}.model", f"unknown provider {name!r}", _spelling(name)) from error
    except ImportError as error:
        raise _missing_extra(error, name, field) from error
    parameters = inspect.signature(provider_class.__init__).parameters
    arguments: dict[str, Any] = {}
    for given, value, known in (
        ("baseUrl", endpoint.base_url, _BASE_URL_PARAMETERS),
        ("apiKey", key, ("api_key",)),
        ("caBundle", client, ("http_client",)),
    ):
        if value is None:
            continue
        parameter = next((each for each in known if each in parameters), None)
        if parameter is None:
            raise ModelRefused(f"{field}.{given}", f"the provider {name!r} takes no {_TAKEN[given]}", "leave it out")
        arguments[parameter] = value
    try:
        return provider_class(**arguments)
    except ImportError as error:
        raise _missing_extra(error, name, field) from error
    except Exception as error:  # each provider's SDK refuses in its own way
        message = (
            str(error)
            if isinstance(error, UserError)
            else f"the provider {name!r} cannot be set up: {type(error).__name__}"
        )
        if key is not None:
            message = message.replace(key, "<the key>")
        raise ModelRefused(
            field, message, "give apiKey and baseUrl in spec.models, or the variable in spec.pod.env"
        ) from error


def _client_that_trusts(authorities: str, address: str | None) -> AsyncClient:
    """Make a client that checks certificates against `authorities` (PEM), by a proxy where the environment names one.

    It has pydantic-ai's own limits and times. With a transport of one's own, the environment's proxies are not looked
    at any more; the address is the provider's own if there is none.
    """
    context = ssl.create_default_context(cadata=authorities)
    url = urlsplit(address or "https://")
    proxy = None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)
    return create_async_httpx2_client(transport=AsyncHTTPTransport(verify=context, limits=_LIMITS, proxy=proxy))


def known_providers() -> set[str]:
    """Give the providers that pydantic-ai knows models of."""
    return {model.partition(":")[0] for model in KnownModelName.__value__.__args__ if ":" in model}


def _spelling(name: str) -> str:
    close = get_close_matches(name, sorted(known_providers()), n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}A server in the cluster that speaks OpenAI's protocol is `vllm:`, `ollama:` or `litellm:`"


def _missing_extra(error: ImportError, provider: str, field: str) -> ModelRefused:
    extra = extra_named_in(error) or provider
    return ModelRefused(
        f"{field}.model", f"the provider {provider!r} is not installed in this image", remedy_for_missing(extra)
    )
