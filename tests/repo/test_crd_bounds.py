"""Every list, map and string of the CRD has a bound: the API server's cost budget for CEL needs them."""

from collections.abc import Iterator
from typing import Any

import pytest

from mizzen_api.crd import custom_resource_definition

Schema = dict[str, Any]
GIVEN_BY_KUBERNETES = {"apiVersion", "kind", "metadata"}


def unbounded(schema: Schema, path: str) -> Iterator[str]:
    kind = schema.get("type")
    if kind == "array" and "maxItems" not in schema:
        yield f"{path}: a list without maxItems"
    if kind == "string" and not {"maxLength", "enum", "format"} & schema.keys():
        yield f"{path}: a string without maxLength"
    if kind == "object" and "properties" not in schema and "maxProperties" not in schema:
        yield f"{path}: a map without maxProperties"
    for name, child in schema.get("properties", {}).items():
        yield from unbounded(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from unbounded(schema[key], f"{path}[]")


def test_every_list_map_and_string_of_the_crd_has_a_bound() -> None:
    schema = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for name in GIVEN_BY_KUBERNETES:
        del schema["properties"][name]
    assert list(unbounded(schema, "")) == []


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "array", "items": {"type": "integer"}}, "x: a list without maxItems"),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, "x.a: a string without maxLength"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "x: a map without maxProperties"),
    ],
)
def test_a_missing_bound_is_found(schema: Schema, message: str) -> None:
    assert list(unbounded(schema, "x")) == [message]
