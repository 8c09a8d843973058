"""Lists everything and compares: at start to know what is there, later to find what the watches missed."""

import asyncio
import logging
import random
from collections.abc import Collection, Iterable

from mizzen_operator.cache import Cache
from mizzen_operator.cluster.errors import ClusterError, ForbiddenError
from mizzen_operator.cluster.port import Cluster
from mizzen_operator.keys import Key
from mizzen_operator.kinds import WATCHED, Kind
from mizzen_operator.records import AgentRecord, record_of
from mizzen_operator.resource import is_behind
from mizzen_operator.workqueue import Priority, WorkQueue

PERIOD_SECONDS = 600.0
REFUSED_SECONDS = 15.0
"""How often a namespace that was left out is asked again."""
_JITTER = 0.2
"""Part of the period by which it is shortened at most, so that two operators do not list together."""

_log = logging.getLogger(__name__)


class Resync:
    """Brings the cache to what the API server has, and queues every agent about which it was wrong."""

    def __init__(
        self, cluster: Cluster, cache: Cache, queue: WorkQueue[Key], namespaces: Collection[str], rng: random.Random
    ) -> None:
        """Bind what a resync needs.

        Args:
            cluster: What is listed.
            cache: What is corrected.
            queue: Where agents are queued.
            namespaces: Where to list; everywhere if it is empty.
            rng: Spreads the resyncs of several operators.
        """
        self._cluster = cluster
        self._cache = cache
        self._queue = queue
        self._asked: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._refused: tuple[str | None, ...] = ()
        self._rng = rng

    def namespaces(self) -> tuple[str, ...]:
        """Give where is worked: the namespaces that were asked for, without those that refuse us. Empty: everywhere."""
        return tuple(name for name in self._asked if name is not None and name not in self._refused)

    async def fill(self) -> int:
        """List everything before the work begins. Returns how many agents there are.

        One of several namespaces that refuses us is logged and left out: it must not end the work in the others.

        Raises:
            ClusterError: A list failed; `ForbiddenError` and `NotFoundError` say what is missing.
        """
        refusals: dict[str | None, ForbiddenError] = {}
        for namespace in self._asked:
            try:
                await self._compare_all(namespace)
            except ForbiddenError as error:
                refusals[namespace] = error
                self._forget(namespace)
        if len(refusals) == len(self._asked):
            raise next(iter(refusals.values()))
        for namespace, refusal in refusals.items():
            _log.warning("namespace %s is left out until it can be read: %s", namespace, refusal)
        self._refused = tuple(refusals)
        return len(self._cache.records(Kind.AGENT, None))

    def queue_all(self) -> int:
        """Queue every agent, since the work begins. Returns how many there are."""
        agents = self._cache.records(Kind.AGENT, None)
        for record in agents:
            self._queue.add(record.key, Priority.LOW)
        return len(agents)

    async def once(self) -> None:
        """List everything; queue the agents about which the cache was wrong, or whose status speaks of another spec."""
        for namespace in self.namespaces() or (None,):
            await self._compare_all(namespace)
        for record in self._cache.records(Kind.AGENT, None):
            if isinstance(record, AgentRecord) and is_behind(record):
                self._queue.add(record.key, Priority.LOW)

    async def run(self) -> None:
        """Resync every ten minutes or so, for ever. One that fails is logged; the next one follows."""
        while True:
            await asyncio.sleep(PERIOD_SECONDS * self._rng.uniform(1 - _JITTER, 1))
            try:
                await self.once()
            except ClusterError as error:
                _log.warning("resync failed: %s", error)
            except Exception:  # noqa: BLE001 - what a bug makes of one list must not end the looking after all others
                _log.exception("resync failed unexpectedly")

    async def readable_again(self) -> str | None:
        """Wait until a namespace that is left out now can be read, and give it, whatever is listed meanwhile."""
        refused = self._refused
        while True:
            await asyncio.sleep(REFUSED_SECONDS)
            for namespace in refused:
                if await self._can_read(namespace):
                    return namespace

    async def _can_read(self, namespace: str | None) -> bool:
        try:
            for kind in WATCHED:
                async for _ in self._cluster.pages(kind, namespace):
                    break
        except ClusterError:
            return False
        return True

    def _forget(self, namespace: str | None) -> None:
        for kind in WATCHED:
            for record in self._cache.records(kind, namespace):
                self._cache.forget(record)

    async def _compare_all(self, namespace: str | None) -> None:
        for kind in WATCHED:
            await self._compare(kind, namespace)

    async def _compare(self, kind: Kind, namespace: str | None) -> None:
        listed, version = set(), 0
        with self._cache.reading():
            async for page in self._cluster.pages(kind, namespace):
                version = page.version
                for raw in page.items:
                    record = record_of(kind, {"kind": kind.kind_name, "apiVersion": kind.api_version, **raw})
                    if record is None:
                        continue
                    listed.add(record.uid)
                    self._add(self._cache.put(record))
            self._add(self._cache.retain(kind, namespace, listed, version))

    def _add(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._queue.add(key, Priority.LOW)
