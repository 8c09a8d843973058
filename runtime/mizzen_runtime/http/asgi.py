"""ASGI's types, as far as the transport uses them."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

CLOSE = (b"connection", b"close")
"""Tells the client that the connection is closed behind the answer: it sends its next request over another."""


_HAS_LEFT = "client_has_left"


def tell_when_client_leaves(scope: Scope, has_left: Callable[[], bool]) -> None:
    """Have `client_has_left` ask this for a request."""
    scope["state"][_HAS_LEFT] = has_left


def client_has_left(scope: Scope) -> bool:
    """Tell whether the connection is gone, also while nobody waits for what comes over it."""
    has_left: Callable[[], bool] | None = scope["state"].get(_HAS_LEFT)
    return has_left is not None and has_left()


async def respond(send: Send, status: int, body: bytes, content_type: bytes, headers: Headers | None = None) -> None:
    """Send a whole response."""
    all_headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})
