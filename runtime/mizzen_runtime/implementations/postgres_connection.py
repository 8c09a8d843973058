"""Connects to PostgreSQL, with nothing taken from the environment or the home folder but what is passed here."""

import asyncio
import ssl
from typing import TypeAlias

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from mizzen_runtime.implementations.postgres_address import VERIFYING, Address, TlsMode
from mizzen_runtime.services import ServiceError

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Connector:
    """Makes connections to one address."""

    def __init__(self, address: Address, statement_timeout: float) -> None:
        """Read no file yet.

        Args:
            address: Where to.
            statement_timeout: Seconds after which the server ends a statement.
        """
        self._address = address
        self._statement_timeout = statement_timeout
        self._tls: ssl.SSLContext | None = None

    async def read_certificates(self) -> None:
        """Read the authorities that are trusted, if any are.

        Raises:
            ServiceError: The CA bundle cannot be read.
        """
        if self._address.tls_mode != "disable":
            self._tls = await asyncio.to_thread(_tls_context, self._address.tls_mode, self._address.ca_bundle)

    async def connect(self) -> Connection:
        """Make a connection; the caller bounds its time.

        Raises:
            Exception: What `postgres_failures` tells apart.
        """
        return await asyncpg.connect(
            host=self._address.host,
            port=self._address.port,
            database=self._address.database,
            user=self._address.username,
            password=self._address.password,
            ssl=self._tls or False,  # None would be up to PGSSLMODE
            target_session_attrs=SessionAttribute.any,
            server_settings={
                "application_name": "mizzen",
                "statement_timeout": f"{round(self._statement_timeout * 1000)}ms",
            },
        )


def _tls_context(mode: TlsMode, ca_bundle: str | None) -> ssl.SSLContext:
    is_path = ca_bundle is not None and "-----BEGIN" not in ca_bundle
    name = f"the file {ca_bundle!r} of ca_bundle" if is_path else "ca_bundle"
    try:
        context = ssl.create_default_context(
            cafile=ca_bundle if is_path else None, cadata=None if is_path else ca_bundle
        )
    except (ssl.SSLError, ValueError):
        raise ServiceError(f"{name} holds no certificates in PEM; correct it") from None
    except OSError as error:
        raise ServiceError(f"{name} cannot be read: {error.strerror}") from None
    context.check_hostname = mode == "verify-full"
    if mode not in VERIFYING:
        context.verify_mode = ssl.CERT_NONE
    return context
