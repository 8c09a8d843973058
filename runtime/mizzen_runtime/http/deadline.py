"""How long a caller is ready to wait: the header `Request-Timeout`.

Its name and meaning are those of the IETF's draft-thomson-hybi-http-timeout: seconds that the client waits, from the
time of the request. Others mean something else: OpenAI's clients send how long they wait for the next byte, Envoy sends
how long one of its attempts may take, and RFC 7240's `wait` says when to be answered "accepted" rather than an error.
"""

import re

from mizzen_runtime.http.asgi import Scope
from mizzen_runtime.http.problem import ProblemDetails, RequestRefused

HEADER = "Request-Timeout"
_FIELD = HEADER.lower().encode()
_SECONDS = re.compile(rb"[0-9]{1,9}(\.[0-9]{1,6})?")
_MAX_SHOWN = 40


def seconds_allowed(scope: Scope, at_most: float) -> float:
    """Give the seconds that a request may take: what its caller is ready to wait, if that is shorter than `at_most`.

    Raises:
        RequestRefused: The header is no number of seconds above 0, or is there twice.
    """
    values = [value for name, value in scope["headers"] if name == _FIELD]
    if not values:
        return at_most
    if len(values) > 1:
        raise _refused("is given more than once")
    seconds = float(values[0]) if _SECONDS.fullmatch(values[0]) else 0.0
    if seconds <= 0:
        raise _refused(f"{values[0].decode('latin-1')[:_MAX_SHOWN]!r} is not a number of seconds above 0")
    return min(seconds, at_most)


def _refused(message: str) -> RequestRefused:
    remedy = f"write the seconds that you wait, such as `{HEADER}: 2.5`, or leave it out"
    return RequestRefused(
        ProblemDetails(
            status=400,
            code="invalid-header",
            title="A header has a wrong value",
            detail=f"the header {HEADER} {message}; {remedy}",
            errors=[{"field": HEADER, "message": message, "remedy": remedy}],
        )
    )
