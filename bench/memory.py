"""What memory the runtime takes, beside bare uvicorn servers and FastAPI around the same agent.

The servers run in turns. Each is looked at when it is ready, after requests that asked a model, and while as many
streams are open whose model has begun to answer and goes on as long as it is listened to. Memory is the process's own
(USS) and resident set (RSS).
"""

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass

import psutil

from bench.model_stub import ModelStub
from bench.overhead import send
from bench.servers import AT_ONCE, Server, Start, servers

REQUESTS = 5000
STREAMS = AT_ONCE
BEGUN_AT_ONCE = 20
"""All at once, some would wait longer for the model than a server's client does."""
OPEN_SECONDS = 120
"""What the streams may take to begin."""


@dataclass(frozen=True)
class Memory:
    """What a process takes, in MB."""

    own: float
    resident: float

    @classmethod
    def of(cls, process: psutil.Process) -> "Memory":
        taken = process.memory_full_info()
        return cls(taken.uss / 1e6, taken.rss / 1e6)


async def with_streams(server: Server, count: int) -> Memory:
    """Give what a server takes while as many streams are open."""
    writers: list[asyncio.StreamWriter] = []
    async with asyncio.timeout(OPEN_SECONDS):
        while len(writers) < count:
            few = min(BEGUN_AT_ONCE, count - len(writers))
            writers += await asyncio.gather(*(_begin_stream(server) for _ in range(few)))
    taken = Memory.of(server.process)
    for writer in writers:
        writer.close()
    return taken


async def _begin_stream(server: Server) -> asyncio.StreamWriter:
    """Ask for a stream, and wait for the first of its pieces."""
    body = json.dumps({"input": "What is the capital of France?", "stream": True}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"POST {server.path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    try:
        await reader.readuntil(b"Paris")
    except asyncio.IncompleteReadError as error:
        raise RuntimeError(f"no stream began: {error.partial.decode()}") from error
    return writer


def look(start: Start, requests: int, streams: int) -> list[Memory]:
    """Give what a server takes at each of the points."""
    with start() as server:
        found = [Memory.of(server.process)]
        sent = 0
        while sent < requests:
            sent += int(send(server.port, server.path, 1.0)["requests"])
        found.append(Memory.of(server.process))
        found.append(asyncio.run(with_streams(server, streams)))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS, help="at least so many (default: %(default)s)")
    parser.add_argument("--streams", type=int, default=STREAMS, help="open at once (default: %(default)s)")
    options = parser.parse_args()
    found = {}
    with ModelStub() as model:
        for name, start in servers(model.url).items():
            print(name, file=sys.stderr)
            found[name] = look(start, options.requests, options.streams)
    print(f"| own memory (resident), MB | {' | '.join(found)} |")
    print("|---" * (len(found) + 1) + "|")
    points = ("ready", f"after {options.requests} requests", f"with {options.streams} streams open")
    for point, title in enumerate(points):
        cells = (f"{each[point].own:.1f} ({each[point].resident:.1f})" for each in found.values())
        print(f"| {title} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
