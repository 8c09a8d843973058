"""A model server that speaks OpenAI's chat completions over a real socket and misbehaves on demand."""

import json
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.integration.runtime.model_exchange import Body, Exchange, completion, text_completion

Behaviour = Callable[[Exchange], None]
"""What the server does with one request."""


def says(text: str) -> Behaviour:
    """Answer with a text."""

    def behave(exchange: Exchange) -> None:
        if not exchange.streams:
            exchange.send(200, text_completion(text))
            return
        exchange.begin()
        for word in text.split(" "):
            exchange.send_chunk({"role": "assistant", "content": f"{word} "})
        exchange.send_chunk({}, "stop")
        exchange.end_stream()

    return behave


def fills_in(arguments: Body) -> Behaviour:
    """Answer with a structured output, as a call of the tool that was offered for it."""

    def behave(exchange: Exchange) -> None:
        offered = [tool["function"]["name"] for tool in exchange.body["tools"]]
        calls(next(name for name in offered if name.startswith("final_result")), arguments)(exchange)

    return behave


def calls(name: str, arguments: Body) -> Behaviour:
    """Answer with a call of a tool."""

    def behave(exchange: Exchange) -> None:
        call = {"id": "t1", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        if not exchange.streams:
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
            choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
            exchange.send(200, json.dumps(completion("chat.completion", choice)).encode())
            return
        exchange.begin()
        exchange.send_chunk({"role": "assistant", "tool_calls": [{"index": 0, **call}]})
        exchange.send_chunk({}, "tool_calls")
        exchange.end_stream()

    return behave


def after_release(behaviour: Behaviour) -> Behaviour:
    """Do it when the test says so."""

    def behave(exchange: Exchange) -> None:
        exchange.hold()
        behaviour(exchange)

    return behave


def late(seconds: float, behaviour: Behaviour) -> Behaviour:
    """Do it after a time; for nobody, if the client has left by then."""

    def behave(exchange: Exchange) -> None:
        if exchange.wait_until_client_leaves(seconds):
            return
        behaviour(exchange)

    return behave


def pauses_after_first_word(text: str) -> Behaviour:
    """Stream one word, then the rest when the test says so."""

    def behave(exchange: Exchange) -> None:
        first, _, rest = text.partition(" ")
        exchange.begin()
        exchange.send_chunk({"role": "assistant", "content": f"{first} "})
        exchange.hold()
        exchange.send_chunk({"content": rest})
        exchange.send_chunk({}, "stop")
        exchange.end_stream()

    return behave


def floods(exchange: Exchange) -> None:
    """Stream 30 MB, more than the buffers on the way hold."""
    exchange.begin()
    for _ in range(30):
        exchange.send_chunk({"role": "assistant", "content": "x" * 1_000_000})
    exchange.send_chunk({}, "stop")
    exchange.end_stream()


def fails(status: int, message: str = "SECRET-TEXT of the provider", **headers: str) -> Behaviour:
    """Answer with an error of OpenAI's shape."""
    content = json.dumps({"error": {"message": message, "type": "server_error", "code": "scripted"}}).encode()
    return lambda exchange: exchange.send(status, content, **headers)


def exceeds_the_context_window(exchange: Exchange) -> None:
    """Refuse an input for its length, as OpenAI and vLLM do."""
    error = {"message": "SECRET-TEXT", "type": "invalid_request_error", "code": "context_length_exceeded"}
    exchange.send(400, json.dumps({"error": error}).encode())


def talks_garbage(exchange: Exchange) -> None:
    """Answer with what is no JSON."""
    exchange.send(200, b"<html>SECRET-TEXT</html>")


def answers_nothing(exchange: Exchange) -> None:
    """Answer with JSON that is no completion."""
    if exchange.streams:
        exchange.begin()
        exchange.send_garbage(b'data: {"hello": "SECRET-TEXT"}\n\n')
        exchange.end_stream()
        return
    exchange.send(200, b'{"hello": "SECRET-TEXT"}')


def refuses(exchange: Exchange) -> None:
    """Decline in OpenAI's way."""
    if exchange.streams:
        exchange.begin()
        exchange.send_chunk({"role": "assistant", "refusal": "SECRET-TEXT"})
        exchange.send_chunk({}, "content_filter")
        exchange.end_stream()
        return
    message = {"role": "assistant", "content": None, "refusal": "SECRET-TEXT"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    exchange.send(200, json.dumps(completion("chat.completion", choice)).encode())


def is_filtered(exchange: Exchange) -> None:
    """Answer with a part that the provider's filter cut."""
    message = {"role": "assistant", "content": "SECRET-TE"}
    choice = {"index": 0, "message": message, "finish_reason": "content_filter"}
    exchange.send(200, json.dumps(completion("chat.completion", choice)).encode())


def hangs(exchange: Exchange) -> None:
    """Never answer."""
    exchange.wait_until_client_leaves()
    drops_the_connection(exchange)


def hangs_after_first_word(exchange: Exchange) -> None:
    """Stream a word, or send half an answer, and never go on."""
    exchange.begin()
    exchange.send_first_part()
    exchange.wait_until_client_leaves()


def cuts_the_stream(exchange: Exchange) -> None:
    """End the answer after its first part, in a way that HTTP takes for its end."""
    exchange.begin()
    exchange.send_first_part()


def breaks_the_connection(exchange: Exchange) -> None:
    """End the answer after its first part, in a way that HTTP knows as broken off."""
    exchange.begin(content_length=1000)
    exchange.send_first_part()


def ends_after_the_head(exchange: Exchange) -> None:
    """Begin a good answer, and close before its first byte."""
    exchange.begin()


def turns_to_garbage(exchange: Exchange) -> None:
    """Begin a good answer, and go on with what is no JSON."""
    exchange.begin()
    exchange.send_first_part()
    exchange.send_garbage(b"data: <SECRET-TEXT>\n\n")
    exchange.end_stream()


def drops_the_connection(exchange: Exchange) -> None:
    """Close without a word."""
    exchange.close()


def leaves(server: "ModelServer", behaviour: Behaviour) -> Behaviour:
    """Do it as the last thing: take no further request."""

    def behave(exchange: Exchange) -> None:
        server.leave()
        behaviour(exchange)
        exchange.close()

    return behave


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def __init__(self, outer: "ModelServer", *arguments: Any) -> None:
        self._outer = outer
        super().__init__(*arguments)

    def setup(self) -> None:
        self._outer.connections.add(self.request)
        super().setup()

    def finish(self) -> None:
        self._outer.connections.discard(self.request)
        super().finish()

    def _is_refused(self) -> bool:
        key = self.headers.get("authorization", "").removeprefix("Bearer ")
        if self._outer.accepts is None or key in self._outer.accepts:
            return False
        fails(401)(Exchange(self, {}, self._outer))
        return True

    def do_GET(self) -> None:
        if not self._outer.lists_models:
            fails(404)(Exchange(self, {}, self._outer))
        elif not self._outer.keys_may_list:
            fails(403)(Exchange(self, {}, self._outer))
        elif not self._is_refused():
            Exchange(self, {}, self._outer).send(200, b'{"object": "list", "data": []}')

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self._is_refused():
            return
        self._outer.requests.append(body)
        self._outer.headers.append({name.lower(): value for name, value in self.headers.items()})
        behaviour = self._outer._behaviours.popleft() if self._outer._behaviours else self._outer.otherwise
        exchange = Exchange(self, body, self._outer)
        self._outer.exchanges.add(exchange)
        try:
            behaviour(exchange)
        finally:
            self._outer.exchanges.discard(exchange)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Keep quiet."""


class ModelServer:
    """Plays the behaviours that a test queues, one a request; after the last it fails with 500, or does as told."""

    def __init__(self, host: str = "127.0.0.1", tls: tuple[Path, Path] | None = None) -> None:
        """Listen.

        Args:
            host: Where.
            tls: Files of its certificate and key; it speaks plain HTTP without.
        """
        self.accepts: set[str] | None = None
        """Keys that it takes; whatever comes if it is None."""
        self.lists_models = True
        """Whether it has `GET /v1/models`."""
        self.keys_may_list = True
        """Whether keys that may use models may also list them."""
        self.connections: set[socket.socket] = set()
        """Those that are open."""
        self.exchanges: set[Exchange] = set()
        """Those that it has not ended yet."""
        self.requests: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.abandoned = threading.Event()
        self.held = threading.Event()
        self.release = threading.Event()
        self.otherwise = fails(500)
        """What it does when none is queued."""
        self._behaviours: deque[Behaviour] = deque()
        self._tls = tls
        # Bound and never listening, so that nobody else gets the port while nothing listens there.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((host, 0))
        self._open()

    def _open(self) -> None:
        self._server = _Server(self._reserved.getsockname(), partial(_Handler, self))
        self._server.daemon_threads = True
        if self._tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*self._tls)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        host, port = self._reserved.getsockname()
        return f"{'http' if self._tls is None else 'https'}://{host}:{port}/v1"

    def will(self, *behaviours: Behaviour) -> None:
        """Queue what to do with the next requests."""
        self._behaviours.extend(behaviours)

    def leave(self) -> None:
        """Refuse connections, and end those on which nothing is being answered."""
        self._stop_listening()
        for connection in self.connections - {exchange.connection for exchange in self.exchanges}:
            connection.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def forgetting(self) -> Iterator[None]:
        """Be as before afterwards: there, and with nothing queued."""
        try:
            yield
        finally:
            self._behaviours.clear()
            if not self._thread.is_alive():
                self._open()

    def _stop_listening(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def close(self) -> None:
        self.release.set()
        self._stop_listening()
        self._reserved.close()
