"""What the session of the watches does when kopf closes it under a request: one answer of 401 is enough for that."""

import asyncio

import aiohttp
import pytest
from kubernetes.aio.client import Configuration

from mizzen_operator.cluster.connection import Connection, WatchSession


class SlowToken(Configuration):
    """A token that takes so long that the session is closed before it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: list[WatchSession] = []

    async def get_api_key_with_prefix(self, identifier: str, alias: str | None = None) -> str | None:
        await self.sessions[0].session.close()
        return await super().get_api_key_with_prefix(identifier, alias)


def test_a_session_that_is_closed_under_a_request_is_a_lost_connection() -> None:
    async def ask() -> None:
        configuration = SlowToken()
        configuration.sessions.append(Connection(configuration, "me").watch_session(limit=1, on_request=lambda _: None))
        await configuration.sessions[0].session.get("http://127.0.0.1:9/")

    with pytest.raises(aiohttp.ClientConnectionError, match="refused its token"):
        asyncio.run(ask())
