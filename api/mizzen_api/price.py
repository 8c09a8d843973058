"""What a model costs."""

from typing import Annotated

from pydantic import BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError

from mizzen_api.base import ApiModel, Matching

_EXPECTED = 'write it as a decimal number in quotes, such as "0.15"'


def _refuse_number(value: object) -> object:
    if isinstance(value, int | float):
        raise PydanticCustomError("price", "{expected}", {"expected": _EXPECTED})
    return value


Dollars = Annotated[
    str,
    StringConstraints(max_length=13),
    Matching(r"^[0-9]{1,6}(\.[0-9]{1,6})?$", _EXPECTED),
    BeforeValidator(_refuse_number),
]
"""An amount as text: Kubernetes' conventions keep fractions out of numbers, which not every client reads alike."""


class ModelPrice(ApiModel):
    """What a model costs, in US dollars: what its provider charges, or what your own server is worth to you."""

    input_per_million_tokens: Dollars
    """For a million tokens that it reads, such as `"0.15"`. Those from the provider's cache count in full."""
    output_per_million_tokens: Dollars
    """For a million tokens that it writes."""
