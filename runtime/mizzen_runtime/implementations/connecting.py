"""What every connection to a service has in common: whom it trusts, and what is said when there is none."""

import errno
import os
import socket
import ssl


def check_ca_bundle(ca_bundle: str | None) -> str | None:
    """Give certificates in PEM back.

    Raises:
        ValueError: They are none.
    """
    if ca_bundle is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=ca_bundle)
        except (ssl.SSLError, ValueError):
            raise ValueError("must hold certificates in PEM, each from BEGIN CERTIFICATE to END CERTIFICATE") from None
    return ca_bundle


def trusting(ca_bundle: str | None) -> ssl.SSLContext:
    """Give a context for connections to servers whose certificates these authorities sign.

    Args:
        ca_bundle: Certificates in PEM, which alone are trusted; None for those of the system.
    """
    return ssl.create_default_context(cadata=ca_bundle)


def fault_of(error: BaseException) -> str:
    """Say why a connection failed, as the end of a sentence: from the error's kind and number, never from its text."""
    seen: BaseException | None = error
    while seen is not None:
        if (told := _told(seen)) is not None:
            return told
        seen = seen.__cause__ or seen.__context__
    return "the connection broke"


def _told(error: BaseException) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({ssl_reason(error)})"
    if isinstance(error, ssl.SSLError):
        return "TLS cannot be agreed on; is it a port for TLS?"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, OSError) and error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno).lower()
    return None


def ssl_reason(error: ssl.SSLCertVerificationError) -> str:
    """Give OpenSSL's words for what is wrong with a certificate; they name at most the host that was asked for."""
    return str(error.verify_message).rstrip(".").lower()
