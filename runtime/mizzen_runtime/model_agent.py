"""The agent that a model answers for, YAML or an `Agent` of pydantic-ai: on the base that own code derives from too."""

import json
from collections.abc import AsyncGenerator
from typing import Any

from pydantic import RootModel
from pydantic_ai import AgentRunResultEvent, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta

from mizzen_runtime.agent.build import BuiltAgent
from mizzen_runtime.agent.in_force import AgentInForce
from mizzen_runtime.production_agent import AgentConfig, Platform, ProductionAgentBase
from mizzen_runtime.run_frame import Run


class Question(RootModel[str | dict[str, Any]]):
    """What the agent is asked: a text, or a JSON object, which reaches the model as JSON."""


class Answer(RootModel[Any]):
    """What the agent answers: a text, or whatever fits its output schema."""


class ModelAgent(ProductionAgentBase[Question, Answer]):
    """Runs the agent that is in force."""

    def __init__(self, name: str, in_force: AgentInForce, config: AgentConfig, platform: Platform) -> None:
        """Bind what a run needs.

        Args:
            name: Of the agent.
            in_force: The agent, as it is when a request begins.
            config: What it may take.
            platform: What it runs with.
        """
        super().__init__(name, config)
        self._in_force = in_force
        self.serve_on(platform, config)

    async def _process_core_request(self, request: Question) -> Answer:
        run = self._run()
        with self._in_force.current as built:
            result = await built.agent.run(_prompt(request), **_run_arguments(built, run))
        return _answer(result.output)

    async def pieces_in(self, run: Run, request: Question) -> AsyncGenerator[str | Answer, None]:
        """Give the pieces of a text, and the answer behind them.

        A structured answer has no pieces, because a part of it cannot fit the output schema. Where an agent uses
        tools, the pieces also hold what the model says before it calls them; the answer has itself alone.

        Raises:
            Exception: What pydantic-ai and own code raise.
        """
        async with self._with_services(run):
            with self._in_force.current as built, self._own_threads():
                async with built.agent.run_stream_events(_prompt(request), **_run_arguments(built, run)) as events:
                    async for event in events:
                        if isinstance(event, AgentRunResultEvent):
                            yield _answer(event.result.output)
                        elif built.streams_text and (text := _text_of(event)):
                            yield text


def _run_arguments(built: BuiltAgent, run: Run) -> dict[str, Any]:
    return {
        "deps": run.given,
        "model": built.model,
        "capabilities": built.run_capabilities,
        "usage": run.usage,
        "timeout": run.time_left,
        "infer_name": False,
    }


def _prompt(request: Question) -> str:
    given = request.root
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def _answer(output: object) -> Answer:
    return Answer(output)  # of any type: nothing is checked or copied


def _text_of(event: object) -> str | None:
    if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
        return event.delta.content_delta
    if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
        return event.part.content
    return None
