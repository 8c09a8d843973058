"""What went wrong between a call and PostgreSQL: in our words, and whether a new connection may help."""

import socket
import ssl
from dataclasses import dataclass

from asyncpg import InterfaceError, InternalClientError, PostgresError

from mizzen_runtime.implementations.postgres_address import Address
from mizzen_runtime.services import ServiceError, ServiceUnavailableError


@dataclass(frozen=True)
class Failure:
    """How a call failed."""

    error: ServiceError
    """What the caller is told."""
    passes: bool = False
    """Whether it is worth trying again at once, on another connection."""
    spreads: bool = False
    """Whether connections that wait in the pool are most likely of no use either."""


_PASSING_STATES = {
    "40001": "could not serialize the transaction",
    "40P01": "ended a deadlock",
    "53300": "has as many connections as it takes",
    "57P01": "is shutting down, or an administrator ended the connection",
    "57P02": "crashed",
    "57P03": "is starting or shutting down",
    "57P05": "closed the connection since it was idle",
}
_READ_ONLY = "25006"
_UNAVAILABLE_STATES = {
    _READ_ONLY: "takes no writes now: it is a replica, or read only",
    "53100": "has no room left on its disk",
    "53200": "has no memory left",
    "55P03": "could not get a lock in time",
    "57014": "ended the statement: it took longer than statement_timeout_seconds",
}
_REFUSALS = {
    "28000": "does not let in user {username!r} for database {database!r} with tls_mode={tls_mode}; see pg_hba.conf",
    "28P01": "does not take the password of user {username!r}; correct it",
    "3D000": "has no database {database!r}; create it, or correct the name",
    "3F000": "has no schema for the table; create one in the search path of user {username!r}",
    "42501": "does not let user {username!r} do it; grant SELECT and INSERT on the table and USAGE on its schema "
    "(CREATE, to make the table)",
    "42P01": "has lost the table of results; start the service again, which makes it",
}
_OTHER_HOST = {62, 63, 64}
"""X509_V_ERR_HOSTNAME_MISMATCH, EMAIL, IP_ADDRESS."""
_EXPIRED = 10


def failure_of(error: Exception, address: Address) -> Failure:
    """Tell how a call failed. No text of the error is repeated: it may hold a password or a result."""
    if isinstance(error, ServiceError):
        return Failure(error)
    if isinstance(error, PostgresError):
        return _of_state(error.sqlstate or "", address)
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Failure(ServiceError(f"PostgreSQL at {address} {_tls_fault(error, address)}"))
    if isinstance(error, OSError) and "rejected SSL upgrade" in str(error):
        return Failure(
            ServiceError(
                f"PostgreSQL at {address} speaks no TLS; turn it on there, or set tls_mode=disable (sslmode=disable) "
                "if nobody can listen on the network"
            )
        )
    if isinstance(error, OSError | InterfaceError | InternalClientError):  # the last: it is ending, but not closed yet
        return Failure(ServiceUnavailableError(f"PostgreSQL at {address} {_broken(error)}"), passes=True, spreads=True)
    raise error


def _of_state(state: str, address: Address) -> Failure:
    if state in _PASSING_STATES:
        return Failure(_unavailable(address, _PASSING_STATES[state], state), passes=True, spreads=state[:2] == "57")
    if state.startswith("08"):
        return Failure(_unavailable(address, "broke the connection", state), passes=True, spreads=True)
    if state in _UNAVAILABLE_STATES:
        return Failure(_unavailable(address, _UNAVAILABLE_STATES[state], state), spreads=state == _READ_ONLY)
    if state[:2] in {"53", "58", "XX"}:
        return Failure(_unavailable(address, "failed for a reason of its own; see its log", state))
    told = _REFUSALS.get(state, "refused the statement; see its log").format(
        username=address.username, database=address.database, tls_mode=address.tls_mode
    )
    return Failure(ServiceError(f"PostgreSQL at {address} {told} (SQLSTATE {state})"))


def _unavailable(address: Address, told: str, state: str) -> ServiceUnavailableError:
    return ServiceUnavailableError(f"PostgreSQL at {address} {told} (SQLSTATE {state})")


def _tls_fault(error: ssl.SSLError, address: Address) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return "and this client have no version or cipher of TLS in common; see its ssl_min_protocol_version"
    if error.verify_code in _OTHER_HOST:
        return f"has a certificate for another host than {address.host!r}; use the name in it, or tls_mode=verify-ca"
    if error.verify_code == _EXPIRED:
        return "has a certificate that has expired; renew it"
    if address.ca_bundle is None:
        return "has a certificate of an authority that the system does not trust; set ca_bundle"
    return "has a certificate that no authority in ca_bundle has signed; correct it"


def _broken(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "did not answer in time"
    if isinstance(error, socket.gaierror):
        return "is not known by that name"
    if isinstance(error, ConnectionRefusedError):
        return "refuses connections"
    return "cannot be reached, or broke the connection"
