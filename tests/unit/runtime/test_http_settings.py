"""What `http` takes, and the text of each error."""

from typing import Any

import pytest
from pydantic import ValidationError

from mizzen_api.problems import problems_of
from mizzen_runtime.implementations.http_settings import HttpSettings, endpoint, parse_proxy


def test_settings_come_as_text() -> None:
    settings = HttpSettings.model_validate(
        {
            "base_url": "http://crm.sales:8080/v1",
            "call_timeout_seconds": "2.5",
            "retries": "0",
            "allowed_hosts": "a.example, *.b.example\nMÜLLER.example",
            "allowed_networks": "10.0.0.0/8\nfd00::/8",
        }
    )

    assert (settings.call_timeout_seconds, settings.retries) == (2.5, 0)
    assert settings.allowed_hosts == ("a.example", "*.b.example", "xn--mller-kva.example")
    assert [str(network) for network in settings.allowed_networks] == ["10.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize(
    ("base", "path", "expected"),
    [
        ("http://a", "", "http://a/"),
        ("http://a/", "/x", "http://a/x"),
        ("http://a/v1", "x/y", "http://a/v1/x/y"),
        ("http://a/v1/", "", "http://a/v1/"),
    ],
)
def test_a_path_is_below_the_base(base: str, path: str, expected: str) -> None:
    assert str(endpoint(base, path)) == expected


BASE = {"base_url": "https://api.example/"}
HEADER_TEXT = (
    "must be one line of ASCII without control characters or blanks around it, and not empty; correct the value"
)
PROXY = (
    "proxy: must be http://[USER:PASSWORD@]HOST:PORT, or https, with %-escapes in user and password; correct the value"
)
NO_BASE = "base_url: is no URL of an API: {}; write https://HOST[:PORT][/PATH]; correct the value"
NO_HOST = "allowed_hosts: {!r} is no host: {}; write example.com or *.example.com; correct the value"
BUNDLE = "must hold certificates in PEM, each from BEGIN CERTIFICATE to END CERTIFICATE; correct the value"
PATH = "must be a path without query, fragment, backslash or blank; correct the value"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, ["base_url: field required; add it"]),
        ({"base_url": "crm"}, [NO_BASE.format("it does not begin with http:// or https://")]),
        (
            {"base_url": "https://user:s3cret@api.example/"},
            [NO_BASE.format("it holds a user name or a password")],
        ),
        (
            {"base_url": "https://a/?key=s3cret"},
            ["base_url: has a query or a fragment; end it with the path; correct the value"],
        ),
        ({**BASE, "path": "/a?b"}, [f"path: {PATH}"]),
        ({**BASE, "health_path": "/a b"}, [f"health_path: {PATH}"]),
        ({**BASE, "method": "PUT"}, ["method: input should be 'GET' or 'POST' (it is 'PUT'); correct the value"]),
        ({**BASE, "bearer_token": "s3cret\nX: y"}, [f"bearer_token: {HEADER_TEXT}"]),
        ({**BASE, "bearer_token": ""}, [f"bearer_token: {HEADER_TEXT}"]),
        ({**BASE, "username": "u"}, [": username and password go together; give both or neither; correct the value"]),
        (
            {**BASE, "header_value": "s3cret"},
            [": header_name and header_value go together; give both or neither; correct the value"],
        ),
        (
            {**BASE, "bearer_token": "s3cret", "username": "u", "password": "s3cret"},
            [": bearer_token and username each say how to authenticate; keep one of them; correct the value"],
        ),
        (
            {**BASE, "header_name": "Host", "header_value": "s3cret"},
            ["header_name: is a header that HTTP itself needs; name the one of the API's key; correct the value"],
        ),
        ({**BASE, "proxy": "s3cret"}, [PROXY]),
        ({**BASE, "proxy": "socks5://u:s3cret@p:1"}, [PROXY]),
        ({**BASE, "proxy": "http://u:s3cret@p:1/path"}, [PROXY]),
        (
            {**BASE, "proxy": "http://p:1"},
            [": proxy without allowed_hosts would lead anywhere; name the hosts; correct the value"],
        ),
        (
            {**BASE, "allowed_networks": "10.0.0.0/8"},
            [": allowed_networks without allowed_hosts would lead anywhere; name the hosts; correct the value"],
        ),
        (
            {**BASE, "allowed_hosts": "https://a.example"},
            [NO_HOST.format("https://a.example", "its host is no name of the DNS")],
        ),
        ({**BASE, "ca_bundle": "x"}, [f"ca_bundle: {BUNDLE}"]),
    ],
)
def test_errors_name_the_field_and_the_remedy_and_no_secret(fields: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        HttpSettings.model_validate(fields)

    assert [str(problem) for problem in problems_of(refused.value)] == told
    assert "s3cret" not in str(refused.value)


def test_a_proxy_has_credentials_or_none() -> None:
    settings = HttpSettings.model_validate({**BASE, "proxy": "https://u%3A:p%40@proxy:3128", "allowed_hosts": "a"})
    assert settings.proxy is not None
    proxy = parse_proxy(settings.proxy)

    assert (str(proxy.url), proxy.credentials) == ("https://proxy:3128/", ("u:", "p@"))
    assert "p%40" not in repr(settings)
