from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen_runtime.redaction import REDACTED, SHORTEST, Redactor

KEY = "sk-proj-0123456789-abcdefghijklmnopqrstuvwxyz-9876543210"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"key {KEY} is wrong", f"key {REDACTED} is wrong"),
        (f"{KEY[:25]}...{KEY[-24:]}", f"{REDACTED}...{REDACTED}"),
        (f"begins with {KEY[:12]}", f"begins with {REDACTED}"),
        (f"ends with {KEY[-12:]}", f"ends with {REDACTED}"),
        ("sk-proj- is how keys begin", "sk-proj- is how keys begin"),
        ("nothing in it", "nothing in it"),
    ],
)
def test_a_secret_and_its_pieces_are_taken_out(text: str, told: str) -> None:
    assert Redactor([KEY])(text) == told


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("postgres://bob:hunter2@db/x", f"postgres://{REDACTED}@db/x"),
        ("redis://:hunter2@cache:6379", f"redis://{REDACTED}@cache:6379"),
        ("https://token@host", f"https://{REDACTED}@host"),
        ("https://bob:p@ss@host/", f"https://{REDACTED}@host/"),
        ("https://host/a@b", "https://host/a@b"),
        ("bob@example.org", "bob@example.org"),
    ],
)
def test_user_and_password_are_taken_out_of_addresses(address: str, told: str) -> None:
    assert Redactor([])(address) == told


def test_a_secret_is_found_however_it_is_written() -> None:
    secret = "two words/and\na second line"
    redact = Redactor([secret])

    for written in (secret, repr(secret), quote(secret, safe=""), "a second line", "  two words/and  "):
        assert "second" not in redact(written)
        assert "words" not in redact(written)


def test_a_secret_within_another_is_no_way_to_see_the_rest() -> None:
    assert Redactor(["hunter2", "hunter2-and-more"])("hunter2-and-more") == REDACTED


def test_what_is_too_short_to_be_a_secret_stays() -> None:
    assert Redactor(["1", "", "abc"])("1 abc") == "1 abc"


@given(st.text("abcdefgh ", min_size=SHORTEST).filter(str.strip), st.text("0123 \n"), st.text("0123 \n"))
def test_a_secret_is_taken_out_whatever_surrounds_it(secret: str, before: str, after: str) -> None:
    told = Redactor([secret])(f"{before}<{secret}>{after}")

    assert told == f"{before}<{REDACTED}>{after}"


@pytest.mark.parametrize(
    "text",
    ["s%40fe and sound", "the password s@fe", "agent:s%40fe@db.example", "postgresql://agent:s%4…"],
)
def test_a_piece_of_an_address_is_found_and_its_scheme_is_none(text: str) -> None:
    redact = Redactor(["postgresql://agent:s%40fe@db.example:5432/results"])
    assert redact.finds_any(text)
    assert not redact.finds_any("write postgresql://user:password@host:5432/database")


def test_a_password_in_a_list_of_settings_is_found() -> None:
    assert Redactor(["host=db password=hunter2 user=agent"]).finds_any("hunter2 is weak")
