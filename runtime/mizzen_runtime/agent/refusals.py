"""What pydantic-ai refuses, told without the values that it refuses: a capability's arguments may hold a token."""

import re
from collections.abc import Iterator, Mapping, Sequence

from pydantic import ValidationError

from mizzen_api.problems import Problem, message_of, path_of

_ARGUMENT = re.compile(
    r"\w+(?:\.\w+)*\(\) (?:got an unexpected keyword argument|missing \d+ required [a-z-]+ arguments?:) '\w+'.*"
)
_TOLD = frozenset(
    {
        "bool_parsing",
        "bool_type",
        "dict_type",
        "extra_forbidden",
        "float_parsing",
        "float_type",
        "greater_than",
        "greater_than_equal",
        "int_from_float",
        "int_parsing",
        "int_type",
        "less_than",
        "less_than_equal",
        "list_type",
        "literal_error",
        "missing",
        "model_type",
        "string_too_long",
        "string_too_short",
        "string_type",
        "too_long",
        "too_short",
        "tuple_type",
        "union_tag_not_found",
    }
)
"""Kinds of pydantic's errors whose message holds nothing of the input and no validator's own words."""


def refusals_of(error: Exception, value: object, field: str, remedy: str) -> tuple[Problem, ...]:
    """Tell why pydantic-ai refused something.

    Args:
        error: What it raised, perhaps because of a `ValidationError` further down.
        value: What it refused, for the names that the author wrote.
        field: Path of it.
        remedy: What to do.

    Returns:
        A problem for each line of the `ValidationError`; a single one for any other exception.
    """
    names = frozenset(_names_in(value))
    causes = tuple(_causes(error))
    invalid = next((cause for cause in causes if isinstance(cause, ValidationError)), None)
    if invalid is None:
        return (Problem(field=field, message=f"pydantic-ai refuses it: {_reason(causes)}", remedy=remedy),)
    lines = invalid.errors(include_input=False, include_url=False, include_context=False)
    problems = [
        Problem(
            field=path_of((part for part in line["loc"] if isinstance(part, int) or part in names), field),
            message=f"pydantic-ai refuses it: {_message(line['type'], line['loc'], line['msg'])}",
            remedy=remedy,
        )
        for line in lines
    ]
    return tuple({str(problem): problem for problem in problems}.values())


def _reason(causes: Sequence[BaseException]) -> str:
    """Give the names of wrong arguments where Python told them, which hold no value; else the exception's type."""
    told = (str(cause) for cause in causes if isinstance(cause, TypeError) and _ARGUMENT.fullmatch(str(cause)))
    return next(told, type(causes[-1]).__name__)


def _message(kind: str, location: tuple[str | int, ...], message: str) -> str:
    if kind == "missing":
        return f"it lacks {location[-1]!r}"
    return message_of(kind, message) if kind in _TOLD else f"the value is not accepted ({kind})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an exception and what led to it, the first cause last."""
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _names_in(value: object) -> Iterator[str]:
    """Give every key of nested objects: what else pydantic puts into a location names members of unions."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield str(key)
            yield from _names_in(child)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for child in value:
            yield from _names_in(child)
