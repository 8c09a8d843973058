"""Durations as Kubernetes users write them."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from mizzen_api.base import Matching

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"

_EXPECTED = "write it as 500ms, 30s or 1m30s"

MAX_DURATION_SECONDS = 86400.0

_BOUNDS = "must be more than 0 and at most 24h"
_BOUNDS_RULE = (
    f"!self.matches(r'{DURATION_PATTERN}')"  # the pattern's own message is enough
    " || (duration(self) > duration('0s') && duration(self) <= duration('24h'))"
)

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")


def _check_bounds(duration: str) -> str:
    if not 0 < seconds(duration) <= MAX_DURATION_SECONDS:
        raise PydanticCustomError("duration", _BOUNDS)
    return duration


Duration = Annotated[
    str,
    StringConstraints(min_length=2, max_length=32),
    Matching(DURATION_PATTERN, _EXPECTED),
    AfterValidator(_check_bounds),
    Field(json_schema_extra={"x-kubernetes-validations": [{"rule": _BOUNDS_RULE, "message": _BOUNDS}]}),
]
"""A length of time such as `500ms`, `30s` or `1m30s`: Go's notation, without a sign."""


def seconds(duration: str) -> float:
    """Give the length of a `Duration` in seconds: `1m30s` is 90.0.

    Raises:
        ValueError: The text is no duration.
    """
    if re.fullmatch(DURATION_PATTERN, duration) is None:
        raise ValueError(f"{duration!r} is no duration; {_EXPECTED}")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(duration))
