"""A model that repeats what it is asked and takes its time: OpenAI's chat completions, in a process of its own.

It answers hundreds of requests side by side from one thread, so that what it takes of a core is little beside what is
measured.
"""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from aiohttp import web

Json = dict[str, Any]

INPUT_TOKENS = 11
"""What each answer is said to have read."""
OUTPUT_TOKENS = 7
"""What it is said to have written."""
FAIL = "fail"
"""What is asked of a model that is to fail, as one that is down."""
HANG = "hang"
"""What is asked of a model that is to begin a stream and never go on."""

_USAGE = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}


def _completion(kind: str, choice: Json, **more: Any) -> Json:
    choices = [{"index": 0, **choice}]
    return {"id": "c1", "object": kind, "created": 1, "model": "echo", "choices": choices, **more}


def _answers(seconds: float) -> web.Application:
    async def complete(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        text: str = body["messages"][-1]["content"]
        if text == FAIL:
            return web.json_response({"error": {"message": "as asked", "type": "server_error"}}, status=503)
        if body.get("stream"):
            return await _stream(request, text, seconds)
        await asyncio.sleep(seconds)
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return web.json_response(_completion("chat.completion", choice, usage=_USAGE))

    application = web.Application()
    application.router.add_post("/v1/chat/completions", complete)
    return application


async def _stream(request: web.Request, text: str, seconds: float) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    pieces = text.split(" ")
    for index, piece in enumerate(pieces):
        await asyncio.sleep(seconds / len(pieces))
        delta = {"role": "assistant", "content": f" {piece}" if index else piece}
        await _send(response, _completion("chat.completion.chunk", {"delta": delta, "finish_reason": None}))
    if text == HANG:
        await asyncio.Event().wait()  # until who asked leaves, which cancels this
    end = _completion("chat.completion.chunk", {"delta": {}, "finish_reason": "stop"}, usage=_USAGE)
    await _send(response, end)
    await response.write(b"data: [DONE]\n\n")
    return response


async def _send(response: web.StreamResponse, chunk: Json) -> None:
    await response.write(f"data: {json.dumps(chunk)}\n\n".encode())


async def _serve(host: str, port: int, seconds: float) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    runner = web.AppRunner(_answers(seconds), access_log=None, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=2048, shutdown_timeout=0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await stopped.wait()
    await runner.cleanup()


class EchoModel:
    """The process, from entering to leaving; it may go and be silent in between."""

    def __init__(self, host: str, *, seconds: float) -> None:
        """Prepare it.

        Args:
            host: Address to listen on.
            seconds: What an answer takes; a streamed one comes word by word over that time.
        """
        self._host = host
        self._port = 0
        self._seconds = seconds
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Base URL for an OpenAI client."""
        return f"http://{self._host}:{self._port}/v1"

    def start(self) -> None:
        """Start it; on the same port as before, if it ran before."""
        command = [sys.executable, "-m", "tests.support.echo_model", "--host", self._host]
        command += ["--port", str(self._port), "--seconds", str(self._seconds)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        assert port, "the model server did not start"
        self._port = int(port)

    def stop(self) -> None:
        """End it: connections are refused from now on."""
        assert self._process is not None
        self._process.terminate()
        self._process.communicate(timeout=20)
        self._process = None

    def freeze(self) -> None:
        """Let it answer nothing; the kernel goes on accepting for it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, also if it was not frozen."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.thaw()
            self.stop()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    asyncio.run(_serve(options.host, options.port, options.seconds))


if __name__ == "__main__":
    _main()
