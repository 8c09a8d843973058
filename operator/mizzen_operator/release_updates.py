"""Which agents may take up what a new release of operator or runtime renders for them, without an edit of their own.

An upgrade of the operator does not roll agents by itself. Where it is told to move them, it moves a few at a time, and
the next one only when one of them is rolled out: a release that does not start stops with those few, whose old pods
serve on.
"""

from collections.abc import Callable, Iterable
from enum import Enum, auto

from mizzen_operator.keys import Key


class Standing(Enum):
    """Where an agent stands towards the release that runs."""

    CURRENT = auto()
    """It runs what this release renders, or has an edit or a trouble of its own to get through first."""
    BEHIND = auto()
    """It runs what an earlier release rendered, and could be moved."""
    MOVING = auto()
    """It is being moved."""


class ReleaseUpdates:
    """Counts the agents that are being moved, and admits the next one."""

    def __init__(self, limit: int, add: Callable[[Key], None]) -> None:
        """Admit at most `limit` agents at a time; with 0 an agent moves with its next edit only.

        Args:
            limit: How many are moved at a time.
            add: Has an admitted agent reconciled.
        """
        self._limit = limit
        self._add = add
        self._unseen: set[Key] = set()
        self._behind: set[Key] = set()
        self._moving: set[Key] = set()

    @property
    def behind(self) -> int:
        """How many agents run what an earlier release rendered."""
        return len(self._behind)

    @property
    def moving(self) -> int:
        """How many agents are being moved."""
        return len(self._moving)

    def expect(self, keys: Iterable[Key]) -> None:
        """Admit nobody before these have been seen: some of them may have been moving before a restart."""
        self._unseen.update(keys)

    def admits(self, key: Key) -> bool:
        """Tell whether an agent may take up what this release renders."""
        return key in self._moving

    def saw(self, key: Key, standing: Standing) -> None:
        """Note where an agent stands after it was reconciled, and admit the next ones."""
        self._unseen.discard(key)
        if standing is Standing.BEHIND:
            if key not in self._moving:  # else it was admitted while it was looked at, and will be looked at again
                self._behind.add(key)
        else:
            self._behind.discard(key)
            self._moving.discard(key)
            if standing is Standing.MOVING:
                self._moving.add(key)
        self._admit()

    def forget(self, key: Key) -> None:
        """An agent is gone."""
        self.saw(key, Standing.CURRENT)

    def _admit(self) -> None:
        while self._behind and not self._unseen and len(self._moving) < self._limit:
            key = min(self._behind)
            self._behind.remove(key)
            self._moving.add(key)
            self._add(key)
