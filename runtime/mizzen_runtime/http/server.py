"""uvicorn, set up for this process: our signals, our log, our way to say no."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mizzen_runtime.http.asgi import App
from mizzen_runtime.http.problem import CONTENT_TYPE, plain_problem

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75
"""Longer than the 60 s after which common proxies close an idle connection: who closes first must be the client, or
its next request meets a closing socket."""


def bind(host: str, port: int) -> socket.socket:
    """Bind a TCP socket, so that a port that is taken shows before anything else is done.

    Raises:
        OSError: The address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    bound.set_inheritable(False)
    return bound


class _Protocol(HttpToolsProtocol):
    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with problem details; uvicorn's own answer is a plain text."""
        del msg
        body = plain_problem(400, "this is no valid HTTP request").to_json()
        head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (
            CONTENT_TYPE,
            len(body),
        )
        self.transport.write(head + body)
        self.transport.close()


class _QuietServer(Server):
    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: the drain is ours."""
        yield


class HttpServer:
    """One listening port."""

    def __init__(self, app: App, bound: socket.socket, *, drain_grace: int) -> None:
        """Prepare to serve.

        Args:
            app: What answers.
            bound: A socket from `bind`.
            drain_grace: Seconds that running requests are waited for at the end.
        """
        self._bound = bound
        self._server = _QuietServer(
            Config(
                app,
                loop="none",
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=drain_grace,
            )
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is bound."""
        return int(self._bound.getsockname()[1])

    async def start(self) -> None:
        """Begin to accept; returns when it does.

        Raises:
            OSError: The socket cannot be listened on.
        """
        self._task = asyncio.create_task(self._server.serve(sockets=[self._bound]))
        accepting = asyncio.create_task(self._server.accepting.wait())
        await asyncio.wait({accepting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not accepting.done():
            accepting.cancel()
            await self._task  # raises what kept it from accepting

    async def stop(self) -> None:
        """Accept no more, let running requests end within the grace, then close what is left."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
