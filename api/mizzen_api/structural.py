"""Turns a pydantic model into a Kubernetes structural schema.

Rules: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

JsonSchema = dict[str, Any]

_KEPT = (
    "type",
    "description",
    "enum",
    "format",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "pattern",
    "required",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
)
"""What carries over as it is. Everything else is translated below or, like `title`, left out."""


def structural_schema(model: type[BaseModel]) -> JsonSchema:
    """Give the structural schema of a model, in validation mode and by alias.

    Raises:
        ValueError: The model has a shape that a structural schema cannot express; the message names it.
    """
    schema = model.model_json_schema(by_alias=True)
    return _Translator(schema.get("$defs", {})).translate(schema)


class _Translator:
    def __init__(self, definitions: Mapping[str, JsonSchema]) -> None:
        self._definitions = definitions

    def translate(self, schema: JsonSchema) -> JsonSchema:
        """Translate one node and all below it."""
        schema = self._without_references_and_null(schema)
        if schema.get("x-kubernetes-int-or-string"):
            kept = ("x-kubernetes-int-or-string", "minimum", "pattern", "maxLength")
            return _described(schema, {key: schema[key] for key in kept if key in schema})
        if schema.get("x-kubernetes-preserve-unknown-fields") and _is_open(schema):
            return _described(schema, {"x-kubernetes-preserve-unknown-fields": True})
        if "anyOf" in schema or "oneOf" in schema or "allOf" in schema:
            raise ValueError(f"a structural schema cannot express this union: {schema}")
        result = {key: schema[key] for key in _KEPT if key in schema}
        if "const" in schema:
            result["enum"] = [schema["const"]]
        self._translate_bounds(schema, result)
        self._translate_children(schema, result)
        if schema.get("default") is not None:
            result["default"] = _without_nulls(schema["default"])
        return result

    def _without_references_and_null(self, schema: JsonSchema) -> JsonSchema:
        """Inline `$ref`, and take the null out of `X | None`: Kubernetes has absent fields, not null ones."""
        while True:
            if "$ref" in schema:
                target = self._definitions[schema["$ref"].removeprefix("#/$defs/")]
                schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
                continue
            options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
            if "anyOf" in schema and len(options) == 1:
                rest = {key: value for key, value in schema.items() if key != "anyOf"}
                schema = {**options[0], **rest}
                continue
            return schema

    def _translate_bounds(self, schema: JsonSchema, result: JsonSchema) -> None:
        for exclusive, inclusive in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if exclusive in schema:
                result[inclusive] = schema[exclusive]
                result[exclusive] = True

    def _translate_children(self, schema: JsonSchema, result: JsonSchema) -> None:
        if "properties" in schema:
            result["properties"] = {name: self.translate(child) for name, child in schema["properties"].items()}
        if "items" in schema:
            result["items"] = self.translate(schema["items"])
        values = schema.get("additionalProperties")
        if isinstance(values, dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
            result["additionalProperties"] = self.translate(values)


def _is_open(schema: JsonSchema) -> bool:
    """Tell whether the node has no single type to state."""
    return "anyOf" in schema or "oneOf" in schema or "items" in schema


def _without_nulls(default: Any) -> Any:
    """Take absent fields out of a default: the API server checks it against the schema, which knows no null."""
    if isinstance(default, dict):
        return {key: _without_nulls(value) for key, value in default.items() if value is not None}
    return default


def _described(schema: JsonSchema, result: JsonSchema) -> JsonSchema:
    if "description" in schema:
        result["description"] = schema["description"]
    return result
