"""Who answers which path of the traffic port, and what is said where nobody does.

A table, as on the management port: a router with patterns and layers of middleware would cost each request, and serve
nothing that these paths need.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mizzen_runtime.http.asgi import App, Receive, Scope, Send, respond
from mizzen_runtime.http.problem import plain_problem
from mizzen_runtime.http.request_frame import request_id_of

_JSON = b"application/json"


@dataclass(frozen=True)
class Route:
    """What serves a path."""

    methods: tuple[str, ...]
    app: App


def post(app: App) -> Route:
    """Give the route of an application that is sent something."""
    return Route(("POST",), app)


def get(tell: Callable[[], tuple[int, bytes]]) -> Route:
    """Give the route of what only tells something: an HTTP status and a JSON."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        status, body = tell()
        await respond(send, status, body, _JSON)

    return Route(("GET", "HEAD"), answer)


class Routes:
    """Passes each request on to the application of its path. A path is served as it is written here, or not at all."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._routes = routes
        told = [f"{route.methods[0]} {path}" for path, route in routes.items()]
        self._known = f"this port serves {', '.join(told[:-1])} and {told[-1]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        route = self._routes.get(scope["path"])
        if route is not None and scope["method"] in route.methods:
            await route.app(scope, receive, send)
        elif route is None:
            await plain_problem(404, self._known, request_id=request_id_of(scope)).send(send)
        else:
            allowed = ", ".join(route.methods)
            problem = plain_problem(
                405,
                f"the path serves {allowed}",
                request_id=request_id_of(scope),
                headers=[(b"allow", allowed.encode())],
            )
            await problem.send(send)
