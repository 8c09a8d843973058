"""What caches agree on: what the contract does not show."""

from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen_runtime.implementations.cache_entries import (
    ForeignValueError,
    UnstorableValueError,
    ValueTooLargeError,
    decode_value,
    encode_value,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inside),
)


@given(JSON)
def test_whatever_is_json_comes_back(value: Any) -> None:
    found = decode_value(encode_value(value, 10**6))

    assert found == value
    assert repr(found) == repr(value)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_values_are_nested_so_deep_and_no_deeper() -> None:
    assert decode_value(encode_value(nested(100), 1000)) == nested(100)
    for levels in (101, 100_000):
        with pytest.raises(UnstorableValueError, match="nested more than 100 levels deep"):
            encode_value(nested(levels), 10**6)


class Colour(IntEnum):
    RED = 1


def test_tuples_and_kinds_of_numbers_become_what_json_has() -> None:
    assert decode_value(encode_value((1, Colour.RED), 100)) == [1, 1]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": {1, 2}}, "the value holds an object of type set, which JSON has not"),
        ({("a",): 1}, "the value has a dict with a key that is no str; convert it first"),
        ({"a": [{1: 2}]}, "the value has a dict with a key of type int; keys are strings"),
        ({True: 2}, "the value has a dict with a key of type bool; keys are strings"),
        (
            float("nan"),
            "the value holds itself, NaN, an infinity, or a whole number of too many digits, which JSON has not",
        ),
        (
            10**5000,
            "the value holds itself, NaN, an infinity, or a whole number of too many digits, which JSON has not",
        ),
    ],
    ids=lambda case: "" if isinstance(case, str) else type(case).__name__,
)
def test_what_cannot_be_kept_is_told(value: Any, told: str) -> None:
    with pytest.raises(UnstorableValueError) as refused:
        encode_value(value, 10**6)

    assert str(refused.value) == told


def test_bytes_are_counted_not_characters() -> None:
    assert encode_value("ü", 4) == '"ü"'.encode()
    with pytest.raises(ValueTooLargeError, match="the value has 4 bytes as JSON, and max_value_bytes allows 3"):
        encode_value("ü", 3)


@pytest.mark.parametrize("text", [b"", b"no", b"[" * 100_000, b"1" * 5000, b"\xff"])
def test_what_is_no_json_is_somebody_elses(text: bytes) -> None:
    with pytest.raises(ForeignValueError):
        decode_value(text)
