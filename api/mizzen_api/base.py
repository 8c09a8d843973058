"""The base of every model that crosses a process boundary."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class ApiModel(BaseModel):
    """Frozen, strict about unknown fields, camelCase outside and snake_case inside.

    A field's docstring is its description in the CRD and in the reference.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )


@dataclass(frozen=True)
class Matching:
    """Annotates a text that must match a pattern: pydantic's own constraint tells people the pattern alone."""

    pattern: str
    """Regular expression for the whole text, in what Python and Go have in common; it is in the schema too."""
    expected: str
    """What the author is told to write."""
    may_be_secret: bool = False
    """Whether a wrong value is kept out of the message."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the text's other constraints."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the pattern to the text's schema."""
        return {**handler(schema), "pattern": self.pattern}

    def _check(self, text: str) -> str:
        if re.fullmatch(self.pattern, text) is None:
            if self.may_be_secret:
                raise ValueError(self.expected)
            raise PydanticCustomError("pattern", "{expected}", {"expected": self.expected})
        return text
