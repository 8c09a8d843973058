"""Serves own code that derives from `ProductionAgentBase`: makes it, and tells at the start what does not fit."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError

from mizzen_api.problems import Problem
from mizzen_runtime.config import ConfigRefused
from mizzen_runtime.container import AgentServices
from mizzen_runtime.container.needs import Need, needs_of
from mizzen_runtime.own_code.imports import OwnCode
from mizzen_runtime.production_agent import AgentConfig, ProductionAgentBase
from mizzen_runtime.redaction import Redactor
from mizzen_runtime.services.annotations import annotation_text, evaluated

OwnBase = ProductionAgentBase[Any, Any]

FIELD = "spec.entrypoint"
_GIVEN = ("name", "config")
"""Parameters of its `__init__` that the runtime fills."""
_ANNOTATE = "annotate it with two pydantic models: async def _process_core_request(self, request: Ticket) -> Decision"
DECIDED_BY = {
    "max_concurrent_requests": "spec.limits.maxConcurrentRequests",
    "max_queued_requests": "spec.limits.maxQueuedRequests",
    "request_timeout": "spec.limits.requestTimeout",
    "max_threads": "the variable MIZZEN_THREADS in spec.pod.env",
}
"""What says in a pod what a field of the config says elsewhere."""


@dataclass(frozen=True)
class BuiltBase:
    """An agent of own code that answers by itself, and what callers and operator may know about it."""

    agent: OwnBase
    input_type: type[BaseModel]
    output_type: type[BaseModel]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    deps_type = AgentServices
    """What it wants as its dependencies."""
    models = ()
    members = ()
    """It asks its own models, which nobody else knows."""

    @property
    def description(self) -> str | None:
        """What its class says of itself."""
        text = vars(type(self.agent)).get("__doc__")
        return inspect.cleandoc(text) if text else None


def maker_of(code: OwnCode, found: type[OwnBase], name: str, config: AgentConfig) -> Callable[[], OwnBase]:
    """Give what makes an agent of a class.

    Args:
        code: Where the class was found.
        found: The class.
        name: What the agent is called.
        config: What it may take; in the class's own type of config, if it has one.

    Raises:
        ConfigRefused: It is abstract, or needs what nothing gives it.
    """
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise code.refused(f"the class {found.__qualname__} does not write {', '.join(missing)}", _ANNOTATE)
    parameters = {need.parameter: need for need in needs_of(found, (), {}).parameters}
    lacking = [each for each, need in parameters.items() if each not in _GIVEN and not need.has_default]
    if lacking:
        raise code.refused(
            f"{code.path} needs {', '.join(lacking)}, and nothing gives it that",
            "take services by self.services in _process_core_request, or name a function that makes the agent",
        )
    given: dict[str, Any] = {}
    if "name" in parameters:
        given["name"] = name
    if "config" in parameters:
        given["config"] = _config_for(code, parameters["config"], config)
    return partial(found, **given)


def _config_for(code: OwnCode, need: Need, config: AgentConfig) -> AgentConfig:
    kind = need.interface
    if not (inspect.isclass(kind) and issubclass(kind, AgentConfig)):
        return config
    try:
        return kind.model_validate(dict(config))
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
        raise code.refused(
            f"{code.path} wants a config of type {kind.__qualname__}, and nothing gives its {fields}",
            "give each field a default, or name a function that makes the agent",
        ) from error


def built_base(agent: OwnBase, config: AgentConfig, redact: Redactor) -> BuiltBase:
    """Give an agent of own code as it is served.

    Args:
        agent: The agent.
        config: What it may take in this pod.
        redact: Takes secrets out of what own code says when it fails.

    Raises:
        ConfigRefused: With all that cannot be served.
    """
    if not hasattr(agent, "_platform"):
        remedy = "call super().__init__(name, config) in it"
        raise ConfigRefused([_problem(f"{_name_of(agent)}.__init__ does not call that of its base", remedy)])
    problems = [*_contradicted(agent, config)]
    types: dict[str, type[BaseModel]] = {}
    schemas: dict[str, dict[str, Any]] = {}
    for what, annotation in _annotations_of(agent).items():
        if not (inspect.isclass(annotation) and issubclass(annotation, BaseModel)) or annotation is BaseModel:
            shown = "nothing" if annotation is inspect.Parameter.empty else annotation_text(annotation)
            problems.append(_problem(f"{_name_of(agent)}._process_core_request has {shown} as its {what}", _ANNOTATE))
            continue
        types[what] = annotation
        try:
            schemas[what] = annotation.model_json_schema(mode="validation" if what == _INPUT else "serialization")
        except Exception as error:  # noqa: BLE001 - pydantic and own types refuse in whatever way they like
            said = redact(str(error).partition("\n")[0])
            remedy = "use types that pydantic can write as JSON"
            problems.append(_problem(f"its {what} {annotation.__qualname__} has no JSON schema: {said}", remedy))
    if problems:
        raise ConfigRefused(problems)
    return BuiltBase(agent, types[_INPUT], types[_OUTPUT], schemas[_INPUT], schemas[_OUTPUT])


_INPUT = "input type"
_OUTPUT = "output type"


def _annotations_of(agent: OwnBase) -> dict[str, Any]:
    process = agent._process_core_request  # noqa: SLF001 - what own code writes
    signature = inspect.signature(process)
    request = next(iter(signature.parameters.values()), None)
    given = inspect.Parameter.empty if request is None else request.annotation
    annotations = {_INPUT: given, _OUTPUT: signature.return_annotation}
    return {what: evaluated(annotation, process) for what, annotation in annotations.items()}


def _contradicted(agent: OwnBase, config: AgentConfig) -> Iterator[Problem]:
    """Tell of limits that own code wrote down and that do not hold in this pod."""
    for field, decided_by in DECIDED_BY.items():
        said, holds = getattr(agent.config, field), getattr(config, field)
        if field in agent.config.model_fields_set and said != holds:
            yield _problem(
                f"the agent's config says {field}={said:g}, and in this pod it is {holds:g}",
                f"leave it out in the code, and say it by {decided_by}",
            )


def _name_of(agent: OwnBase) -> str:
    return type(agent).__qualname__


def _problem(message: str, remedy: str) -> Problem:
    return Problem(field=FIELD, message=message, remedy=remedy)
