"""Takes up changed keys, authorities and secrets of the agent: built anew, checked, put in force for new requests.

Each value is for itself: one that is missing or refused stays as it was, and does not keep the others from being used.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mizzen_api.contract import RuntimeConfig
from mizzen_api.problems import Problem
from mizzen_runtime.agent.build import BuiltAgent, rebuild_agent
from mizzen_runtime.agent.in_force import AgentInForce
from mizzen_runtime.agent.key_check import is_refused
from mizzen_runtime.config import ConfigRefused
from mizzen_runtime.leaving import in_abandonable_thread
from mizzen_runtime.mounted_files import TakeUp, folders_of_agent
from mizzen_runtime.mounted_secrets import MountedSecrets, read_secrets
from mizzen_runtime.reloads import Reloads

_SUBJECT = "the agent's keys and secrets"

log = logging.getLogger("mizzen.reloads")


class AgentRenewal:
    """Builds the agent anew when what it is built from has changed."""

    def __init__(self, config: RuntimeConfig, values: MountedSecrets, in_force: AgentInForce, reloads: Reloads) -> None:
        """Know what is in force.

        Args:
            config: The configuration.
            values: What the agent in force was built from.
            in_force: The agent.
            reloads: Where attempts are noted.
        """
        self._config = config
        self._values = values
        self._in_force = in_force
        self._reloads = reloads

    def watched(self) -> Iterator[tuple[Path, TakeUp]]:
        """Give the folders whose changes concern the agent, with what takes them up."""
        yield from ((folder, self.take_up) for folder in folders_of_agent(self._config))

    async def take_up(self) -> bool:
        """Put an agent with the new values in force, as far as they can be used.

        Returns:
            Whether all of them are.
        """
        return self._reloads.note(_SUBJECT, await self._try())

    async def _try(self) -> Sequence[Problem]:
        try:
            read = await in_abandonable_thread(partial(read_secrets, self._config))
            wanted = read.over(self._values)
            refused = await self._put_in_force(wanted) if wanted != self._values else []
        except ConfigRefused as unusable:
            return unusable.problems
        except Exception as error:
            log.exception("the agent could not be built anew")
            message = f"the agent could not be built anew with changed keys and secrets: {type(error).__qualname__}"
            return [Problem(field="spec", message=message, remedy="see the pod's log for the place where it failed")]
        return [*read.problems, *map(self._refusal, refused)]

    async def _put_in_force(self, wanted: MountedSecrets) -> Collection[int]:
        """Put an agent with these values in force, but for the keys that are refused: give their places in the chain.

        Raises:
            ConfigRefused: The values cannot be used.
        """
        refused: list[int] = []

        async def accepts(built: BuiltAgent) -> bool:
            refused.extend([index for index in self._changed_keys(wanted) if await self._is_refused(index, built)])
            return not refused

        if not await self._in_force.replace(await self._built(wanted), accepts):
            kept = {index: self._values.model_keys[index] for index in refused}
            wanted = replace(wanted, model_keys={**wanted.model_keys, **kept})
            if wanted != self._values:
                await self._in_force.replace(await self._built(wanted), _accepts_all)
        self._reset_breakers(wanted)
        self._values = wanted
        return refused

    def _reset_breakers(self, wanted: MountedSecrets) -> None:
        """Let models with another key or other authorities be asked: those before failed, not these."""
        for index, breaker in enumerate(self._in_force.current.built.breakers):
            before, now = (
                (values.model_keys.get(index), values.authorities.get(index)) for values in (self._values, wanted)
            )
            if before != now:
                breaker.reset()

    async def _built(self, values: MountedSecrets) -> BuiltAgent:
        before = self._in_force.current.built
        return await in_abandonable_thread(partial(rebuild_agent, before, self._config, values))

    def _changed_keys(self, wanted: MountedSecrets) -> Iterator[int]:
        keys = self._values.model_keys
        yield from (index for index, key in wanted.model_keys.items() if index in keys and keys[index] != key)

    async def _is_refused(self, index: int, built: BuiltAgent) -> bool:
        return await is_refused(built.members[index], self._in_force.current.built.members[index])

    def _refusal(self, index: int) -> Problem:
        source = self._config.models[index].api_key
        secret = f"Secret {source.name!r}, key {source.key!r}" if source is not None else "its Secret"
        return Problem(
            field=f"spec.models[{index}].apiKey.secretKeyRef",
            message=f"the provider refuses the new key in {secret}",
            remedy="put a key there that it takes; the one before stays in use",
        )


async def _accepts_all(_: BuiltAgent) -> bool:
    return True
