"""Reads what pods say of themselves, and remembers it: beside the reconciles, never on their way.

Nothing in Kubernetes changes when a service goes away, requests fail, or a rotated Secret is not taken up: only the pod
knows. So a pod is read when it starts and whenever its readiness changes, and again and again while it lives; the
sooner the more its report may change by itself.

What that costs is bounded, however many pods there are. A reading takes 0.8 to 1.5 ms of processor time, and there are
at most 25 in a second: 4 % of a core. Up to 750 pods with services or Secrets are read every 30 s, the 4,000 pods of
2,000 such agents every 160 s; so are 4,000 pods without any, and up to 3,000 of them every 120 s. Each reading has a
connection of its own: thousands that are kept open would take the more memory.
"""

import logging
import random
from asyncio import TaskGroup, sleep
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from prometheus_client import CollectorRegistry, Counter

from mizzen_operator.backoff import Backoff
from mizzen_operator.keys import Key
from mizzen_operator.records import PodRecord
from mizzen_operator.state_client import StateUnreadableError
from mizzen_operator.status.pod_report import Heard, NoReportError, OtherContractError, can_be_asked, parse_report
from mizzen_operator.workqueue import Clock, Priority, WorkQueue

READERS = 8
"""Pods that are read at once at most."""
READINGS_PER_SECOND = 25.0
"""In all, at most. What comes too early waits; a pod that has just changed is read before those whose time has come."""
OFTEN_SECONDS = 30.0
"""Between two readings of a pod whose services and mounted files may change."""
SELDOM_SECONDS = 120.0
"""The same for a pod that has none, whose requests may fail all the same, and for one that speaks another version of
the contract."""
TROUBLED_SECONDS = 10.0
"""The same for a pod that is not well: that it is again is good to know soon."""
UNSETTLED_SECONDS = 2.0
"""The same for a pod that does not yet say how its services are, or whose last answer could not be read."""
MAX_PAUSE_SECONDS = 300.0
"""The same for a pod that has not been readable for long, at most."""
SILENT_AFTER = 3
"""Failed readings in a row until nothing is known of a pod: one answer may get lost, or come late."""
_JITTER = 0.2
"""Part of a pause by which it is shortened or lengthened at most, so that pods that started together drift apart."""

_log = logging.getLogger(__name__)


class StateSource(Protocol):
    """Where a pod's state is read."""

    async def read(self, address: str) -> bytes:
        """Give what a pod answers, within a second or so; raises `StateUnreadableError`."""


class _Place(NamedTuple):
    key: Key
    uid: str


@dataclass(slots=True)
class _Watched:
    """A pod that is read."""

    pod: PodRecord
    heard: Heard | None = None
    """None until there was a report, or enough attempts."""
    misses: int = 0
    """Readings that failed in a row."""


