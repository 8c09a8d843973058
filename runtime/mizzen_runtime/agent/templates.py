"""Fills the templates in what an agent is told with `spec.vars`, once: what they say belongs to the revision."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pydantic_handlebars as handlebars

from mizzen_api.problems import Problem
from mizzen_runtime.config import SPEC_FIELD

TEMPLATED = ("instructions", "description")
"""Fields that may hold templates."""
_MARK = "{{"


@dataclass(frozen=True)
class FilledTexts:
    """What an agent is told and told of, as it is to be used."""

    instructions: tuple[str, ...]
    description: str | None


def fill_templates(spec: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[FilledTexts, tuple[Problem, ...]]:
    """Fill every template of a spec.

    Args:
        spec: The agent's spec as the user wrote it.
        values: `spec.vars`.

    Returns:
        The texts, and what is wrong with them: then they stand as they were written.
    """
    schema = _schema_of(values)
    problems = [
        problem for field in TEMPLATED for place, text in _texts(spec, field) for problem in _check(text, schema, place)
    ]
    fill = str if problems else partial(_filled, values=values)
    instructions = tuple(fill(text) for _, text in _texts(spec, "instructions"))
    description = next((fill(text) for _, text in _texts(spec, "description")), None)
    return FilledTexts(instructions, description), tuple(problems)


def _texts(spec: Mapping[str, Any], field: str) -> Iterator[tuple[str, str]]:
    """Give the texts of a field, each with its place; what is none is told by whoever checks the spec's shape."""
    written = spec.get(field)
    if isinstance(written, str):
        yield field, written
    elif isinstance(written, list):
        yield from ((f"{field}[{index}]", text) for index, text in enumerate(written) if isinstance(text, str))


def _filled(text: str, values: Mapping[str, Any]) -> str:
    return handlebars.compile(text).render(dict(values)) if _MARK in text else text


def _check(text: str, schema: dict[str, Any], place: str) -> Iterator[Problem]:
    if _MARK not in text:
        return
    field = f"{SPEC_FIELD}.{place}"
    try:
        issues = handlebars.check_template_compatibility(text, schema).issues
    except handlebars.HandlebarsError as error:
        remedy = "correct the template, or write `\\{{` for literal braces"
        yield Problem(field=field, message=f"holds a template that cannot be read: {error}", remedy=remedy)
        return
    for name in dict.fromkeys(issue.field_path for issue in issues):
        yield Problem(
            field=field,
            message=f"holds a template of {name!r}, which nothing fills: the model would read nothing there",
            remedy=f"add {name!r} to spec.vars, or write `\\{{{{` for literal braces",
        )


def _schema_of(value: object) -> dict[str, Any]:
    """Give the JSON schema of what there is: a template must ask for nothing else."""
    if isinstance(value, Mapping):
        properties = {key: _schema_of(item) for key, item in value.items()}
        return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    if isinstance(value, list):
        return {"type": "array", "items": _schema_of(value[0]) if value else {}}
    return {}
