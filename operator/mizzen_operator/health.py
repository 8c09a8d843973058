"""Whether the operator does its work: what its liveness probe asks."""

from collections.abc import Callable, Collection
from typing import Protocol

from mizzen_operator.kinds import Kind
from mizzen_operator.workqueue import Clock

WATCH_SECONDS = 600.0
"""A watch is opened anew every five minutes at the latest, and retried for four when that fails."""


class HasLife(Protocol):
    """Something that can be asked whether it is alive."""

    def are_alive(self) -> bool:
        """Tell."""


class WatchMonitor:
    """Notices watches that have stopped asking."""

    def __init__(self, clock: Clock, kinds: Collection[Kind]) -> None:
        """Look after the watches of some kinds; requests for anything else are asked once and not missed."""
        self._clock = clock
        self._plurals = {kind.plural for kind in kinds}
        self._last: dict[str, float] = {}

    def requested(self, path: str) -> None:
        """A request to this path was started."""
        if path.rpartition("/")[2] in self._plurals:
            self._last[path] = self._clock()

    def silent(self) -> list[str]:
        """Give the paths that a watch should have asked for again."""
        now = self._clock()
        return [path for path, last in self._last.items() if now - last > WATCH_SECONDS]


class Health:
    """Collects what could be wrong."""

    def __init__(
        self, workers: HasLife, watches: WatchMonitor, is_watching: Callable[[], bool], is_resyncing: Callable[[], bool]
    ) -> None:
        """Ask these.

        Args:
            workers: What reconciles.
            watches: When each watch asked last.
            is_watching: Whether the source of events runs.
            is_resyncing: Whether the resync will come.
        """
        self._workers = workers
        self._watches = watches
        self._is_watching = is_watching
        self._is_resyncing = is_resyncing
        self.is_started = False
        """Whether everything was listed and the work has begun."""

    def started(self) -> None:
        """From now on everything must be alive; before, the operator may be waiting for the CRD."""
        self.is_started = True

    def problems(self) -> list[str]:
        """Give what is wrong, in words; empty if all is well."""
        if not self.is_started:
            return []
        problems = []
        if not self._is_watching():
            problems.append("the watches have ended")
        if not self._workers.are_alive():
            problems.append("a worker has ended or is stuck")
        if not self._is_resyncing():
            problems.append("the resync has ended")
        problems += [f"no watch of {path} for {WATCH_SECONDS:g} s" for path in self._watches.silent()]
        return problems
