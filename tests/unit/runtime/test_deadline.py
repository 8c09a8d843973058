"""The header by which a caller says how long it waits."""

import pytest

from mizzen_runtime.http.asgi import Scope
from mizzen_runtime.http.deadline import seconds_allowed
from mizzen_runtime.http.problem import RequestRefused


def scope_of(*values: bytes) -> Scope:
    return {"type": "http", "headers": [(b"host", b"x"), *((b"request-timeout", value) for value in values)]}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"5", 5), (b"2.5", 2.5), (b"0.000001", 0.000001), (b"60", 60), (b"61", 60), (b"999999999", 60), (b"007", 7)],
)
def test_a_caller_may_wait_for_less_than_the_agents_time_and_not_for_more(value: bytes, seconds: float) -> None:
    assert seconds_allowed(scope_of(value), 60) == seconds


def test_without_the_header_it_is_the_agents_time() -> None:
    assert seconds_allowed(scope_of(), 60) == 60


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"0",
        b"0.0",
        b"-1",
        b"+1",
        b"1e3",
        b"nan",
        b"inf",
        b"5s",
        b"5, 6",
        b".5",
        b"5.",
        b" 5",
        b"1_0",
        "٣".encode(),
    ],
    ids=ascii,
)
def test_what_is_no_number_of_seconds_above_0_is_refused(value: bytes) -> None:
    with pytest.raises(RequestRefused) as refused:
        seconds_allowed(scope_of(value), 60)

    details = refused.value.details
    assert (details.status, details.code) == (400, "invalid-header")
    (error,) = details.errors
    assert error["field"] == "Request-Timeout"
    assert error["message"] == f"{value.decode('latin-1')!r} is not a number of seconds above 0"
    assert error["remedy"] == "write the seconds that you wait, such as `Request-Timeout: 2.5`, or leave it out"
    assert error["remedy"] in details.detail


def test_a_long_wrong_value_is_not_sent_back_whole() -> None:
    with pytest.raises(RequestRefused) as refused:
        seconds_allowed(scope_of(b"x" * 8000), 60)

    assert len(refused.value.details.detail) < 250


def test_two_headers_are_refused() -> None:
    with pytest.raises(RequestRefused) as refused:
        seconds_allowed(scope_of(b"5", b"6"), 60)

    assert "is given more than once" in refused.value.details.detail
