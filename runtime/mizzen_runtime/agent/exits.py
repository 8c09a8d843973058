"""Keeps own code that asks Python to end, as `sys.exit` does, from ending the server and everybody's requests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.capabilities import (
    AbstractCapability,
    AgentNode,
    NodeResult,
    ValidatedToolArgs,
    WrapModelRequestHandler,
    WrapNodeRunHandler,
    WrapToolExecuteHandler,
)
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.models import ModelRequestContext
from pydantic_ai.tools import ToolDefinition


class ExitInRunError(Exception):
    """Own code asked Python to end; the cause says where."""


class ContainExits(AbstractCapability[Any]):
    """Turns what would end the event loop into a failure of the one run.

    Whatever may have a task of its own is wrapped: from there, an exit goes to the loop, past who waits for the task.
    """

    async def wrap_node_run(
        self, ctx: RunContext[Any], *, node: "AgentNode[Any]", handler: "WrapNodeRunHandler[Any]"
    ) -> "NodeResult[Any]":
        """Run a step, with the instructions, validators and hooks that belong to it."""
        del ctx
        with contained():
            return await handler(node)

    async def wrap_model_request(
        self, ctx: RunContext[Any], *, request_context: ModelRequestContext, handler: WrapModelRequestHandler
    ) -> ModelResponse:
        """Ask a model, which may be own code's."""
        del ctx
        with contained():
            return await handler(request_context)

    async def wrap_tool_execute(
        self,
        ctx: RunContext[Any],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,
        args: ValidatedToolArgs,
        handler: WrapToolExecuteHandler,
    ) -> Any:
        """Call a tool."""
        del ctx, call, tool_def
        with contained():
            return await handler(args)


@contextmanager
def contained() -> Iterator[None]:
    """Turn an exit inside into `ExitInRunError`."""
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as error:
        raise ExitInRunError from error
