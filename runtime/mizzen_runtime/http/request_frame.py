"""What frames every request on the traffic port: its id, its trace, and the word to leave while draining."""

import re
import secrets

from mizzen_runtime import log
from mizzen_runtime.http.asgi import CLOSE, App, Message, Receive, Scope, Send
from mizzen_runtime.http.problem import plain_problem
from mizzen_runtime.lifecycle import Lifecycle
from mizzen_runtime.tracing import Tracing

REQUEST_ID_HEADER = b"x-request-id"
_FAULT = "a fault of the server; its log has the request id"
_VALID_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


class RequestFrame:
    """Gives each request an id and sends it back; while draining, asks clients to close their connection.

    Where nothing was sent yet when a fault of our own comes out, it is told as problem details.

    The id and that of the trace are in every line that is logged on the request's behalf, by own code too.

    A caller's own `x-request-id` is taken when it has 1 to 128 letters, digits or `._:/+=-`; otherwise it is replaced,
    so that nothing can be smuggled into the log.
    """

    def __init__(self, app: App, lifecycle: Lifecycle, tracing: Tracing) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with `scope["state"]["request_id"]` set."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == REQUEST_ID_HEADER), None)
        request_id = given if given and _VALID_ID.fullmatch(given) else secrets.token_hex(16).encode()
        name = scope["state"]["request_id"] = request_id.decode()
        traced = self._tracing.begin(scope["method"], scope["headers"], name)
        log.begin_request(request_id=name, trace_id=traced.trace_id)
        status: int | None = None

        async def send_framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (REQUEST_ID_HEADER, request_id)]
                if self._lifecycle.draining and CLOSE not in message["headers"]:
                    message["headers"].append(CLOSE)
            await send(message)

        try:
            await self._app(scope, receive, send_framed)
        except Exception:  # a fault of our own; uvicorn logs it
            if status is None:
                await plain_problem(500, _FAULT, request_id=name).send(send_framed)
            raise
        finally:
            traced.end(scope["method"], scope["path"], status)


def request_id_of(scope: Scope) -> str:
    """Give the id that the frame gave to a request."""
    return str(scope["state"]["request_id"])
