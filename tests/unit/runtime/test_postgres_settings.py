"""The settings of PostgreSQL: what is taken, and what is told of what is not, without any part of a secret."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mizzen_api.problems import problems_of
from mizzen_runtime.implementations.postgres import ProductionDatabaseService
from mizzen_runtime.implementations.postgres_address import connection_string, parse_address
from mizzen_runtime.implementations.postgres_settings import PostgresSettings

PARTS = {"host": "db", "database": "results", "username": "agent", "password": "s3cr3t"}
URL = "postgresql://agent:s3cr3t@db/results"


def problems(settings: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as refusal:
        PostgresSettings.model_validate(settings)
    told = [str(problem) for problem in problems_of(refusal.value)]
    for text in (*told, str(refusal.value)):
        assert "s3cr3t" not in text
        assert "s3" not in text
    return told


def test_all_values_may_be_texts() -> None:
    settings = PostgresSettings.model_validate(
        PARTS | {"port": "6432", "pool_size": "3", "call_timeout_seconds": "1.5", "tls_mode": "require"}
    )
    assert (settings.port, settings.pool_size, settings.call_timeout_seconds) == (6432, 3, 1.5)


def test_the_host_may_be_any_address() -> None:
    for host in ("db.example", "127.0.0.1", "::1", "fe80::1"):
        settings = PostgresSettings.model_validate(PARTS | {"host": host})
        assert parse_address(settings.whole_connection_string(), None, None).host == host


def test_parts_are_one_address() -> None:
    address = parse_address(PostgresSettings.model_validate(PARTS).whole_connection_string(), None, None)
    assert (address.host, address.port, address.database, address.username, address.password) == (
        "db",
        5432,
        "results",
        "agent",
        "s3cr3t",
    )
    assert (address.tls_mode, address.ca_bundle) == ("verify-full", None)
    assert "s3cr3t" not in repr(address)


def test_a_connection_string_may_name_tls() -> None:
    address = parse_address(f"{URL}?sslmode=verify-ca&sslrootcert=/tls/ca.pem", None, None)
    assert (address.tls_mode, address.ca_bundle) == ("verify-ca", "/tls/ca.pem")


@given(st.text(min_size=1), st.text(), st.text(min_size=1))
def test_parts_may_hold_any_character(username: str, password: str, database: str) -> None:
    try:
        (username + password + database).encode()
    except UnicodeEncodeError:
        return
    text = connection_string(host="::1", port=1, database=database, username=username, password=password)
    address = parse_address(text, None, None)
    assert (address.host, address.port) == ("::1", 1)
    assert (address.username, address.password, address.database) == (username, password, database)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"connection_string": URL, "host": "db", "password": "s3cr3t"},
            "connection_string is set, and host, password too; remove one or the other",
        ),
        (
            {"host": "db", "password": "s3cr3t"},
            "database, username missing; set it, or connection_string instead of all parts",
        ),
        ({}, "host, database, username missing; set it, or connection_string instead of all parts"),
        (
            {"connection_string": f"{URL}?sslmode=require", "tls_mode": "verify-full"},
            "tls_mode is set, and sslmode in connection_string; remove one of them",
        ),
        (
            {"connection_string": f"{URL}?sslrootcert=/ca.pem", "ca_bundle": "/other.pem"},
            "ca_bundle is set, and sslrootcert in connection_string; remove one of them",
        ),
        (
            {"connection_string": f"{URL}?sslmode=prefer"},
            "sslmode in connection_string is none of disable, require, verify-ca, verify-full",
        ),
        (
            PARTS | {"tls_mode": "require", "ca_bundle": "/ca.pem"},
            "ca_bundle (sslrootcert) is not used with tls_mode (sslmode) require, which checks no certificate",
        ),
        (
            {"connection_string": f"{URL}?options=s3cr3t"},
            "connection_string has parameters other than sslmode and sslrootcert; remove them",
        ),
        (
            {"connection_string": "mysql://agent:s3cr3t@db/results"},
            "connection_string does not begin with postgresql://; write postgresql://user:password@host:5432/database",
        ),
        (
            {"connection_string": "postgresql://agent:s3cr3t@a,b/results"},
            "connection_string names not one host; write postgresql://user:password@host:5432/database",
        ),
        (
            {"connection_string": "postgresql://agent:s3cr3t@db"},
            "connection_string names no database; write postgresql://user:password@host:5432/database",
        ),
    ],
)
def test_what_does_not_fit_together_is_told(settings: dict[str, Any], told: str) -> None:
    (problem,) = problems(settings)
    assert told in problem


@pytest.mark.parametrize("separator", ["/", "?", "#", "@/", ":", "[", "%"])
@pytest.mark.parametrize("digits", ["", "12"])
def test_no_piece_of_a_password_that_was_not_quoted_is_told(separator: str, digits: str) -> None:
    text = f"postgresql://agent:{digits}{separator}s3cr3t@db/results"
    told = told_of(text)
    assert "s3" not in told
    assert "12" not in told


def told_of(text: str) -> str:
    """Give what is shown of a connection string, whether it is taken or not."""
    try:
        address = parse_address(text, None, None)
    except ValueError as error:
        return str(error)
    return f"{address} {address!r}"


def test_everything_wrong_with_a_connection_string_is_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"does not begin .* names no user.* names not one host.* names no database"):
        parse_address("http://", None, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", "0"),
        ("port", "65536"),
        ("pool_size", "0"),
        ("pool_size", "many"),
        ("call_timeout_seconds", "0"),
        ("call_timeout_seconds", "inf"),
        ("call_timeout_seconds", "5s"),
        ("statement_timeout_seconds", "-1"),
        ("max_result_bytes", "0"),
        ("tls_mode", "prefer"),
        ("table", "Results"),
        ("table", 'a"; DROP TABLE b; --'),
        ("table", "a" * 64),
        ("host", "db/other"),
        ("host", ""),
        ("host", "db:5432"),
        ("host", "[::1]"),
        ("statement_timeout_seconds", "0.0001"),
        ("hostname", "db"),
    ],
)
def test_a_value_out_of_bounds_is_told_by_its_field(field: str, value: str) -> None:
    (problem,) = problems(PARTS | {field: value})
    assert problem.startswith(f"{field}: ")


def test_wrong_arguments_are_refused_before_anything_begins() -> None:
    with pytest.raises(ValueError, match="connection_string names no user") as refusal:
        ProductionDatabaseService("postgresql://s3cr3t/results")
    assert "s3cr3t" not in str(refusal.value)
    with pytest.raises(ValueError, match="pool_size"):
        ProductionDatabaseService(URL, 0)
