"""The agent that new requests get, and those before it that requests still use."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType

from mizzen_runtime.agent.build import BuiltAgent

MODEL_CLOSE_SECONDS = 1.0
"""What the connections to models have for closing."""

log = logging.getLogger("mizzen.server")

Accepts = Callable[[BuiltAgent], Awaitable[bool]]
"""Tells whether an agent, whose connections may be used by now, is to be put in force."""


class AgentGeneration:
    """One build of the agent. `with` it, for one request, as the agent; it ends with the last request that uses it."""

    def __init__(self, built: BuiltAgent) -> None:
        self.built = built
        self._users = 0
        self._is_retired = False
        self._unused = asyncio.Event()

    def __enter__(self) -> BuiltAgent:
        """Use it for a request."""
        self._users += 1
        return self.built

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The request is over."""
        self._users -= 1
        self._end_if_unused()

    def retire(self) -> None:
        """Let it end when nobody uses it any more; nobody new will."""
        self._is_retired = True
        self._end_if_unused()

    def _end_if_unused(self) -> None:
        if self._is_retired and not self._users:
            self._unused.set()

    async def live(self, ready: asyncio.Future[None]) -> None:
        """Keep the connections to its models open until nobody uses it any more.

        Args:
            ready: Is told when they may be used, or why not.
        """
        bound = asyncio.timeout(None)
        try:
            # The model is entered, for its connections; never the agent (see BuiltAgent.model).
            async with bound, AsyncExitStack() as connections:
                for client in self.built.clients:
                    await connections.enter_async_context(client)
                await connections.enter_async_context(self.built.model)
                if not ready.cancelled():  # whoever waited for it has given up, and says so by `retire`
                    ready.set_result(None)
                await self._unused.wait()
                bound.reschedule(asyncio.get_running_loop().time() + MODEL_CLOSE_SECONDS)
        except TimeoutError:
            if not bound.expired():
                raise
            log.warning("connections to models did not close in time", extra={"seconds": MODEL_CLOSE_SECONDS})
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)


class AgentInForce:
    """Holds the generation that new requests get."""

    def __init__(self, built: BuiltAgent) -> None:
        """Open nothing yet.

        Args:
            built: The agent that the first requests get.
        """
        self.current = AgentGeneration(built)
        self._living: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Open the connections to the models."""
        await self._open(self.current)

    async def replace(self, built: BuiltAgent, accepts: Accepts) -> bool:
        """Give new requests another agent; those that run keep the one that they have.

        Returns:
            Whether it was accepted. If not, all is as it was.
        """
        fresh = AgentGeneration(built)
        try:
            await self._open(fresh)
            is_accepted = await accepts(built)
        except BaseException:
            fresh.retire()
            raise
        before = fresh
        if is_accepted:
            before, self.current = self.current, fresh
        before.retire()
        return is_accepted

    async def close(self) -> None:
        """Close all connections; requests must be over."""
        self.current.retire()
        if self._living:
            await asyncio.wait(self._living, timeout=MODEL_CLOSE_SECONDS)

    async def _open(self, generation: AgentGeneration) -> None:
        ready = asyncio.get_running_loop().create_future()
        # A task for each: what a library opens in one must be closed in the same.
        task = asyncio.create_task(generation.live(ready))
        self._living.add(task)
        task.add_done_callback(self._living.discard)
        await ready
