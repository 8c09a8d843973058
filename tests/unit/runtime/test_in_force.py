"""Generations of the agent: who gets which, and when each ends."""

import asyncio
from types import TracebackType
from typing import Self

import pytest
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel

from mizzen_runtime.agent.build import BuiltAgent
from mizzen_runtime.agent.in_force import AgentInForce

pytestmark = pytest.mark.anyio


class Connected(WrapperModel):
    """A model that notes when its connections are opened and closed."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__(TestModel())
        self.notes: list[str] = []
        self.opened = asyncio.Event()
        self._fails = fails

    async def __aenter__(self) -> Self:
        if self._fails:
            raise OSError("no route")
        self.notes.append("opened")
        self.opened.set()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.notes.append("closed")


def built(model: Connected) -> BuiltAgent:
    return BuiltAgent(Agent(), model, ("test",))


async def accept(_: BuiltAgent) -> bool:
    return True


async def refuse(_: BuiltAgent) -> bool:
    return False


async def test_a_replaced_agent_ends_with_its_last_request() -> None:
    old, new = Connected(), Connected()
    agent = AgentInForce(built(old))
    await agent.open()
    with agent.current as used:
        with agent.current:
            assert await agent.replace(built(new), accept)
            assert agent.current.built.model is new
        await asyncio.sleep(0)
        assert (used.model, old.notes) == (old, ["opened"])
    await agent.close()
    assert (old.notes, new.notes) == (["opened", "closed"], ["opened", "closed"])


async def test_one_that_does_not_pass_its_check_is_closed_and_changes_nothing() -> None:
    old, new = Connected(), Connected()
    agent = AgentInForce(built(old))
    await agent.open()
    assert not await agent.replace(built(new), refuse)
    assert agent.current.built.model is old
    await agent.close()
    assert (old.notes, new.notes) == (["opened", "closed"], ["opened", "closed"])


async def test_one_whose_connections_cannot_be_opened_changes_nothing() -> None:
    old = Connected()
    agent = AgentInForce(built(old))
    await agent.open()
    with pytest.raises(OSError, match="no route"):
        await agent.replace(built(Connected(fails=True)), accept)
    assert agent.current.built.model is old
    await agent.close()


async def test_a_check_that_is_cancelled_leaves_nothing_open() -> None:
    old, new = Connected(), Connected()
    agent = AgentInForce(built(old))
    await agent.open()

    async def hang(_: BuiltAgent) -> bool:
        await asyncio.get_running_loop().create_future()
        return True

    replacing = asyncio.create_task(agent.replace(built(new), hang))
    await new.opened.wait()
    replacing.cancel()
    await asyncio.wait({replacing})
    await agent.close()
    assert new.notes == ["opened", "closed"]
