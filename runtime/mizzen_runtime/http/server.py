"""uvicorn, set up for this process: our signals, our log, our way to say no."""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Iterator

from uvicorn import Config, Server

from mizzen_runtime.http.asgi import App
from mizzen_runtime.http.protocol import Protocol

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75
"""Longer than the 60 s after which common proxies close an idle connection: who closes first must be the client, or
its next request meets a closing socket."""
_CUT_OFF_SECONDS = 2.0
"""What a request has for its end when its client is gone."""
_WITHOUT_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})

log = logging.getLogger("mizzen.http")


def bind(host: str | None, port: int) -> socket.socket:
    """Listen on a TCP port, so that one that is taken shows before anything else is done.

    Args:
        host: Address or name; None for every address, of IPv4 and, where there is one, of IPv6.
        port: 0 takes a free one.

    Raises:
        socket.gaierror: The name has no address.
        OSError: The address cannot be had.
    """
    if host is not None:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return _listen(family, address)
    try:
        return _listen(socket.AF_INET6, ("::", port))
    except OSError as error:
        if error.errno not in _WITHOUT_IPV6:
            raise
        return _listen(socket.AF_INET, ("0.0.0.0", port))  # noqa: S104 - every address is what was asked for


def _listen(family: int, address: tuple[object, ...]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)  # with SO_REUSEADDR two may bind one port, but only one may listen
    except OSError:
        listening.close()
        raise
    return listening


def _emptied(queue: socket.socket) -> Iterator[socket.socket]:
    """Give the connections that wait in a listening socket's queue, and close it."""
    with queue, _network_errors_logged():
        while True:
            try:
                connection, _ = queue.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:  # this client is gone; others may wait behind it
                continue
            yield connection


@contextlib.contextmanager
def _network_errors_logged() -> Iterator[None]:
    """Go on without a connection that cannot be had: to fail would cut off all others."""
    try:
        yield
    except OSError as error:
        log.warning("a connection could not be taken in before the end", exc_info=error)


class _QuietServer(Server):
    def __init__(self, config: Config, last_call: float) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()
        self._last_call = last_call

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, answer what comes on open connections for a moment longer, then close those left idle."""
        await self._stop_accepting(sockets or [])
        await asyncio.sleep(self._last_call)
        await super().shutdown(sockets)

    async def _stop_accepting(self, sockets: list[socket.socket]) -> None:
        """Close what listens, and take in whom the kernel has accepted already: closing alone would reset them."""
        queues = [listening.dup() for listening in sockets]
        for server in self.servers:
            server.close()
        # All of a queue before anything else runs: who is answered comes again while it is open.
        for connection in [connection for queue in queues for connection in _emptied(queue)]:
            with _network_errors_logged():
                await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> Protocol:
        return Protocol(self.config, self.server_state, self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: the drain is ours."""
        yield


class HttpServer:
    """One listening port."""

    def __init__(self, app: App, bound: socket.socket, *, drain_grace: float, last_call: float = 0) -> None:
        """Prepare to serve.

        Args:
            app: What answers.
            bound: A socket from `bind`.
            drain_grace: Seconds that the end may take before what still runs is cut off.
            last_call: Seconds of them in which requests are answered that come over connections open before.
        """
        self._bound = bound
        self._drain_grace = drain_grace
        self._server = _QuietServer(
            Config(
                app,
                loop="none",
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            ),
            last_call,
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
        """Accept no more, let requests end within the grace, then cut off what is left."""
        self._server.should_exit = True
        if self._task is None:
            return
        await asyncio.wait({self._task}, timeout=self._drain_grace)
        left = list(self._server.server_state.connections)
        for connection in left:
            # To close would wait until the client has read everything; and a run ends when its client is gone.
            connection.transport.abort()
        if left:
            log.warning("connections are cut off at the end of the drain", extra={"connections": len(left)})
        await asyncio.wait({self._task}, timeout=_CUT_OFF_SECONDS)
        self._abandon()
        await self._task

    def _abandon(self) -> None:
        """Cancel what has not even ended when its client was gone."""
        running = list(self._server.server_state.tasks)
        if running:
            log.error("requests do not end without their clients, and are cancelled", extra={"requests": len(running)})
        for task in running:
            task.cancel()
        self._server.force_exit = True
