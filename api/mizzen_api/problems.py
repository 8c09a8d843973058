"""What is wrong with a configuration, told so that the reader can mend it."""

from collections.abc import Iterable

from pydantic import ValidationError

from mizzen_api.base import ApiModel


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


def path_of(location: Iterable[str | int], root: str = "") -> str:
    """Give a pydantic error location as a field path: `("models", 0, "apiKey")` is `models[0].apiKey`."""
    path = root
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


_REMEDIES = {
    "extra_forbidden": "remove it, or correct its spelling",
    "missing": "add it",
}


def problems_of(error: ValidationError, root: str = "") -> tuple[Problem, ...]:
    """Translate a pydantic error into problems, one for each of its lines.

    Args:
        error: What pydantic raised.
        root: Path of the object that was validated, such as `spec`.
    """
    problems = []
    for line in error.errors(include_url=False):
        message = line["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        if line["type"] == "extra_forbidden":
            message = "unknown field"
        elif line["type"] not in {"missing", "value_error"} and isinstance(line["input"], str | int | float | bool):
            message += f" (it is {line['input']!r})"
        problems.append(
            Problem(
                field=path_of(line["loc"], root),
                message=message,
                remedy=_REMEDIES.get(line["type"], "correct the value"),
            )
        )
    return tuple(problems)
