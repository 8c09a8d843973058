"""What a tutorial has: a FastAPI application with models for what comes in and goes out, on the same server."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from pydantic_ai import Agent

from bench.baselines.common import make_agent, parse, serve


class Question(BaseModel):
    input: str
    stream: bool = False


class Answer(BaseModel):
    output: str


def make_app(agent: Agent) -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def ready() -> str:
        return "ok"

    @app.post("/", response_model=Answer)
    async def ask(question: Question) -> Any:
        if question.stream:
            return StreamingResponse(pieces(agent, question.input), media_type="text/plain")
        return Answer(output=(await agent.run(question.input)).output)

    return app


async def pieces(agent: Agent, prompt: str) -> AsyncIterator[str]:
    async with agent.run_stream(prompt) as result:
        async for text in result.stream_text(delta=True, debounce_by=None):
            yield text


def main() -> None:
    options = parse("python -m bench.baselines.fastapi_server", __doc__)
    serve(make_app(make_agent(options)), options)


if __name__ == "__main__":
    main()
