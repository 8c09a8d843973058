"""The baseline: what somebody writes in ten minutes around a pydantic-ai agent, with the same server and model.

A raw ASGI application on uvicorn with uvloop and httptools; no metrics, no deadline, no drain of its own.
"""

import argparse
import gc
import json
from typing import Any

import uvicorn
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from bench.stub import stub_agents


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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.baselines.bare_server", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model-url", default="http://127.0.0.1:9/v1")
    parser.add_argument("--stub", action="store_true", help="answer at once, without a model")
    parser.add_argument("--tuned", action="store_true", help="collect garbage as rarely as the runtime does")
    options = parser.parse_args()
    if options.stub:
        stub_agents()
    app = make_app(options.model_url)
    if options.tuned:
        gc.freeze()
        gc.set_threshold(20_000, 5, 5)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=options.port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
