"""An agent that answers at once, so that a benchmark measures the server around it."""

from typing import Any

from pydantic_ai import Agent

ANSWER = "Paris."


class Answer:
    """What is read of the result of a run."""

    output = ANSWER


async def run(*_: Any, **__: Any) -> Answer:
    """Answer without a model."""
    return _THE_ONE


_THE_ONE = Answer()


def stub_agents() -> None:
    """Make every agent of this process answer at once."""
    Agent.run = run  # type: ignore[method-assign,assignment] # what a run costs is what must not be measured
