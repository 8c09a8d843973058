"""Finds the fields of a settings model, and of the models inside it, by the path that leads to a value."""

import contextlib
import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import AliasChoices, AliasPath, BaseModel, RootModel, Secret, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from typing_extensions import is_typeddict

FieldPath = tuple[str | int, ...]
"""Names of fields, keys of mappings and places in lists."""


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
_FREE = (Any, object)
"""Types that say nothing of what is inside."""


def decoded(model: type[BaseModel], path: FieldPath, text: str) -> Any:
    """Give a text as pydantic is to see it: one that stands for a list or an object is JSON."""
    if not text.lstrip().startswith(("[", "{")) or any(kind in _PLAIN for kind in _kinds_at(model, path)):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # pydantic says what it should be


def parts_of(path: FieldPath, content: object) -> Iterator[tuple[FieldPath, object]]:
    """Give a value and all that is inside it, each with its path; a loop, since JSON may be nested deeply."""
    waiting = [(path, content)]
    while waiting:
        place, part = waiting.pop()
        yield place, part
        inside = part.items() if isinstance(part, Mapping) else enumerate(part) if isinstance(part, list) else ()
        waiting.extend(reversed([((*place, key), child) for key, child in inside]))


def unknown_at(model: type[BaseModel], path: FieldPath) -> list[str] | None:
    """Give the fields that there are where the last step of a path leaves the model; None if it does not."""
    *before, last = path
    kinds = _kinds_at(model, tuple(before))
    fields = [names for names in map(_fields_of, kinds) if names is not None]
    if not fields or isinstance(last, int) or any(_takes_any_key(kind) for kind in kinds):
        return None
    known = {name for names in fields for name in names}
    return None if last in known else sorted(known)


def is_field(model: type[BaseModel], path: FieldPath) -> bool:
    """Tell whether the last step of a path is a field's name, and not a key of the author's."""
    *before, last = path
    return any(last in (_fields_of(kind) or ()) for kind in _kinds_at(model, tuple(before)))


def is_secret(model: type[BaseModel], path: FieldPath) -> bool:
    """Tell whether a path leads to what pydantic keeps out of a repr, or to a list or a mapping of that."""
    return any(
        _is_secret(kind) or any(_is_secret(item) for argument in get_args(kind) for item in _members(argument))
        for kind in _kinds_at(model, path)
    )


def _is_secret(kind: Any) -> bool:
    found = get_origin(kind) or kind
    return isinstance(found, type) and issubclass(found, (Secret, SecretStr, SecretBytes))


def _kinds_at(model: type[BaseModel], path: FieldPath) -> list[Any]:
    """Give the types that a value may have where a path leads; none where it leaves the model."""
    kinds = list(_members(model))
    for part in path:
        kinds = [inner for kind in kinds for annotation in _inside(kind, part) for inner in _members(annotation)]
    return kinds


def _inside(kind: Any, part: str | int) -> list[Any]:
    """Give the types of a part of what is of a type; those of a plain value are its own."""
    fields = _fields_of(kind)
    if fields is not None:
        return [fields[part]] if isinstance(part, str) and part in fields else []
    arguments = [argument for argument in get_args(kind) if argument is not Ellipsis]
    if not arguments or _is_secret(kind):
        return [kind]
    if get_origin(kind) is tuple and isinstance(part, int) and part < len(arguments):
        return [arguments[part]]
    return arguments[-1:]


def _takes_any_key(kind: Any) -> bool:
    fields = _fields_of(kind)
    if fields is not None:
        return bool(_setting_of(kind, "extra") == "allow")
    found = get_origin(kind) or kind
    return kind in _FREE or (isinstance(found, type) and issubclass(found, Mapping))


def _fields_of(kind: Any) -> dict[str, Any] | None:
    """Give the types of the fields by the names that a value is given under; None for a type without fields."""
    found: Mapping[str, FieldInfo] | None = getattr(kind, "__pydantic_fields__", None)
    if found is None:
        if isinstance(kind, type) and (is_dataclass(kind) or is_typeddict(kind)):
            with contextlib.suppress(NameError):  # a type that stands in a function; pydantic knows it all the same
                return get_type_hints(kind, include_extras=True)
        return None
    fields: dict[str, Any] = {}
    for name, field in found.items():
        for given, annotation in _given_as(kind, name, field):
            fields[given] = Union[fields[given], annotation] if given in fields else annotation  # noqa: UP007 - of values
    return fields


def _given_as(kind: Any, name: str, field: FieldInfo) -> Iterator[tuple[str, Any]]:
    """Give the keys that may hold a field, with the type of what they hold."""
    alias = field.validation_alias
    if alias is None or _setting_of(kind, "populate_by_name") or _setting_of(kind, "validate_by_name"):
        yield name, field.annotation
    for choice in alias.choices if isinstance(alias, AliasChoices) else () if alias is None else (alias,):
        if isinstance(choice, AliasPath):
            annotation: Any = field.annotation
            for _ in choice.path[1:]:
                annotation = dict[Any, annotation]
            yield str(choice.path[0]), annotation
        else:
            yield choice, field.annotation


def _setting_of(kind: Any, name: str) -> Any:
    config = getattr(kind, "model_config", None) or getattr(kind, "__pydantic_config__", None) or {}
    return config.get(name)


def _members(annotation: Any) -> Iterator[Any]:
    """Give the types that an annotation allows."""
    if get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    elif get_origin(annotation) in {Union, types.UnionType}:
        for member in get_args(annotation):
            yield from _members(member)
    elif isinstance(annotation, type) and issubclass(annotation, RootModel):
        yield from _members(annotation.model_fields["root"].annotation)
    else:
        yield annotation
