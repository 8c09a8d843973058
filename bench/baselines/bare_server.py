"""The baseline: what somebody writes in ten minutes around a pydantic-ai agent, with the same server and model.

A raw ASGI application on uvicorn with uvloop and httptools; no metrics, no deadline, no drain of its own.
"""

import json
from typing import Any

from pydantic_ai import Agent

from bench.baselines.common import make_agent, parse, serve


def make_app(agent: Agent) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["method"] != "POST":
            await answer(send, b"ok")
            return
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        asked = json.loads(body)
        if asked.get("stream"):
            await stream(agent, asked["input"], send)
        else:
            result = await agent.run(asked["input"])
            await answer(send, json.dumps({"output": result.output}).encode())

    return app


async def answer(send: Any, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def stream(agent: Agent, prompt: str, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    async with agent.run_stream(prompt) as result:
        async for text in result.stream_text(delta=True, debounce_by=None):
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def main() -> None:
    options = parse("python -m bench.baselines.bare_server", __doc__)
    serve(make_app(make_agent(options)), options)


if __name__ == "__main__":
    main()
