"""Checks an agent that own code made: what the runtime cannot serve is told at the start, not to the first caller."""

from collections.abc import Iterator, Sequence
from inspect import isclass
from types import NoneType
from typing import Any, get_args

from pydantic_ai import DeferredToolRequests, PendingModelResponse
from pydantic_ai.models import Model

from mizzen_api.contract import RuntimeModel
from mizzen_api.problems import Problem
from mizzen_runtime.agent.entrypoint import OwnAgent
from mizzen_runtime.agent.models import ModelRefused, as_in_a_chain, build_model
from mizzen_runtime.agent.own_base import FIELD
from mizzen_runtime.redaction import Redactor

_NO_DEPENDENCIES = (object, NoneType)
"""What `deps_type` is of an agent that asks for none."""
_UNFINISHED = (DeferredToolRequests, PendingModelResponse)
"""Outputs that are no answers: a caller would have to come back with what they ask for."""


def check_own_agent(agent: OwnAgent) -> Iterator[Problem]:
    """Find what the runtime cannot give to an agent, apart from its model and its output's schema."""
    deps_type = deps_type_of(agent)
    if deps_type is not None and (not isclass(deps_type) or deps_type.__module__ == "builtins"):
        yield _problem(
            f"the agent wants dependencies of type {_name_of(agent.deps_type)}, which cannot hold services",
            "give it AgentServices, or a dataclass whose fields are interfaces of services, as deps_type",
        )
    for output in _outputs_of(agent.output_type):
        if output in _UNFINISHED:
            yield _problem(
                f"its output may be {_name_of(output)}, and there is nobody yet to continue such a run",
                "take it out of output_type, and let no tool wait for an approval or a call outside",
            )


def deps_type_of(agent: OwnAgent) -> type[Any] | None:
    """Give the type of the dependencies that an agent asks for; None if it asks for none."""
    return None if agent.deps_type in _NO_DEPENDENCIES else agent.deps_type


def output_schema_of(agent: OwnAgent, redact: Redactor) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Give the JSON schema of an agent's output; or an empty one, and why there is none."""
    try:
        return agent.output_json_schema(), ()
    except Exception as error:  # noqa: BLE001 - pydantic and own types refuse in whatever way they like
        said = redact(str(error).partition("\n")[0])
        remedy = "let the agent answer with types that pydantic can write as JSON"
        return {}, (_problem(f"its output has no JSON schema: {said}", remedy),)


def model_of(agent: OwnAgent) -> tuple[tuple[str, Model] | None, tuple[Problem, ...]]:
    """Give the model that an agent has itself, with its name; or None, and why it cannot be had."""
    model = agent.model
    if isinstance(model, Model):
        return (model.model_id, as_in_a_chain(model)), ()
    if model is None:
        return None, (_problem("the agent has no model", "give it one in the code, or name the chain in spec.models"),)
    try:
        return (model, build_model(RuntimeModel(model=model), None, FIELD)), ()
    except ModelRefused as refused:
        said, remedy = refused.problem.message, refused.problem.remedy
        return None, (_problem(f"its model {model!r} cannot be had: {said}", remedy),)


def _outputs_of(output_type: object) -> Iterator[Any]:
    """Give the outputs that an output type allows, where it lists several or unites them."""
    if isinstance(output_type, Sequence) and not isinstance(output_type, str):
        for each in output_type:
            yield from _outputs_of(each)
    elif members := get_args(output_type):
        yield from members
    else:
        yield output_type


def _name_of(kind: object) -> str:
    return str(getattr(kind, "__qualname__", kind))


def _problem(message: str, remedy: str) -> Problem:
    return Problem(field=FIELD, message=message, remedy=remedy)
