"""What is wrong with a configuration, told so that the reader can mend it."""

import re
from collections.abc import Iterable

from pydantic import ValidationError

from mizzen_api.base import ApiModel

MAX_SHOWN = 100
"""Characters of a value, or of a field's name, that a problem repeats."""


class Problem(ApiModel):
    """One thing that the author of a configuration must change."""

    field: str
    """Path of the field, such as `spec.models[0].apiKey`."""
    message: str
    """What is wrong, with the value where it is no secret."""
    remedy: str
    """What to do about it."""

    def __str__(self) -> str:
        """Give the problem as one line."""
        return f"{self.field}: {self.message}; {self.remedy}"


def join_problems(problems: Iterable[Problem]) -> str:
    """Give all problems as one text, a sentence each."""
    return ". ".join(str(problem) for problem in problems)


def shortened(text: str, length: int) -> str:
    """Give a text of at most `length` characters, with an ellipsis where something was cut."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def path_of(location: Iterable[str | int], root: str = "") -> str:
    """Give a pydantic error location as a field path: `("models", 0, "apiKey")` is `models[0].apiKey`.

    A part in angle brackets names a member of a union (see `tagged`), which is none of the reader's business.
    """
    path = root
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not re.fullmatch("<.*>", part):
            path += f".{shortened(part, MAX_SHOWN)}" if path else shortened(part, MAX_SHOWN)
    return path


_REMEDIES = {
    "extra_forbidden": "remove it, or correct its spelling",
    "missing": "add it",
}


_WITHOUT_VALUE = frozenset({"missing", "value_error", "extra_forbidden", "model_type", "dict_type"})
"""Kinds of errors that do not repeat the value: in the place of an object, such as `apiKey`, somebody may have written
the secret itself."""


def problems_of(error: ValidationError, root: str = "") -> tuple[Problem, ...]:
    """Translate a pydantic error into problems, one for each of its lines.

    Args:
        error: What pydantic raised.
        root: Path of the object that was validated, such as `spec`.
    """
    lines = error.errors(include_url=False)
    problems = []
    for line in lines:
        if line["type"] == "too_short" and any(_is_within(other["loc"], line["loc"]) for other in lines):
            continue  # the items are there, but wrong: pydantic counts the right ones
        message = message_of(line["type"], line["msg"])
        if line["type"] not in _WITHOUT_VALUE:
            message += shown(line["input"])
        problems.append(
            Problem(
                field=path_of(line["loc"], root),
                message=message,
                remedy=_REMEDIES.get(line["type"], "correct the value"),
            )
        )
    return tuple(problems)


def _is_within(location: tuple[str | int, ...], other: tuple[str | int, ...]) -> bool:
    return len(location) > len(other) and location[: len(other)] == other


def message_of(kind: str, message: str) -> str:
    """Give pydantic's message of an error of `kind` in the words of somebody who writes YAML or JSON."""
    if kind == "extra_forbidden":
        return "unknown field"
    message = message.removeprefix("Value error, ")
    if kind in {"model_type", "dict_type"}:
        return "write an object, with fields of its own"
    if kind in {"tuple_type", "too_short", "too_long"}:
        message = re.sub(r"\btuple\b", "list", message, flags=re.IGNORECASE).replace(" after validation", "")
    return message[:1].lower() + message[1:]


def shown(value: object) -> str:
    """Say what the value is if that takes few words; a huge number cannot even be written."""
    if isinstance(value, str):
        return f" (it is {shortened(value, MAX_SHOWN)!r})"
    if isinstance(value, bool | float) or (isinstance(value, int) and value.bit_length() <= MAX_SHOWN):
        return f" (it is {value!r})"
    return ""
