"""What a result may be, how it is written, and under what id."""

import itertools
import json
import math
import time
from datetime import date
from enum import IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen_runtime.implementations.results import (
    MAX_DEPTH,
    ResultTooLargeError,
    UnstorableResultError,
    decode_result,
    encode_result,
    new_id,
    parse_id,
)
from mizzen_runtime.services import ServiceError

ENOUGH = 10_000_000

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=10)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=10,
)


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


def refusal_of(result: Any) -> str:
    with pytest.raises(UnstorableResultError) as refusal:
        encode_result(result, ENOUGH)
    assert isinstance(refusal.value, ServiceError)
    assert isinstance(refusal.value, ValueError)
    return str(refusal.value)


@given(st.dictionaries(texts, values))
def test_a_result_comes_back_equal(result: dict[str, Any]) -> None:
    assert decode_result(encode_result(result, ENOUGH)) == result


@given(st.dictionaries(texts, values))
def test_it_is_json_as_anybody_writes_it(result: dict[str, Any]) -> None:
    assert json.loads(encode_result(result, ENOUGH)) == json.loads(json.dumps(result))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_decimal_stays_one_where_only_its_digits_count(number: float) -> None:
    text = encode_result({"number": number}, ENOUGH)
    assert "e+" not in text, "JSONB makes a whole number of 1e+23"
    found = decode_result(text)["number"]
    assert (type(found), found) == (float, number)


def test_what_stands_for_something_of_json_is_kept_as_that() -> None:
    result = {"tuple": (1, (2,)), "colour": Colour.RED, Colour.RED: Level.HIGH}
    assert decode_result(encode_result(result, ENOUGH)) == {"tuple": [1, [2]], "colour": "red", "red": 3}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ([], "a result is a dict, not of type list"),
        ({1: 2}, "result has a key of type int; keys are strings"),
        ({"a": {"b": [1, {None: 2}]}}, "result.a.b[1] has a key of type NoneType; keys are strings"),
        ({"day": date(2026, 1, 1)}, "result.day is of type date, which JSON has not; convert it first"),
        ({"secret@example.com": {1, 2}}, "result[…] is of type set, which JSON has not; convert it first"),
        ({"a": [math.nan]}, "result.a[0] is infinite or no number (NaN), which JSON has not; use None or a string"),
        ({"a": -math.inf}, "result.a is infinite or no number (NaN), which JSON has not; use None or a string"),
        (
            {"a": "secret\x00"},
            "result.a has a text with U+0000 or half a surrogate pair, which no database keeps; remove it",
        ),
        (
            {"a": {"\udfff": 1}},
            "result.a has a text with U+0000 or half a surrogate pair, which no database keeps; remove it",
        ),
        ({"a": 10**5000}, "result.a is a whole number of too many digits; keep it as a string"),
    ],
)
def test_a_refusal_says_where_and_what_without_any_content(result: Any, text: str) -> None:
    assert refusal_of(result) == text


def nested(depth: int) -> dict[str, Any]:
    inner: list[Any] = []
    for _ in range(depth - 2):
        inner = [inner]
    return {"a": inner}


def test_a_result_may_be_just_so_deep() -> None:
    assert decode_result(encode_result(nested(MAX_DEPTH), ENOUGH)) == nested(MAX_DEPTH)
    assert refusal_of(nested(MAX_DEPTH + 1)).endswith(f"has a value more than {MAX_DEPTH} levels deep")


def test_a_result_may_have_just_so_many_bytes() -> None:
    result = {"a": "ä" * 10}
    size = len(encode_result(result, ENOUGH).encode())
    assert encode_result(result, size)
    with pytest.raises(ResultTooLargeError) as refusal:
        encode_result(result, size - 1)
    assert (
        str(refusal.value)
        == f"the result has more than {size - 1} bytes as JSON, which is what max_result_bytes allows"
    )


def test_a_small_object_that_is_a_huge_text_is_refused_at_once() -> None:
    value: list[Any] = ["x"]
    for _ in range(60):
        value = [value, value]
    with pytest.raises(ResultTooLargeError):
        encode_result({"a": value}, 1_000_000)


@pytest.mark.parametrize("text", ["", "[]", "1", "{", '"text"', "null", "[" * 100_000])
def test_what_is_no_result_is_told(text: str) -> None:
    with pytest.raises(ServiceError, match="is no result: something else wrote it"):
        decode_result(text)


def test_an_id_tells_its_time_and_cannot_be_guessed() -> None:
    before = time.time_ns() // 1_000_000
    ids = [new_id() for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert {(number.version, number.variant) for number in ids} == {(7, "specified in RFC 4122")}
    assert all(before <= number.int >> 80 <= after for number in ids)
    varying = 0
    for one, other in itertools.pairwise(ids):
        varying |= (one.int ^ other.int) & (1 << 80) - 1
    assert varying.bit_count() == 74


@pytest.mark.parametrize(
    "text",
    [
        "",
        "01A21E7E-1098-78EF-9FD1-CD3452EDB91A",
        "01a21e7e109878ef9fd1cd3452edb91a",
        "{01a21e7e-1098-78ef-9fd1-cd3452edb91a}",
        "01a21e7e-1098-78ef-9fd1-cd3452edb91a\n",
        "01a21e7e-1098-48ef-9fd1-cd3452edb91a",
        "01a21e7e-1098-78ef-0fd1-cd3452edb91a",
    ],
)
def test_an_id_has_one_form(text: str) -> None:
    assert parse_id(text) is None


def test_an_id_is_read_back() -> None:
    number = new_id()
    assert parse_id(str(number)) == number
    assert isinstance(number, UUID)
