"""Where a PostgreSQL server is, as who to connect, and over what kind of TLS: read from a connection string."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

TlsMode = Literal["disable", "require", "verify-ca", "verify-full"]
"""`disable`: none. `require`: TLS, whoever answers. `verify-ca`: a certificate of a trusted authority.
`verify-full`: and for this host."""
DEFAULT_TLS_MODE: TlsMode = "verify-full"
DEFAULT_PORT = 5432
VERIFYING: tuple[TlsMode, ...] = ("verify-ca", "verify-full")

_FORM = "postgresql://user:password@host:5432/database"


@dataclass(frozen=True)
class Address:
    """All that a connection needs to know."""

    host: str
    port: int
    database: str
    username: str
    password: str = field(repr=False)
    tls_mode: TlsMode
    ca_bundle: str | None
    """The authorities that are trusted, in PEM, or the path of a file with them; None for the system's."""

    def __str__(self) -> str:
        """Give it as messages name it."""
        return f"{self.host}:{self.port}"


def connection_string(*, host: str, port: int, database: str, username: str, password: str) -> str:
    """Give the connection string of these parts, which may hold any character."""
    bracketed = f"[{host}]" if ":" in host else host
    user, secret, name = (quote(part, safe="") for part in (username, password, database))
    return f"postgresql://{user}:{secret}@{bracketed}:{port}/{name}"


def parse_address(connection_string: str, tls_mode: TlsMode | None, ca_bundle: str | None) -> Address:
    """Read a connection string.

    Args:
        connection_string: A URL as libpq takes it, with user, host and database; of its parameters `sslmode` and
            `sslrootcert`.
        tls_mode: If the string has no `sslmode`; None for the default.
        ca_bundle: If the string has no `sslrootcert`.

    Raises:
        ValueError: With everything that is wrong. No part of the string is in it: whatever a mistake in quoting made
            of it may be a piece of the password.
    """
    try:
        url = urlsplit(connection_string)
        port = url.port or DEFAULT_PORT
    except ValueError:
        raise ValueError(f"connection_string is no URL of the form {_FORM}; quote special characters as %XX") from None
    parameters = dict(parse_qsl(url.query, keep_blank_values=True))
    faults = [*_faults_of_url(url), *_faults_of_parameters(parameters, tls_mode, ca_bundle)]
    mode = _mode(parameters.get("sslmode")) or tls_mode or DEFAULT_TLS_MODE
    bundle = parameters.get("sslrootcert", ca_bundle)
    if bundle is not None and mode not in VERIFYING:
        faults.append(
            f"ca_bundle (sslrootcert) is not used with tls_mode (sslmode) {mode}, which checks no certificate; "
            "remove it, or write verify-full"
        )
    if faults:
        raise ValueError(". ".join(faults))
    return Address(
        host=url.hostname or "",
        port=port,
        database=unquote(url.path[1:]),
        username=unquote(url.username or ""),
        password=unquote(url.password or ""),
        tls_mode=mode,
        ca_bundle=bundle,
    )


def _faults_of_url(url: SplitResult) -> Iterator[str]:
    if url.scheme not in {"postgresql", "postgres"}:
        yield f"connection_string does not begin with postgresql://; write {_FORM}"
    if not url.username:
        yield f"connection_string names no user; write {_FORM}, with / ? # @ % in user and password quoted as %XX"
    if not url.hostname or "," in url.hostname:
        yield f"connection_string names not one host; write {_FORM}"
    if not url.path[1:] or "/" in url.path[1:]:
        yield f"connection_string names no database; write {_FORM}"
    if url.fragment:
        yield "connection_string has a # in it; quote it as %23"


def _faults_of_parameters(parameters: dict[str, str], tls_mode: TlsMode | None, ca_bundle: str | None) -> Iterator[str]:
    if parameters.keys() - {"sslmode", "sslrootcert"}:
        yield "connection_string has parameters other than sslmode and sslrootcert; remove them"
    if "sslmode" in parameters:
        if tls_mode is not None:
            yield "tls_mode is set, and sslmode in connection_string; remove one of them"
        if _mode(parameters["sslmode"]) is None:
            yield (
                f"sslmode in connection_string is none of {', '.join(get_args(TlsMode))} "
                "(allow and prefer go on in plain text without a word); write one of them"
            )
    if "sslrootcert" in parameters and ca_bundle is not None:
        yield "ca_bundle is set, and sslrootcert in connection_string; remove one of them"


def _mode(text: str | None) -> TlsMode | None:
    return next((mode for mode in get_args(TlsMode) if mode == text), None)
