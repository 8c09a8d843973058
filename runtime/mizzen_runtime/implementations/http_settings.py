"""What `http` takes."""

from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    field_validator,
    model_validator,
)

from mizzen_runtime.implementations.connecting import check_ca_bundle
from mizzen_runtime.implementations.http_client import HttpProxy
from mizzen_runtime.implementations.http_guard import check_host_pattern
from mizzen_runtime.implementations.http_urls import Url, UrlError, parse_url

_RESERVED_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "te", "transfer-encoding"}
)


def _split(value: Any) -> Any:
    """Take a text, as a file holds it, for a list: members stand on lines of their own or have commas between them."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


class HttpSettings(BaseModel):
    """What `http` takes.

    At most one of `bearer_token`, `username` with `password`, and `header_name` with `header_value`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    base_url: str
    """Where the API is, such as `https://crm.example.com/v2`. It is trusted: it may be inside the cluster."""
    method: Literal["GET", "POST"] = "GET"
    """How `fetch_data` asks. Only GET is sent again after a failure, since it changes nothing."""
    path: str = Field(default="", max_length=1024)
    """What comes after `base_url`, such as `/search`."""
    query_parameter: str = Field(default="query", min_length=1, max_length=256)
    """What the query is called: in the URL with GET, in a JSON object with POST."""
    bearer_token: SecretStr | None = None
    """Sent as `Authorization: Bearer`."""
    username: str | None = Field(default=None, min_length=1)
    """Sent as `Authorization: Basic`, with `password`."""
    password: SecretStr | None = None
    """The user's password."""
    header_name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$")
    """A header of the API's own for its key, such as `X-Api-Key`, with `header_value`."""
    header_value: SecretStr | None = None
    """What is sent in it."""
    call_timeout_seconds: float = Field(default=10.0, gt=0, le=300, allow_inf_nan=False)
    """How long a call may take, with all that is sent again, pauses and redirects."""
    connect_timeout_seconds: float = Field(default=3.0, gt=0, le=60, allow_inf_nan=False)
    """How long each connection may take until it is there."""
    retries: int = Field(default=2, ge=0, le=10)
    """How often a GET is sent again after a broken connection or a status of 429, 500, 502, 503 or 504."""
    max_response_bytes: int = Field(default=5 * 1024 * 1024, ge=1, le=1024**3)
    """How many bytes an answer may have, as it comes and decompressed."""
    pool_size: int = Field(default=10, ge=1, le=1000)
    """How many connections to the API there are at most; one more call waits, within its deadline."""
    ca_bundle: str | None = None
    """Certificates in PEM, which alone are trusted; without them it is those of the system."""
    proxy: SecretStr | None = None
    """`http://[USER:PASSWORD@]HOST:PORT`, or https: all connections go through it. Needs `allowed_hosts`. Variables of
    the environment are not read."""
    health_path: str | None = Field(default=None, max_length=1024)
    """What comes after `base_url` for the health check, answered below 400 when healthy. Without it, `base_url` is
    asked, and any answer below 500 will do, but 401 to credentials will not."""
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(default=(), max_length=1000)
    """The only hosts to which URLs of requests and models, and redirects to other hosts, may lead: `example.com`, or
    `*.example.com` for all below it. None for every host that is public."""
    allowed_networks: Annotated[tuple[IPvAnyNetwork, ...], BeforeValidator(_split)] = Field(default=(), max_length=100)
    """Networks that these may lead to although they are not public, such as `10.20.0.0/16`. Needs `allowed_hosts`."""

    @field_validator("base_url")
    @classmethod
    def _is_base(cls, base_url: str) -> str:
        try:
            target = parse_url(base_url).target
        except UrlError as error:
            raise ValueError(f"is no URL of an API: {error}; write https://HOST[:PORT][/PATH]") from None
        if "?" in target or "#" in base_url:
            raise ValueError("has a query or a fragment; end it with the path")
        return base_url

    @field_validator("path", "health_path")
    @classmethod
    def _is_path(cls, path: str | None) -> str | None:
        if path and ("?" in path or "#" in path or "\\" in path or not path.isprintable() or " " in path):
            raise ValueError("must be a path without query, fragment, backslash or blank")
        return path

    @field_validator("header_name")
    @classmethod
    def _is_free(cls, name: str | None) -> str | None:
        if name is not None and name.lower() in _RESERVED_HEADERS:
            raise ValueError("is a header that HTTP itself needs; name the one of the API's key")
        return name

    @field_validator("bearer_token", "password", "header_value")
    @classmethod
    def _fits_into_header(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not _is_header_text(secret.get_secret_value()):
            raise ValueError("must be one line of ASCII without control characters or blanks around it, and not empty")
        return secret

    @field_validator("proxy")
    @classmethod
    def _is_proxy(cls, proxy: SecretStr | None) -> SecretStr | None:
        if proxy is not None:
            parse_proxy(proxy)
        return proxy

    @field_validator("ca_bundle")
    @classmethod
    def _holds_certificates(cls, ca_bundle: str | None) -> str | None:
        return check_ca_bundle(ca_bundle)

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_host_pattern(host) for host in hosts)

    @model_validator(mode="after")
    def _has_one_way_to_authenticate(self) -> Self:
        pairs = (("username", "password"), ("header_name", "header_value"))
        for one, other in pairs:
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(f"{one} and {other} go together; give both or neither")
        given = [name for name in ("bearer_token", "username", "header_name") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} each say how to authenticate; keep one of them")
        return self

    @model_validator(mode="after")
    def _names_hosts_where_only_they_count(self) -> Self:
        needing = [name for name in ("proxy", "allowed_networks") if getattr(self, name)]
        if needing and not self.allowed_hosts:
            raise ValueError(f"{' and '.join(needing)} without allowed_hosts would lead anywhere; name the hosts")
        return self


def parse_proxy(proxy: SecretStr) -> HttpProxy:
    """Take a proxy's URL to pieces.

    Raises:
        ValueError: It is none. The message does not hold it.
    """
    shape = "must be http://[USER:PASSWORD@]HOST:PORT, or https, with %-escapes in user and password"
    scheme, separator, rest = proxy.get_secret_value().partition("://")
    credentials, at, server = rest.rpartition("@")
    username, _, password = credentials.partition(":")
    try:
        url = parse_url(f"{scheme}{separator}{server}")
    except UrlError:
        raise ValueError(shape) from None
    if url.target != "/":
        raise ValueError(shape)
    return HttpProxy(url, (unquote(username), unquote(password)) if at else None)


def endpoint(base_url: str, path: str) -> Url:
    """Give the URL of a path below a base.

    Raises:
        UrlError: It is none.
    """
    return parse_url(f"{base_url.rstrip('/')}/{path.lstrip('/')}" if path else base_url)


def _is_header_text(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and text == text.strip()
