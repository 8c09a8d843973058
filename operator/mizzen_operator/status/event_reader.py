"""Reads a pod's Events when its status does not say why it is not ready: on demand, one page, seldom.

Events are not watched: a cluster has many of them, and hardly any is about an agent in trouble. The API server finds
those of one pod by reading all of its namespace's, so it is asked the less often the longer nothing changes.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mizzen_operator.cluster.errors import ClusterError
from mizzen_operator.cluster.port import Cluster
from mizzen_operator.keys import Key
from mizzen_operator.records import PodEvent, PodRecord, pod_event
from mizzen_operator.status.pod_events import age, asked_after

PAUSE_SECONDS = 10.0
"""Between two readings for one agent at least."""
MAX_PAUSE_SECONDS = 300.0
"""Between two readings of one pod at most, while nothing else changes."""
ASKED_PODS = 3
"""How many pods of an agent are asked about: what is wrong with all of them is wrong with these too."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """What is known of the Events about an agent's pods."""

    events: Mapping[str, tuple[PodEvent, ...]]
    """By the pod's uid."""
    again_in: float | None
    """Seconds after which there may be more to know; None if no pod leaves a question open."""


@dataclass(frozen=True)
class _Read:
    """What was read about one pod."""

    since: float
    """Since when the pod was as it was then."""
    at: float
    """When it was read."""
    events: tuple[PodEvent, ...]


class EventReader:
    """Remembers what was read last, and reads again when that is worth it: one pod at a time."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[Key, dict[str, _Read]] = {}
        """By agent and pod, while the pod leaves a question open."""

    def forget(self, key: Key) -> None:
        """Forget what was read for an agent: it is well, or gone."""
        self._known.pop(key, None)

    async def read(self, key: Key, pods: Collection[PodRecord], now: float) -> Reading:
        """Read the Events about one of the pods, if any leaves a question open and it is time; never fails.

        Args:
            key: The agent.
            pods: Those whose trouble is to be told.
            now: The time, in seconds since the epoch.
        """
        doubtful = sorted((pod for pod in pods if asked_after(pod) is not None), key=lambda pod: (pod.since, pod.name))
        if not doubtful:
            self.forget(key)
            return Reading({}, None)
        before = self._known.get(key, {})
        known = self._known[key] = {pod.uid: before[pod.uid] for pod in doubtful if pod.uid in before}
        asked = doubtful[:ASKED_PODS]
        pod = min(asked, key=lambda pod: (_due(pod, known), pod.uid in known))
        if _due(pod, known) <= now:
            known[pod.uid] = _Read(pod.since, now, await self._events(key, pod))
        again_in = min(_due(pod, known) for pod in asked) - now
        return Reading(
            {uid: read.events for uid, read in known.items()},
            min(max(0.0, again_in), MAX_PAUSE_SECONDS),  # whatever the clocks of nodes are like
        )

    async def _events(self, key: Key, pod: PodRecord) -> tuple[PodEvent, ...]:
        try:
            found = await self._cluster.events_about(pod.key.namespace, pod.uid)
        except ClusterError as error:
            _log.warning("%s: the events about pod %s could not be read: %s", key, pod.name, error)
            read = self._known[key].get(pod.uid)
            return read.events if read is not None else ()
        return tuple(pod_event(raw) for raw in found)


def _due(pod: PodRecord, known: Mapping[str, _Read]) -> float:
    """Give when to read about a pod: not before it had its time; then, while it stays as it is, at twice its age."""
    due = pod.since + (asked_after(pod) or 0.0)
    if known:
        due = max(due, max(read.at for read in known.values()) + PAUSE_SECONDS)
    read = known.get(pod.uid)
    if read is not None and read.since == pod.since:
        due = max(due, read.at + min(age(pod, read.at), MAX_PAUSE_SECONDS))
    return due
