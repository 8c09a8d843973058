"""A model and an API for the agents of the tests. Each lets in the keys that it is told, and notes when each was used.

PUT /keys/model, /keys/api      a JSON list: the keys that count from now on
GET /uses                       for each of the two, each key's `count` and `seconds_ago`
POST /model/chat/completions    OpenAI's: calls the tool `keep` with what it is told, then says what that gave
GET /api/echo?query=…           gives the query as `text`
"""

import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
PORT = 8080


@dataclass
class Use:
    """How a key was used."""

    count: int = 0
    last: float = 0.0


class Door:
    """Lets in whoever has a key that counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: frozenset[str] = frozenset()
        self._uses: defaultdict[str, Use] = defaultdict(Use)

    def set_keys(self, keys: list[str]) -> None:
        """Say which keys count from now on."""
        self._keys = frozenset(keys)

    def lets_in(self, authorization: str) -> bool:
        """Note the use of a key, and tell whether it counts."""
        key = authorization.removeprefix("Bearer ")
        with self._lock:
            use = self._uses[key]
            use.count, use.last = use.count + 1, time.monotonic()
        return key in self._keys

    def uses(self) -> dict[str, Json]:
        """Tell how each key was used."""
        now = time.monotonic()
        with self._lock:
            return {key: {"count": use.count, "seconds_ago": now - use.last} for key, use in self._uses.items()}


DOORS = {"model": Door(), "api": Door()}


def answer_of_model(messages: list[Json]) -> tuple[Json, str]:
    """Give what the model says next, and why it ends there."""
    content = messages[-1]["content"]
    if messages[-1]["role"] == "tool":
        return {"role": "assistant", "content": content}, "stop"
    function = {"name": "keep", "arguments": json.dumps({"text": content})}
    call = {"id": "call-1", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"


def completion(kind: str, choice: Json, **more: Any) -> Json:
    choices = [{"index": 0, **choice}]
    return {"id": "c-1", "object": kind, "created": 1, "model": "keeper", "choices": choices, **more}


def chunks(message: Json, reason: str) -> bytes:
    """Give an answer as a stream of server-sent events, a text word by word."""
    if reason == "stop":
        first, *others = message["content"].split(" ")
        deltas = [{**message, "content": first}, *({"content": f" {word}"} for word in others)]
    else:
        deltas = [{**message, "tool_calls": [{"index": 0, **call} for call in message["tool_calls"]]}]
    ends = [({"delta": delta, "finish_reason": None}) for delta in deltas] + [{"delta": {}, "finish_reason": reason}]
    events = [json.dumps(completion("chat.completion.chunk", end)) for end in ends]
    return "".join(f"data: {event}\n\n" for event in (*events, "[DONE]")).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers one request after the other on a connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 300

    def do_PUT(self) -> None:
        DOORS[self.path.removeprefix("/keys/")].set_keys(json.loads(self._body()))
        self._send(200, {})

    def do_POST(self) -> None:
        asked = json.loads(self._body())
        if not DOORS["model"].lets_in(self.headers["authorization"]):
            self._send(401, {"error": {"message": "no such key", "code": "invalid_api_key"}})
            return
        message, reason = answer_of_model(asked["messages"])
        if asked.get("stream"):
            self._send_bytes(200, chunks(message, reason), "text/event-stream")
            return
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        self._send(200, completion("chat.completion", {"message": message, "finish_reason": reason}, usage=usage))

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/uses":
            self._send(200, {name: door.uses() for name, door in DOORS.items()})
        elif DOORS["api"].lets_in(self.headers.get("authorization", "")):
            self._send(200, {"text": parse_qs(url.query).get("query", [""])[0]})
        else:
            self._send(401, {})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Keep quiet."""

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["content-length"]))

    def _send(self, status: int, answer: Json) -> None:
        self._send_bytes(status, json.dumps(answer).encode(), "application/json")

    def _send_bytes(self, status: int, content: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Server(ThreadingHTTPServer):
    """Takes many connections at once."""

    daemon_threads = True
    request_queue_size = 1024


if __name__ == "__main__":
    Server(("", PORT), Handler).serve_forever()
