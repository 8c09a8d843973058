"""Sends the same request again and again over connections that stay open, in a process of its own.

It prints one line of JSON: the number of requests, the seconds that they took, and their median and 99th percentile in
seconds. A request takes it a third of the processor time that it takes the fastest of the servers.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from typing import cast

import uvloop

BODY = json.dumps({"input": "What is the capital of France?"}).encode()
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length: "


class Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, request: bytes, deadline: float, pause: float, done: asyncio.Event) -> None:
        self._request = request
        self._deadline = deadline
        self._pause = pause
        self._done = done
        self._received = b""
        self._sent_at = 0.0
        self.seconds: list[float] = []
        self.error = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own, which is none by inheritance
        self._send()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(HEAD_END)
        if head < 0:
            return
        start = self._received.find(LENGTH) + len(LENGTH)
        length = int(self._received[start : self._received.find(b"\r\n", start)])
        if len(self._received) < head + len(HEAD_END) + length:
            return
        now = time.perf_counter()
        self.seconds.append(now - self._sent_at)
        if not self._received.startswith(b"HTTP/1.1 200"):
            self.error = self._received.decode(errors="replace")
        self._received = b""
        if self.error or now > self._deadline:
            self._transport.close()
        elif self._pause:
            asyncio.get_running_loop().call_later(max(0.0, self._sent_at + self._pause - now), self._send)
        else:
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self.error = self.error or (repr(error) if error else "")
        self._done.set()


async def run(port: int, path: str, connections: int, seconds: float, rate: float) -> list[Connection]:
    """Send requests for some time; `rate` is that of each connection, without a bound if it is 0."""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(BODY)}"
    request = head.encode() + HEAD_END + BODY
    loop, deadline = asyncio.get_running_loop(), time.perf_counter() + seconds
    made, ends = [], []
    for _ in range(connections):
        ends.append(asyncio.Event())
        protocol = Connection(request, deadline, 1 / rate if rate else 0.0, ends[-1])
        await loop.create_connection(lambda protocol=protocol: protocol, "127.0.0.1", port)  # type: ignore[misc]
        made.append(protocol)
    await asyncio.gather(*(end.wait() for end in ends))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.request_loop", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument(
        "--rate", type=float, default=0, help="requests a second of each connection (default: no bound)"
    )
    options = parser.parse_args()
    begun = time.perf_counter()
    connections = uvloop.run(run(options.port, options.path, options.connections, options.seconds, options.rate))
    took = time.perf_counter() - begun
    if errors := [connection.error for connection in connections if connection.error]:
        sys.exit(f"{len(errors)} connections failed, the first with: {errors[0]}")
    seconds = sorted(value for connection in connections for value in connection.seconds)
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    print(json.dumps({"requests": len(seconds), "seconds": took, "p50": cuts[49], "p99": cuts[98]}))


if __name__ == "__main__":
    main()
