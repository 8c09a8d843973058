"""How events of the cluster become knowledge and work."""

from collections.abc import Mapping
from typing import Any

from mizzen_operator.cache import Cache
from mizzen_operator.keys import Key
from mizzen_operator.kinds import Kind
from mizzen_operator.records import record_of
from mizzen_operator.workqueue import WorkQueue


class Intake:
    """Feeds the cache, and queues the agent whenever something new is known about it."""

    def __init__(self, cache: Cache, queue: WorkQueue[Key]) -> None:
        self._cache = cache
        self._queue = queue

    def seen(self, kind: Kind, raw: Mapping[str, Any]) -> None:
        """An object is there."""
        record = record_of(kind, raw)
        if record is not None and self._cache.put(record):
            self._queue.add(record.key)

    def gone(self, kind: Kind, raw: Mapping[str, Any]) -> None:
        """An object was deleted, or has lost the label that we watch by."""
        record = record_of(kind, raw)
        if record is not None and self._cache.remove(record):
            self._queue.add(record.key)
