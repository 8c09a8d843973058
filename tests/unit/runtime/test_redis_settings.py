"""What `redis` takes, and the text of each error."""

from typing import Any

import pytest
from pydantic import ValidationError

from mizzen_api.problems import problems_of
from mizzen_runtime.implementations.redis import RedisCacheService
from mizzen_runtime.implementations.redis_settings import RedisSettings


def server_of(**fields: Any) -> dict[str, Any]:
    return RedisSettings.model_validate(fields).server()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://r", {"host": "r", "port": 6379, "db": 0, "username": None, "password": None, "tls": False}),
        ("rediss://r:1/", {"host": "r", "port": 1, "db": 0, "username": None, "password": None, "tls": True}),
        ("redis://:p%40s@r/5", {"host": "r", "port": 6379, "db": 5, "username": None, "password": "p@s", "tls": False}),
        ("redis://u:p@[::1]:2", {"host": "::1", "port": 2, "db": 0, "username": "u", "password": "p", "tls": False}),
    ],
)
def test_a_url_says_where_the_server_is(url: str, expected: dict[str, Any]) -> None:
    assert server_of(url=url) == expected


def test_fields_say_it_too_and_come_as_text() -> None:
    fields = {"host": "r", "port": "1", "db": "2", "username": "u", "password": "p", "tls": "true"}

    assert server_of(**fields) == {"host": "r", "port": 1, "db": 2, "username": "u", "password": "p", "tls": True}


BUNDLE = "must hold certificates in PEM, each from BEGIN CERTIFICATE to END CERTIFICATE; correct the value"
SHAPE = (
    "must be redis://[USER:PASSWORD@]HOST[:PORT][/DB], or rediss:// for TLS, with %-escapes in user and password; "
    "correct the value"
)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, [": neither url nor host says where the server is; give one of them; correct the value"]),
        (
            {"url": "redis://s3cret@r", "host": "r", "password": "s3cret"},
            [": url says it all, and host, password beside it too; remove either; correct the value"],
        ),
        ({"url": "s3cret"}, [f"url: {SHAPE}"]),
        ({"url": "http://:s3cret@r"}, [f"url: {SHAPE}"]),
        ({"url": "redis://:s3cret@r?ssl_cert_reqs=none"}, [f"url: {SHAPE}"]),
        ({"url": "redis://:s3cret@r:port"}, [f"url: {SHAPE}"]),
        ({"url": "redis://:s3cret@r/name"}, [f"url: {SHAPE}"]),
        ({"url": "redis://[s3cret"}, [f"url: {SHAPE}"]),
        (
            {"host": "r", "ca_bundle": "x"},
            [f"ca_bundle: {BUNDLE}"],
        ),
        (
            {"host": "r", "port": "0", "prefix": "", "colour": "red"},
            [
                "port: input should be greater than or equal to 1 (it is '0'); correct the value",
                "prefix: string should have at least 1 character (it is ''); correct the value",
                "colour: unknown field; remove it, or correct its spelling",
            ],
        ),
    ],
)
def test_errors_name_the_field_and_the_remedy_and_no_secret(fields: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        RedisSettings.model_validate(fields)

    assert [str(problem) for problem in problems_of(refused.value)] == told
    assert "s3cret" not in str(refused.value)


def test_secrets_are_not_shown() -> None:
    settings = RedisSettings.model_validate({"url": "redis://:s3cret@r"})

    assert "s3cret" not in repr(settings) + str(RedisCacheService.from_settings(settings))
