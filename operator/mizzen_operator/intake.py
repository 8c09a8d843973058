"""How events of the cluster become knowledge and work."""

from collections.abc import Iterable, Mapping
from typing import Any

from mizzen_operator.cache import Cache
from mizzen_operator.keys import Key
from mizzen_operator.kinds import Kind
from mizzen_operator.records import identity, record_of
from mizzen_operator.workqueue import WorkQueue


class Intake:
    """Feeds the cache, and queues the agent whenever something new is known about it."""

    def __init__(self, cache: Cache, queue: WorkQueue[Key]) -> None:
        self._cache = cache
        self._queue = queue

    def seen(self, kind: Kind, raw: Mapping[str, Any]) -> None:
        """An object is there. It may be no agent's any more: people edit labels."""
        record = record_of(kind, raw)
        self._add(self._cache.put(record) if record is not None else self._cache.remove(*identity(raw)))

    def gone(self, raw: Mapping[str, Any]) -> None:
        """An object was deleted, or has lost the label that we watch by."""
        self._add(self._cache.remove(*identity(raw)))

    def _add(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._queue.add(key)
