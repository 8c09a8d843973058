"""What the baselines have in common: their command line, their agent, and how uvicorn runs them."""

import argparse
import gc
from typing import Any

import uvicorn
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from bench.stub import stub_agents


def parse(prog: str, description: str | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model-url", default="http://127.0.0.1:9/v1")
    parser.add_argument("--stub", action="store_true", help="answer at once, without a model")
    parser.add_argument("--tuned", action="store_true", help="collect garbage as rarely as the runtime does")
    return parser.parse_args()


def make_agent(options: argparse.Namespace) -> Agent:
    """Make the agent that answers."""
    if options.stub:
        stub_agents()
    model = OpenAIChatModel("stub", provider=OpenAIProvider(base_url=options.model_url, api_key="none"))
    return Agent(model, instructions="Answer briefly.")


def serve(app: Any, options: argparse.Namespace) -> None:
    """Serve an application until the process is killed."""
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
