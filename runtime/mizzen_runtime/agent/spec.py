"""Checks the agent's spec against the installed pydantic-ai, so that no fault waits for the first request."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_ai import Agent
from pydantic_ai.agent.spec import AgentSpec
from pydantic_ai.models import Model
from pydantic_ai.native_tools import SUPPORTED_NATIVE_TOOLS, AbstractNativeTool
from pydantic_ai.settings import ModelSettings
from typing_extensions import is_typeddict

from mizzen_api.capabilities import PYTHON_TOOLS, argument_of, capability_problem, secrets_named_in, with_secrets
from mizzen_api.problems import Problem, message_of, path_of
from mizzen_runtime.agent.models import TEST_MODEL, known_providers
from mizzen_runtime.agent.refusals import refusals_of
from mizzen_runtime.agent.templates import TEMPLATED
from mizzen_runtime.config import SPEC_FIELD, check_shape
from mizzen_runtime.extras import extra_named_in, remedy_for_missing


class StrictSpec(AgentSpec, extra="forbid"):
    """The installed pydantic-ai's spec, which ignores unknown keys by default."""


def check_spec(
    spec: Mapping[str, Any], models: Sequence[Model], secrets: Mapping[str, str], *, all_built: bool = True
) -> tuple[Problem, ...]:
    """Find all that is wrong with an agent's spec, apart from its templates and its output schema.

    Args:
        spec: The spec as the user wrote it.
        models: The models of the chain, for the settings and tools that they know.
        secrets: The values that capabilities refer to, those that could be read.
        all_built: Whether these are all of the chain: a setting that bears a provider's name may be for another one.
    """
    return (
        *_shape_problems(spec),
        *_settings_problems(spec.get("model_settings"), models, all_built=all_built),
        *_capability_problems(spec.get("capabilities"), models, secrets),
    )


def _shape_problems(spec: Mapping[str, Any]) -> tuple[Problem, ...]:
    problems = check_shape(spec)
    if problems:
        return problems  # the installed spec would repeat them
    try:
        # The templates are checked and filled beside it: a broken one would end its validation.
        StrictSpec.model_validate({key: value for key, value in spec.items() if key not in TEMPLATED})
    except ValidationError as error:
        return refusals_of(error, spec, SPEC_FIELD, "correct the value")
    return ()


def _settings_problems(settings: object, models: Sequence[Model], *, all_built: bool) -> Iterator[Problem]:
    if not isinstance(settings, dict):
        return
    known = set(ModelSettings.__annotations__).union(*map(_settings_of, models))
    undecided = () if all_built else known_providers()
    for key in settings.keys() - known:
        if key.partition("_")[0] not in undecided:
            message = "no model of the chain knows this setting"
            yield _problem(f"model_settings.{key}", message, "remove it, or correct its spelling")
    if isinstance(choice := settings.get("tool_choice"), list) or choice == "required":
        yield _problem(
            "model_settings.tool_choice",
            f"with {choice!r} at every step the agent can never answer",
            "use 'auto' or 'none', or leave it out",
        )
    try:
        _settings_model().model_validate({"model_settings": settings}, strict=True)
    except ValidationError as error:
        seen: set[str] = set()
        for line in error.errors(include_url=False, include_input=False):
            field = path_of(line["loc"][:2])
            if field not in seen:
                seen.add(field)
                yield _problem(field, message_of(line["type"], line["msg"]), "correct the value")


def _settings_model() -> type[BaseModel]:
    config = ConfigDict(arbitrary_types_allowed=True)
    return create_model("_Settings", __config__=config, model_settings=(ModelSettings, ...))


def _settings_of(model: Model) -> set[str]:
    """Give the settings that a model's module declares, which are its provider's own beside the common ones."""
    names: set[str] = set()
    for kind in type(model).__mro__:
        for declared in vars(sys.modules[kind.__module__]).values():
            if is_typeddict(declared) and declared.__name__.endswith("ModelSettings"):
                names |= set(declared.__annotations__)
    return names


def _capability_problems(
    capabilities: object, models: Sequence[Model], secrets: Mapping[str, str]
) -> Iterator[Problem]:
    if not isinstance(capabilities, list):
        return
    for index, entry in enumerate(capabilities):
        if not isinstance(entry, str | dict) or capability_problem(entry):
            continue  # not allowed: told by whoever checked the spec's shape
        if argument_of(entry, PYTHON_TOOLS, "tools"):
            continue  # told by whoever loaded them
        if not secrets.keys() >= set(secrets_named_in(entry)):
            continue  # told by whoever read them
        location = f"capabilities[{index}]"
        try:
            tools = Agent.from_spec({"capabilities": [with_secrets(entry, secrets)]}).root_capability.get_native_tools()
        except Exception as error:  # noqa: BLE001 - a capability refuses its arguments in whatever way it likes
            if extra := extra_named_in(error):
                message = "needs a package that is not installed in this image"
                yield _problem(location, message, remedy_for_missing(extra))
            else:
                yield from refusals_of(error, entry, f"{SPEC_FIELD}.{location}", "correct its arguments")
        else:
            for model, kind in _unsupported(tools, models):
                message = f"needs the tool {kind!r} of the model's provider, which {model!r} does not have"
                yield _problem(location, message, "remove it, or use other models")


def _unsupported(tools: Sequence[object], models: Sequence[Model]) -> Iterator[tuple[str, str]]:
    """Give each model and the kind of tool that it lacks; pydantic-ai itself would say so at the first request."""
    for tool in tools:
        if not isinstance(tool, AbstractNativeTool) or tool.optional:
            continue
        for model in models:
            supported = model.profile.get("supported_native_tools", SUPPORTED_NATIVE_TOOLS)
            if type(tool) not in supported or model.system == TEST_MODEL:  # whose profile claims to support all
                yield model.model_name, tool.kind


def _problem(location: str, message: str, remedy: str) -> Problem:
    return Problem(field=f"{SPEC_FIELD}.{location}" if location else SPEC_FIELD, message=message, remedy=remedy)