class RuntimeReports:
    """The reports of all pods of all agents."""

    def __init__(
        self, changed: Callable[[Key, Priority], None], *, clock: Clock, rng: random.Random, registry: CollectorRegistry
    ) -> None:
        """Know nothing yet.

        Args:
            changed: Told of an agent whose pods say something new.
            clock: Seconds that never go back.
            rng: Spreads the readings.
            registry: Takes the metric.
        """
        self._changed = changed
        self._clock = clock
        self._rng = rng
        self._watched: dict[Key, dict[str, _Watched]] = {}
        self._often: set[Key] = set()
        """Agents whose pods are read often."""
        self._queue = WorkQueue[_Place](clock, Backoff(rng))
        self._readings = Counter(
            "mizzen_operator_state_readings_total",
            "Readings of pods' states by how they ended",
            ["outcome"],
            registry=registry,
        )

    def look_after(self, key: Key, pods: Collection[PodRecord], *, often: bool | None) -> Mapping[str, Heard]:
        """Take note of the pods that an agent has now, and give what is known of them. Waits for nothing.

        Args:
            key: The agent.
            pods: All of its pods.
            often: Whether what they say may change by itself; None if that is not known, and stays as it was.

        Returns:
            By the uid of each pod that was read.
        """
        before = self._watched.get(key, {})
        if often is not None:
            (self._often.add if often else self._often.discard)(key)
        watched = {pod.uid: before.get(pod.uid) or _Watched(pod) for pod in pods if can_be_asked(pod)}
        for pod in pods:
            if pod.uid in watched:
                self._note(watched[pod.uid], pod, is_new=pod.uid not in before)
        if watched:
            self._watched[key] = watched
        else:
            self.forget(key)
        return {uid: each.heard for uid, each in watched.items() if each.heard is not None}

    def forget(self, key: Key) -> None:
        """Read no pods of an agent any more."""
        self._watched.pop(key, None)
        self._often.discard(key)

    async def run(self, source: StateSource) -> None:
        """Read for ever."""
        async with TaskGroup() as tasks:
            for number in range(READERS):
                tasks.create_task(self._read_on(source), name=f"reader {number}")

    def _note(self, watched: _Watched, pod: PodRecord, *, is_new: bool) -> None:
        has_changed = (watched.pod.ready, watched.pod.address) != (pod.ready, pod.address)
        watched.pod = pod
        if is_new or has_changed:
            self._queue.add(_Place(pod.key, pod.uid))

    async def _read_on(self, source: StateSource) -> None:
        while (place := await self._queue.get()) is not None:
            begun = self._clock()
            try:
                await self._read(source, place)
            except Exception:  # noqa: BLE001 - whatever one pod answers, the others are to be read
                _log.exception("%s: a pod's state could not be read for an unforeseen reason", place.key)
                self._queue.add_after(place, SELDOM_SECONDS)
            finally:
                self._queue.done(place)
            await sleep(max(0.0, READERS / READINGS_PER_SECOND - (self._clock() - begun)))

    async def _read(self, source: StateSource, place: _Place) -> None:
        watched = self._of(place)
        if watched is None or watched.pod.address is None:
            return
        before, heard = watched.heard, await self._listen(source, watched)
        if self._of(place) is not watched:
            return  # it has gone meanwhile
        watched.heard = heard
        pause = self._pause(place.key, watched)
        self._queue.add_after(place, pause * self._rng.uniform(1 - _JITTER, 1 + _JITTER))
        if heard != before and all(other.heard is not None for other in self._watched[place.key].values()):
            # As long as a pod was not read nothing new is said: see `status.reported`.
            self._changed(place.key, Priority.LOW)

    def _of(self, place: _Place) -> _Watched | None:
        return self._watched.get(place.key, {}).get(place.uid)

    async def _listen(self, source: StateSource, watched: _Watched) -> Heard | None:
        """Read a pod once, and give what is known of it then."""
        pod, before = watched.pod, watched.heard
        try:
            report = parse_report(await source.read(str(pod.address)), pod)
        except OtherContractError as error:
            self._readings.labels("other_contract").inc()
            watched.misses = 0
            return Heard(contract_version=error.version)
        except (StateUnreadableError, NoReportError) as error:
            self._readings.labels("unreadable").inc()
            watched.misses += 1
            if watched.misses == SILENT_AFTER:
                _log.warning("%s: the state of pod %s cannot be read: %s", pod.key, pod.name, error)
            if watched.misses < SILENT_AFTER:
                return before
            return Heard(report=before.report if before is not None else None, is_silent=True)
        self._readings.labels("read").inc()
        watched.misses = 0
        return Heard(report=report)

    def _pause(self, key: Key, watched: _Watched) -> float:
        """Give the seconds until a pod is to be read again."""
        if 0 < watched.misses < SILENT_AFTER:
            return UNSETTLED_SECONDS
        if watched.misses:
            return min(MAX_PAUSE_SECONDS, TROUBLED_SECONDS * 2.0 ** min(watched.misses - SILENT_AFTER, 10))
        report = watched.heard.report if watched.heard is not None else None
        if report is None:
            return SELDOM_SECONDS
        if not report.is_settled:
            return UNSETTLED_SECONDS
        if report.reasons or report.reload_failures:
            return TROUBLED_SECONDS
        return OFTEN_SECONDS if key in self._often else SELDOM_SECONDS
