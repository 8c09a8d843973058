"""Patterns of `invalidate`: what the contract's table does not show."""

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen_runtime.implementations.glob import InvalidPatternError, parse_glob


@given(st.text(max_size=30))
def test_what_is_escaped_matches_itself(key: str) -> None:
    glob = parse_glob("".join(f"\\{character}" for character in key))

    assert glob.matches(key)
    assert glob.head == key
    assert not glob.matches(f"{key}x")


@given(st.text("ab*?", max_size=12), st.text("abc", max_size=12))
def test_stars_and_question_marks_mean_what_they_do_in_a_shell(pattern: str, key: str) -> None:
    assert parse_glob(pattern).matches(key) == fnmatchcase(key, pattern)


@given(st.text("ab[]^-\\*?", max_size=12), st.text("ab-]^", max_size=4))
def test_a_pattern_is_understood_or_refused(pattern: str, key: str) -> None:
    try:
        glob = parse_glob(pattern)
    except InvalidPatternError:
        return
    if glob.matches(key):
        assert key.startswith(glob.head)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("[a-]", "-", "b"),
        ("[-a]", "-", "b"),
        (r"[\]]", "]", "\\"),
        (r"[a\-z]", "-", "b"),
        ("[[]", "[", "]"),
        ("[a^]", "^", "b"),
        ("[&&~~||]", "&", "a"),
        ("[!a]", "!", "b"),
        ("a]", "a]", "a"),
        ("?", "\n", ""),
        ("**", "", None),
        (".", ".", "a"),
        ("a|b", "a|b", "a"),
        ("^a$", "^a$", "a"),
    ],
)
def test_odd_patterns(pattern: str, matching: str, other: str | None) -> None:
    assert parse_glob(pattern).matches(matching)
    assert other is None or not parse_glob(pattern).matches(other)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("ab[cd", r"the [ at character 3 of the pattern is never closed; for [, write \["),
        ("ab[]", r"the brackets at character 3 of the pattern are empty; for [, write \["),
        ("[b-a]", "the range at character 4 of the pattern ends before it begins"),
        ("ab\\", r"the pattern ends in a backslash with nothing to escape; for a backslash, write \\"),
        ("a" * 1025, "the pattern has 1025 characters; give at most 1024"),
    ],
)
def test_half_a_pattern_is_told(pattern: str, told: str) -> None:
    with pytest.raises(InvalidPatternError) as refused:
        parse_glob(pattern)

    assert str(refused.value) == told


def test_many_stars_take_no_long_time() -> None:
    glob = parse_glob("*a" * 500 + "b")
    start = time.monotonic()

    assert not glob.matches("a" * 1000)
    assert time.monotonic() - start < 1
