"""Finds the fields of a settings model, and of the models inside it, by the path that a key of a ConfigMap spells."""

import json
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr

FieldPath = tuple[str, ...]


@dataclass(frozen=True)
class AgentName:
    """Which agent the settings are for."""

    namespace: str
    """Its namespace, where its ConfigMaps and Secrets are too."""
    name: str
    """Its name."""


@dataclass(frozen=True)
class DefaultOfAgent:
    """Annotates a field of a settings model whose default holds the agent's name, so that no two share it unasked."""

    template: str
    """The text, such as `mizzen:{namespace}/{name}:`."""


def defaults_of_agent(model: type[BaseModel], agent: AgentName) -> dict[str, str]:
    """Give the fields that an agent has a default of its own for."""
    return {
        field: mark.template.format(namespace=agent.namespace, name=agent.name)
        for field, info in model.model_fields.items()
        for mark in info.metadata
        if isinstance(mark, DefaultOfAgent)
    }


_PLAIN = (str, bytes, SecretStr, SecretBytes)
"""Types that a text fills as it is; others of more than one part are written as JSON."""


def unknown_at(model: type[BaseModel], path: FieldPath) -> list[str] | None:
    """Give the fields that there are where a path leaves the model; None if it does not."""
    for part in path:
        if model.model_config.get("extra") == "allow":
            return None
        annotation = _field_type(model, part)
        if annotation is None:
            return [*model.model_fields]
        inner = _model_in(annotation)
        if inner is None:
            return None  # a plain value, or a mapping of free keys
        model = inner
    return None


def is_secret(model: type[BaseModel], path: FieldPath) -> bool:
    """Tell whether a path leads to what pydantic keeps out of a repr."""
    return any(member in {SecretStr, SecretBytes} for member in _members(_type_at(model, path)))


def decoded(model: type[BaseModel], path: FieldPath, text: str) -> Any:
    """Give a text as pydantic is to see it: one that stands for a list or an object is JSON."""
    if not text.lstrip().startswith(("[", "{")):
        return text
    if any(member in _PLAIN for member in _members(_type_at(model, path))):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text  # pydantic says what it should be


def _type_at(model: type[BaseModel], path: FieldPath) -> Any:
    """Give the type of the field that a path leads to, or of the one that holds it in a form of its own."""
    annotation: Any = None
    inner: type[BaseModel] | None = model
    for part in path:
        if inner is None:
            break
        annotation = _field_type(inner, part)
        inner = _model_in(annotation)
    return annotation


def _field_type(model: type[BaseModel], name: str) -> Any:
    for known, field in model.model_fields.items():
        if name in {known, field.alias, field.validation_alias}:
            return field.annotation
    return None


def _members(annotation: Any) -> Iterator[Any]:
    """Give the types that an annotation allows."""
    if get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    elif get_origin(annotation) in {Union, types.UnionType}:
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _model_in(annotation: Any) -> type[BaseModel] | None:
    models = (member for member in _members(annotation) if isinstance(member, type) and issubclass(member, BaseModel))
    return next(models, None)
