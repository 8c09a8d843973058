"""The settings of the database service on PostgreSQL."""

from ipaddress import IPv6Address
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from mizzen_runtime.implementations.postgres_address import DEFAULT_PORT, TlsMode, connection_string, parse_address
from mizzen_runtime.implementations.results import DEFAULT_TABLE, MAX_RESULT_BYTES, TABLE_PATTERN

Seconds = Annotated[float, Field(ge=0.01, le=300, allow_inf_nan=False)]


class PostgresSettings(BaseModel):
    """Where the server is, either as a whole `connection_string` or by its parts, and how it is used."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    connection_string: SecretStr | None = None
    """`postgresql://user:password@host:5432/database`, with `sslmode` and `sslrootcert` as parameters. Instead of
    `host`, `port`, `database`, `username` and `password`."""
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]+$", max_length=253)] | None = None
    """Name or address of the server."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Its port; 5432 unless set."""
    database: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """Name of the database."""
    username: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """The user, who needs SELECT and INSERT on the table, and CREATE on its schema unless the table is there."""
    password: SecretStr | None = None
    """The user's password; none for a server that asks for none."""
    tls_mode: TlsMode | None = None
    """`verify-full` unless set; `verify-ca` for the certificate of a trusted authority, whatever host it is for;
    `require` for TLS without a look at who answers; `disable` for plain text."""
    ca_bundle: Annotated[str, Field(min_length=1)] | None = None
    """The authorities that are trusted: their certificates in PEM, or the path of a file with them; the system's unless
    set."""
    table: Annotated[str, Field(pattern=TABLE_PATTERN)] = DEFAULT_TABLE
    """Table of the results, in the first schema of the user's search path; made at start if it is not there."""
    pool_size: Annotated[int, Field(ge=1, le=1000)] = 10
    """Connections that this pod may have; while all are in use, one more for the health check."""
    call_timeout_seconds: Seconds = 5.0
    """The whole of one call, attempts to connect again included."""
    acquire_timeout_seconds: Seconds = 4.0
    """For a connection to become free while all are in use."""
    connect_timeout_seconds: Seconds = 2.0
    """One attempt to connect, TLS and authentication included."""
    statement_timeout_seconds: Seconds = 4.0
    """One statement in the server: what ends one there whose caller has given up."""
    max_result_bytes: Annotated[int, Field(ge=2, le=64 * 1024 * 1024)] = MAX_RESULT_BYTES
    """Size of one result as JSON; a larger one is refused."""

    @field_validator("host")
    @classmethod
    def _is_without_port(cls, host: str | None) -> str | None:
        if host is not None and ":" in host:
            try:
                IPv6Address(host)
            except ValueError:
                raise ValueError("is neither a name nor an address; write the port as port") from None
        return host

    @model_validator(mode="after")
    def _names_one_server(self) -> Self:
        parts = {name: getattr(self, name) for name in ("host", "port", "database", "username", "password")}
        given = [name for name, value in parts.items() if value is not None]
        if self.connection_string is not None and given:
            raise ValueError(f"connection_string is set, and {', '.join(given)} too; remove one or the other")
        missing = [name for name in ("host", "database", "username") if parts[name] is None]
        if self.connection_string is None and missing:
            raise ValueError(f"{', '.join(missing)} missing; set it, or connection_string instead of all parts")
        parse_address(self.whole_connection_string(), self.tls_mode, self.ca_bundle)
        return self

    def whole_connection_string(self) -> str:
        """Give the connection string, made of its parts if it is not set. It holds the password."""
        if self.connection_string is not None:
            return self.connection_string.get_secret_value()
        return connection_string(
            host=self.host or "",
            port=self.port or DEFAULT_PORT,
            database=self.database or "",
            username=self.username or "",
            password="" if self.password is None else self.password.get_secret_value(),
        )
