"""A model and an API for the agents of the tests. Each lets in the keys that it is told, and notes when each was used.

PUT /keys/model, /keys/api      a JSON list: the keys that count from now on
GET /uses                       for each of the two, each key's `count` and `seconds_ago`
POST /model/chat/completions    OpenAI's: calls the tool `keep` with what it is told, then says what that gave;
                                without tools it says what its instructions are
GET /api/echo?query=…           gives the query as `text`

One thread, and no more of HTTP than its callers use: it shares a machine with what is tested.
"""

import asyncio
import json
import time
from collections import defaultdict
from dataclasses import dataclass
from http import HTTPStatus
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
        self._keys: frozenset[str] = frozenset()
        self._uses: defaultdict[str, Use] = defaultdict(Use)

    def set_keys(self, keys: list[str]) -> None:
        """Say which keys count from now on."""
        self._keys = frozenset(keys)

    def lets_in(self, authorization: str) -> bool:
        """Note the use of a key, and tell whether it counts."""
        key = authorization.removeprefix("Bearer ")
        use = self._uses[key]
        use.count, use.last = use.count + 1, time.monotonic()
        return key in self._keys

    def uses(self) -> dict[str, Json]:
        """Tell how each key was used."""
        now = time.monotonic()
        return {key: {"count": use.count, "seconds_ago": now - use.last} for key, use in self._uses.items()}


DOORS = {"model": Door(), "api": Door()}


@dataclass
class Request:
    """What is asked."""

    method: str
    path: str
    query: str
    authorization: str
    body: bytes


@dataclass
class Answer:
    """What is answered."""

    status: int
    content: bytes
    content_type: str = "application/json"

    @classmethod
    def of(cls, status: int, content: Json) -> "Answer":
        """Give an object."""
        return cls(status, json.dumps(content).encode())

    def encoded(self) -> bytes:
        """Give it as it is sent."""
        head = f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\ncontent-type: {self.content_type}\r\n"
        return f"{head}content-length: {len(self.content)}\r\n\r\n".encode() + self.content


def what_the_model_says(asked: Json) -> tuple[Json, str]:
    """Give what the model says next, and why it ends there."""
    first, last = asked["messages"][0], asked["messages"][-1]
    if last["role"] == "tool" or not asked.get("tools"):
        said = last if last["role"] == "tool" else first
        return {"role": "assistant", "content": said["content"]}, "stop"
    function = {"name": "keep", "arguments": json.dumps({"text": last["content"]})}
    call = {"id": "call-1", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"


def completion(kind: str, choice: Json, **more: Any) -> Json:
    choices = [{"index": 0, **choice}]
    return {"id": "c-1", "object": kind, "created": 1, "model": "keeper", "choices": choices, **more}


def chunks(message: Json, reason: str) -> bytes:
    """Give an answer as a stream of server-sent events, a text in two pieces."""
    if reason == "stop":
        text = message["content"]
        middle = len(text) // 2
        deltas = [{**message, "content": text[:middle]}, {"content": text[middle:]}]
    else:
        deltas = [{**message, "tool_calls": [{"index": 0, **call} for call in message["tool_calls"]]}]
    ends = [({"delta": delta, "finish_reason": None}) for delta in deltas] + [{"delta": {}, "finish_reason": reason}]
    events = [json.dumps(completion("chat.completion.chunk", end)) for end in ends]
    return "".join(f"data: {event}\n\n" for event in (*events, "[DONE]")).encode()


def answer_of_model(request: Request) -> Answer:
    if not DOORS["model"].lets_in(request.authorization):
        return Answer.of(401, {"error": {"message": "no such key", "code": "invalid_api_key"}})
    asked = json.loads(request.body)
    message, reason = what_the_model_says(asked)
    if asked.get("stream"):
        return Answer(200, chunks(message, reason), "text/event-stream")
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return Answer.of(200, completion("chat.completion", {"message": message, "finish_reason": reason}, usage=usage))


def answer_of_api(request: Request) -> Answer:
    if not DOORS["api"].lets_in(request.authorization):
        return Answer.of(401, {})
    return Answer.of(200, {"text": parse_qs(request.query).get("query", [""])[0]})


def answer_to(request: Request) -> Answer:
    if request.method == "PUT":
        DOORS[request.path.removeprefix("/keys/")].set_keys(json.loads(request.body))
        return Answer.of(200, {})
    if request.method == "POST":
        return answer_of_model(request)
    if request.path == "/uses":
        return Answer.of(200, {name: door.uses() for name, door in DOORS.items()})
    return answer_of_api(request)


async def next_request(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    named = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in named}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    url = urlsplit(target)
    return Request(method, url.path, url.query, headers.get("authorization", ""), body)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request after the other on a connection."""
    try:
        while True:
            writer.write(answer_to(await next_request(reader)).encoded())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):  # who asked has left
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "", PORT, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
