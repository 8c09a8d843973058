"""The structural schema follows Kubernetes' rules, whatever pydantic writes."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from mizzen_api.crd import custom_resource_definition
from mizzen_api.structural import structural_schema


class Inner(BaseModel):
    """An inner model."""

    size: Annotated[int, Field(gt=0)] = 3


class Outer(BaseModel):
    """An outer model."""

    maybe: str | None = None
    kind: Literal["one"] = "one"
    inner: Inner = Inner()
    names: dict[str, Annotated[str, Field(max_length=5)]] = {}


def test_references_are_inlined_and_nested_defaults_kept() -> None:
    inner = structural_schema(Outer)["properties"]["inner"]
    assert inner == {
        "type": "object",
        "description": "An inner model.",
        "properties": {"size": {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "default": 3}},
        "default": {"size": 3},
    }


def test_an_optional_field_is_an_absent_field_not_a_null() -> None:
    assert structural_schema(Outer)["properties"]["maybe"] == {"type": "string"}


def test_a_constant_becomes_an_enum() -> None:
    assert structural_schema(Outer)["properties"]["kind"]["enum"] == ["one"]


def test_a_map_keeps_the_schema_of_its_values() -> None:
    names = structural_schema(Outer)["properties"]["names"]
    assert names["additionalProperties"] == {"type": "string", "maxLength": 5}


def test_a_union_that_cannot_be_expressed_is_an_error_that_shows_it() -> None:
    class Union(BaseModel):
        either: int | str

    with pytest.raises(ValueError, match="cannot express this union"):
        structural_schema(Union)


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from nodes(schema[name], f"{path}[{name}]")


def spec_nodes() -> list[tuple[str, dict[str, Any]]]:
    version = custom_resource_definition()["spec"]["versions"][0]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    return [*nodes(properties["spec"], "spec"), *nodes(properties["status"], "status")]


def test_every_list_map_and_string_of_the_crd_has_a_bound() -> None:
    unbounded = []
    for path, node in spec_nodes():
        bound = {"array": "maxItems", "string": "maxLength"}.get(node.get("type", ""))
        if isinstance(node.get("additionalProperties"), dict):
            bound = "maxProperties"
        if bound and bound not in node and "enum" not in node:
            unbounded.append(f"{path} has no {bound}")
    assert unbounded == []


def test_every_field_of_the_crd_is_described() -> None:
    silent = [path for path, node in spec_nodes() if "description" not in node and not path.endswith("]")]
    assert silent == []


def test_the_crd_holds_no_reference_no_title_and_no_null() -> None:
    text = str(custom_resource_definition())
    for word in ("$ref", "$defs", "'title'", "anyOf", "'null'", "'const'", "'additionalProperties': False"):
        assert word not in text
