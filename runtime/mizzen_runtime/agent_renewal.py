"""Takes up changed keys, authorities and secrets of the agent: built anew, checked, put in force for new requests."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from mizzen_api.contract import RuntimeConfig
from mizzen_api.problems import Problem
from mizzen_runtime.agent.build import BuiltAgent, rebuild_agent
from mizzen_runtime.agent.in_force import AgentInForce
from mizzen_runtime.agent.key_check import refusal_of
from mizzen_runtime.config import ConfigRefused
from mizzen_runtime.mounted_files import TakeUp, folders_of_agent
from mizzen_runtime.mounted_secrets import read_secrets
from mizzen_runtime.reloads import Reloads

_SUBJECT = "the agent's keys and secrets"


class AgentRenewal:
    """Builds the agent anew when what it is built from has changed."""

    def __init__(self, config: RuntimeConfig, in_force: AgentInForce, reloads: Reloads) -> None:
        self._config = config
        self._in_force = in_force
        self._reloads = reloads

    def watched(self) -> Iterator[tuple[Path, TakeUp]]:
        """Give the folders whose changes concern the agent, with what takes them up."""
        yield from ((folder, self.take_up) for folder in folders_of_agent(self._config))

    async def take_up(self) -> bool:
        """Put an agent with the new values in force; if they cannot be used, all stays as it was.

        Returns:
            Whether they are in force.
        """
        return self._reloads.note(_SUBJECT, await self._try())

    async def _try(self) -> Sequence[Problem]:
        try:
            built = await asyncio.to_thread(self._rebuild)
        except ConfigRefused as refused:
            return refused.problems
        return await self._in_force.replace(built, self._refused_keys)

    def _rebuild(self) -> BuiltAgent:
        return rebuild_agent(self._in_force.current.built, self._config, read_secrets(self._config))

    async def _refused_keys(self, built: BuiltAgent) -> list[Problem]:
        problems: list[Problem] = []
        for index, (endpoint, model) in enumerate(zip(self._config.models, built.members, strict=False)):
            if endpoint.api_key is None or (status := await refusal_of(model)) is None:
                continue
            source = endpoint.api_key
            problems.append(
                Problem(
                    field=f"spec.models[{index}].apiKey.secretKeyRef",
                    message=f"the provider refuses the new key in Secret {source.name!r}, key {source.key!r}: {status}",
                    remedy=f"put a key into Secret {source.name!r} that it takes; the one before stays in use",
                )
            )
        return problems
