"""The baseline: what somebody writes in ten minutes around a pydantic-ai agent, with the same server and model.

A raw ASGI application on uvicorn with uvloop and httptools; no metrics, no deadline, no drain of its own.
"""

import argparse
import json
from typing import Any

import uvicorn
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


def make_app(base_url: str) -> Any:
    model = OpenAIChatModel("stub", provider=OpenAIProvider(base_url=base_url, api_key="none"))
    agent = Agent(model, instructions="Answer briefly.")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        if scope["method"] == "POST":
            message = await receive()
            body = message["body"]
            while message.get("more_body"):
                message = await receive()
                body += message["body"]
            result = await agent.run(json.loads(body)["input"])
            answer = json.dumps({"output": result.output}).encode()
        else:
            answer = b"ok"
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model-url", required=True)
    options = parser.parse_args()
    uvicorn.run(
        make_app(options.model_url),
        host="127.0.0.1",
        port=options.port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
