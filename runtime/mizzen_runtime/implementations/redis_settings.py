"""What `redis` takes, and how its URL is read."""

import re
from typing import Annotated, Any, Self
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from mizzen_runtime.implementations.cache_entries import MAX_VALUE_BYTES
from mizzen_runtime.implementations.connecting import check_ca_bundle
from mizzen_runtime.settings_fields import DefaultOfAgent


class RedisSettings(BaseModel):
    """What `redis` takes: either `url`, or `host` and the fields beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    url: SecretStr | None = None
    """`redis://[USER:PASSWORD@]HOST[:PORT][/DB]`, or `rediss://` for TLS."""
    host: str | None = Field(default=None, min_length=1, max_length=253)
    """Name or address of the server."""
    port: int = Field(default=6379, ge=1, le=65535)
    """Port of the server."""
    db: int = Field(default=0, ge=0, le=1_000_000)
    """Number of the database."""
    username: str | None = Field(default=None, min_length=1)
    """ACL user; without one it is Redis's `default`."""
    password: SecretStr | None = None
    """The user's password."""
    tls: bool = False
    """Whether to speak TLS. Certificate and name of the server are always checked then."""
    ca_bundle: str | None = None
    """Certificates in PEM, which alone are trusted with TLS; without them it is those of the system."""
    prefix: Annotated[str, Field(min_length=1, max_length=256), DefaultOfAgent("mizzen:{namespace}/{name}:")] = (
        "mizzen:"
    )
    """What all keys of this cache begin with: nothing else is ever read, written or removed. That of an agent holds its
    name unless it is set, so that agents on one server do not share their keys."""
    pool_size: int = Field(default=10, ge=1, le=1000)
    """How many connections there are at most; one more call waits, within its deadline."""
    call_timeout_seconds: float = Field(default=2.0, gt=0, le=60, allow_inf_nan=False)
    """How long a call may take, with the wait for a connection and all that it takes to have one."""
    connect_timeout_seconds: float = Field(default=1.0, gt=0, le=60, allow_inf_nan=False)
    """How long connecting may take."""
    invalidate_timeout_seconds: float = Field(default=30.0, gt=0, le=3600, allow_inf_nan=False)
    """How long `invalidate` may take: it looks at every key of the database, in batches."""
    max_value_bytes: int = Field(default=MAX_VALUE_BYTES, ge=1, le=512 * 1024 * 1024)
    """How many bytes a value may have as JSON."""
    scan_batch: int = Field(default=200, ge=10, le=10_000)
    """How many keys `invalidate` looks at and removes at a time; Redis serves nobody else meanwhile."""

    @field_validator("ca_bundle")
    @classmethod
    def _holds_certificates(cls, ca_bundle: str | None) -> str | None:
        return check_ca_bundle(ca_bundle)

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            _parts_of(url)
        return url

    @model_validator(mode="after")
    def _has_one_server(self) -> Self:
        beside = sorted(self.model_fields_set & {"host", "port", "db", "username", "password", "tls"})
        if self.url is not None and beside:
            raise ValueError(f"url says it all, and {', '.join(beside)} beside it too; remove either")
        if self.url is None and self.host is None:
            raise ValueError("neither url nor host says where the server is; give one of them")
        if self.ca_bundle is not None and not (self.tls or self._url_speaks_tls()):
            raise ValueError("ca_bundle is of no use without TLS; set tls, or begin url with rediss://")
        return self

    def _url_speaks_tls(self) -> bool:
        return self.url is not None and bool(_parts_of(self.url)["tls"])

    def server(self) -> dict[str, Any]:
        """Give host, port, db, username, password and tls, wherever they come from."""
        if self.url is not None:
            return _parts_of(self.url)
        password = None if self.password is None else self.password.get_secret_value()
        return {name: getattr(self, name) for name in ("host", "port", "db", "username", "tls")} | {
            "password": password
        }


def _parts_of(url: SecretStr) -> dict[str, Any]:
    """Take a URL to pieces. redis-py would let its query override any setting, so it has none.

    Raises:
        ValueError: It is none. The message does not hold it.
    """
    shape = (
        "must be redis://[USER:PASSWORD@]HOST[:PORT][/DB], or rediss:// for TLS, with %-escapes in user and password"
    )
    try:
        parts = urlsplit(url.get_secret_value())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(shape) from None
    db = re.fullmatch(r"/?([0-9]{0,6})", parts.path)
    if parts.scheme not in {"redis", "rediss"} or not host or db is None or parts.query or parts.fragment:
        raise ValueError(shape)
    return {
        "host": host,
        "port": 6379 if port is None else port,
        "db": int(db[1] or 0),
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "tls": parts.scheme == "rediss",
    }
