"""One request to the scripted model server, and the ways to answer it."""

import json
import select
import socket
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.integration.runtime.model_server import ModelServer

Body = dict[str, Any]


class Exchange:
    """One request, and the ways to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: Body, server: "ModelServer") -> None:
        self.body = body
        self._handler = handler
        self._server = server

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def connection(self) -> socket.socket:
        """What it came over."""
        connection: socket.socket = self._handler.request
        return connection

    def close(self) -> None:
        """End the connection when this is answered."""
        self._handler.close_connection = True

    def send(self, status: int, content: bytes, content_type: str = "application/json", **headers: str) -> None:
        self._handler.send_response(status)
        self._handler.send_header("content-type", content_type)
        self._handler.send_header("content-length", str(len(content)))
        for name, value in headers.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()
        self._handler.wfile.write(content)

    def begin(self, content_length: int | None = None) -> None:
        """Send the head of an answer that comes in parts."""
        self._handler.send_response(200)
        self._handler.send_header("content-type", "text/event-stream" if self.streams else "application/json")
        self._handler.send_header("connection", "close")
        if content_length is not None:
            self._handler.send_header("content-length", str(content_length))
        self._handler.end_headers()
        self._handler.close_connection = True

    def send_chunk(self, delta: Body, finish_reason: str | None = None) -> None:
        chunk = completion("chat.completion.chunk", {"index": 0, "delta": delta, "finish_reason": finish_reason})
        if finish_reason is None:
            del chunk["usage"]
        self._handler.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self._handler.wfile.flush()

    def send_first_part(self) -> None:
        """Send a word of a stream, or a half of an answer that is no stream."""
        if self.streams:
            self.send_chunk({"role": "assistant", "content": "Once "})
            return
        whole = text_completion("SECRET-TEXT, and so on")
        self.send_garbage(whole[: len(whole) * 2 // 3])

    def send_garbage(self, content: bytes) -> None:
        """Send what is no part of an answer."""
        self._handler.wfile.write(content)
        self._handler.wfile.flush()

    def end_stream(self) -> None:
        self._handler.wfile.write(b"data: [DONE]\n\n")

    def wait_until_client_leaves(self, seconds: float = 30) -> bool:
        """Say nothing until it is time, or the other side closes the connection; note and tell that it did."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            readable, _, _ = select.select([self._handler.connection], [], [], 0.05)
            if readable and not self._handler.connection.recv(1):
                self._server.abandoned.set()
                self._handler.close_connection = True
                return True
        return False

    def hold(self) -> None:
        """Wait until the test lets the answer go."""
        self._server.held.set()
        self._server.release.wait(30)


def completion(kind: str, choice: Body) -> Body:
    """Give a completion, or a chunk of one."""
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return {"id": "c1", "object": kind, "created": 1, "model": "scripted", "choices": [choice], "usage": usage}


def text_completion(text: str) -> bytes:
    """Give the body of an answer with a text."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps(completion("chat.completion", choice)).encode()
