"""Puts what was built on the platform that it is served from, whichever kind of agent it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mizzen_api.limits import RuntimeLimits
from mizzen_runtime.agent.build import BuiltAgent
from mizzen_runtime.agent.in_force import AgentInForce
from mizzen_runtime.agent.own_base import BuiltBase, OwnBase
from mizzen_runtime.model_agent import ModelAgent
from mizzen_runtime.production_agent import AgentConfig, Platform
from mizzen_runtime.thread_pool import THREADS


@dataclass(frozen=True)
class ServedAgent:
    """An agent that can be asked, while it is connected."""

    agent: OwnBase
    in_force: AgentInForce | None
    """What its models are built from anew when their keys change; None for one that asks its own."""

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Keep the connections to its models open."""
        if self.in_force is None:
            yield
            return
        await self.in_force.open()
        try:
            yield
        finally:
            await self.in_force.close()


def agent_config(limits: RuntimeLimits, threads: int = THREADS) -> AgentConfig:
    """Give what an agent may take in a process.

    Args:
        limits: What the resource says.
        threads: What the process says.
    """
    return AgentConfig(
        max_concurrent_requests=limits.max_concurrent_requests,
        max_queued_requests=limits.max_queued_requests,
        request_timeout=limits.request_timeout_seconds,
        max_threads=threads,
    )


def serve(built: BuiltAgent | BuiltBase, name: str, config: AgentConfig, platform: Platform) -> ServedAgent:
    """Have an agent run with what the process has.

    Args:
        built: The agent.
        name: What it is called.
        config: What it may take.
        platform: Gate, metrics, threads and services, made for this config.
    """
    if isinstance(built, BuiltBase):
        built.agent.serve_on(platform, config)
        return ServedAgent(built.agent, None)
    in_force = AgentInForce(built)
    return ServedAgent(ModelAgent(name, in_force, config, platform), in_force)
