"""What becomes of the operator's own work when kopf gives up, and what kopf is kept from doing."""

import asyncio
from typing import Any

import kopf
import pytest
from kubernetes.aio.client import Configuration
from prometheus_client import CollectorRegistry

from mizzen_operator.cache import Cache
from mizzen_operator.cluster.connection import Connection
from mizzen_operator.handlers import EventSource
from mizzen_operator.intake import Intake
from mizzen_operator.kinds import Kind
from mizzen_operator.leadership import Alone
from mizzen_operator.main import Operator, WatchesEndedError
from mizzen_operator.settings import parse_settings
from tests.unit.operator.builders import raw_agent
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.queues import queue

WRITE_SECONDS = 0.3
"""Longer than kopf needs to end."""
END_SECONDS = 0.1


class SlowCluster(FakeCluster):
    """Its first write is under way when kopf gives up."""

    def __init__(self) -> None:
        super().__init__()
        self.is_written_to = asyncio.Event()
        self.ends: list[str] = []
        """How each slow write ended."""

    async def apply(self, *arguments: Any, **options: Any) -> Any:
        if not self.is_written_to.is_set():
            self.is_written_to.set()
            self.ends.append(await ending(WRITE_SECONDS))
        return await super().apply(*arguments, **options)


async def ending(seconds: float) -> str:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        return "cancelled"
    return "by itself"


class Kopf:
    """Gives up at the first write; a task that one of its tasks has started needs some time to end."""

    def __init__(self, cluster: SlowCluster) -> None:
        self._cluster = cluster
        self._children: list[asyncio.Task[None]] = []
        self.ends: list[str] = []
        """How each task ended that one of the first had started."""

    async def spawn_tasks(self, **_: Any) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._give_up()), asyncio.create_task(self._watch())]

    async def _give_up(self) -> None:
        await self._cluster.is_written_to.wait()
        raise RuntimeError("the CRD is gone")

    async def _watch(self) -> None:
        self._children.append(asyncio.create_task(self._stream()))
        await asyncio.Event().wait()

    async def _stream(self) -> None:
        self.ends.append(await ending(60))
        await asyncio.sleep(END_SECONDS)


def operator(cluster: FakeCluster) -> Operator:
    gateway: Any = cluster
    return Operator(
        parse_settings(["--runtime-image", "runtime:1", "--port", "0"]),
        Connection(Configuration(), "me"),
        cluster=gateway,
        workers_cluster=gateway,
        leadership=Alone(),
        registry=CollectorRegistry(),
    )


def test_when_the_watches_end_the_operator_says_so_and_lets_a_write_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        cluster = SlowCluster()
        cluster.store(Kind.AGENT, raw_agent())
        kopf = Kopf(cluster)
        monkeypatch.setattr("kopf.spawn_tasks", kopf.spawn_tasks)
        with pytest.raises(WatchesEndedError, match="the CRD is gone"):
            async with asyncio.timeout(20):
                await operator(cluster).run(asyncio.Event())
        assert cluster.ends == ["by itself"]
        assert kopf.ends == ["cancelled"]

    asyncio.run(run())


def test_kopf_copies_no_object_and_would_write_nothing_into_one() -> None:
    persistence = EventSource(Connection(Configuration(), "me"), (), intake(), print)._settings().persistence
    raw: Any = raw_agent()
    body, patch = kopf.Body(raw), kopf.Patch()
    essence = persistence.diffbase_storage.build(body=body)
    assert essence == {}
    assert persistence.progress_storage.clear(essence=essence) is essence
    assert persistence.diffbase_storage.fetch(body=body) is None
    persistence.diffbase_storage.store(body=body, patch=patch, essence=essence)
    persistence.progress_storage.touch(body=body, patch=patch, value="now")
    assert patch == {}


def intake() -> Intake:
    return Intake(Cache(), queue())
