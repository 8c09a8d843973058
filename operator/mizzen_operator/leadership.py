"""Leads, or waits to lead: the loop around a Lease, and the fence that keeps who does not lead from writing.

A Lease does not fence: a leader that was frozen past it goes on, when it thaws, where it was. So whoever writes asks
`check` right before each request is sent. What was sent before may still land; uids and versions keep that harmless.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, NoReturn, Protocol

from prometheus_client import CollectorRegistry, Gauge

from mizzen_operator.cluster.errors import (
    ClusterError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    UnauthorizedError,
    UnavailableError,
)
from mizzen_operator.cluster.port import LeaseStore, RawObject
from mizzen_operator.keys import Key
from mizzen_operator.kinds import Kind
from mizzen_operator.lease import Candidate, Lease, Timing
from mizzen_operator.workqueue import Clock

RELEASE_SECONDS = 2.0
"""Bound on giving the Lease back at the end."""
_JITTER = 0.2
"""Part of a wait by which it is shortened or lengthened at most, so that two candidates do not ask together."""

_log = logging.getLogger(__name__)


class NotLeadingError(asyncio.CancelledError):
    """This process does not lead: what it was about to send is not sent.

    A cancellation, since that is what it comes to: nobody's handling of errors is to go on after it.
    """


class LeadershipLostError(Exception):
    """This process led and does so no more; the log says why."""


class Leadership(Protocol):
    """Whether this process may write."""

    async def acquire(self) -> None:
        """Wait until this process leads."""

    async def keep(self) -> NoReturn:
        """Go on leading until that ends with `LeadershipLostError`."""

    async def release(self) -> None:
        """Lead no more, and let somebody else do so at once."""


class Alone:
    """The `Leadership` of a process that was told of no Lease: it takes itself to be the only one."""

    async def acquire(self) -> None:
        """See `Leadership.acquire`."""
        _log.info("working alone: without --lease, a second operator for the same namespaces would undo the work")

    async def keep(self) -> NoReturn:
        """See `Leadership.keep`."""
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody sets this future")

    async def release(self) -> None:
        """See `Leadership.release`."""


class Election:
    """The `Leadership` of one of several processes that share a Lease."""

    def __init__(
        self,
        store: LeaseStore,
        name: Key,
        identity: str,
        timing: Timing,
        *,
        clock: Clock,
        now: Callable[[], datetime],
        rng: random.Random,
        registry: CollectorRegistry,
    ) -> None:
        """Take part in an election.

        Args:
            store: Where the Lease is.
            name: Its namespace and name.
            identity: Of this process and no other.
            timing: How long everything takes.
            clock: Seconds that never go back, and go on while this process is frozen.
            now: The time of day, with its zone.
            rng: Spreads the attempts of several candidates.
            registry: Takes the metric, which has client-go's name.
        """
        self._store = store
        self._name = name
        self._timing = timing
        self._clock = clock
        self._now = now
        self._rng = rng
        self._candidate = Candidate(identity, timing)
        self._metadata: Mapping[str, Any] | None = None
        """Of the Lease as it was seen last, None if there was none: a write must find the same version, and leaves
        others' labels as they are."""
        self._has_claimed = False
        self._waited_for: str | None = None
        gauge = Gauge(
            "leader_election_master_status", "1 if this process leads, 0 if it does not", ["name"], registry=registry
        )
        gauge.labels(name.name).set_function(lambda: float(self.leads()))

    def leads(self) -> bool:
        """Tell whether this process may write now."""
        return self._candidate.leads_for(self._clock()) > 0

    def check(self) -> None:
        """Let nobody write who does not lead.

        Raises:
            NotLeadingError: This process does not lead.
        """
        if not self.leads():
            raise NotLeadingError(f"this process does not hold the Lease {self._name}")

    async def acquire(self) -> None:
        """See `Leadership.acquire`.

        Raises:
            ForbiddenError: The right to the Lease is missing.
            UnauthorizedError: The API server does not know us.
            LeadershipLostError: This process led, and was frozen before it could know.
        """
        _log.info("candidate %s for the Lease %s", self._candidate.identity, self._name)
        while not self.leads():
            self._look_whether_lost()
            try:
                async with self._attempt():
                    await self._read()
                    await self._claim()
                await self._wait_until_free()
            except (ForbiddenError, UnauthorizedError):
                raise
            except ClusterError as error:
                level = logging.DEBUG if isinstance(error, ConflictError) else logging.WARNING  # somebody was faster
                _log.log(level, "the Lease %s was not acquired: %s; trying again", self._name, error)
                await asyncio.sleep(self._retry_seconds())
        _log.info("leading: acquired the Lease %s", self._name)

    async def keep(self) -> NoReturn:
        """See `Leadership.keep`. A renewal that does not end is over at the deadline."""
        while True:
            await asyncio.sleep(self._timing.renewal)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._candidate.leads_for(self._clock())):
                    await self._renew()
            self._look_whether_lost()

    async def release(self) -> None:
        """See `Leadership.release`. One that is lost, or cannot be given back, runs out: a write may be under way."""
        if self._candidate.has_lost(self._clock()) or not self._has_claimed:
            return
        self._candidate.resign(self._clock())
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._read()
                lease = self._candidate.release(self._time_of_day())
                if lease is not None:
                    await self._write(lease)
                    _log.info("released the Lease %s", self._name)
        except (ClusterError, TimeoutError) as error:
            _log.warning("the Lease %s could not be released: %s", self._name, str(error) or "no answer")

    async def _renew(self) -> None:
        """Renew once, however many attempts that takes, or find that the Lease is somebody else's."""
        while self.leads():
            begun = self._clock()
            try:
                async with self._attempt():
                    await self._claim_as_known()
            except ClusterError as error:
                _log.warning("the Lease %s was not renewed: %s; trying again", self._name, error)
                await asyncio.sleep(max(0.0, begun + self._timing.retry - self._clock()))
            else:
                return

    async def _claim_as_known(self) -> None:
        try:
            await self._claim()
        except (ConflictError, NotFoundError):  # an answer was lost, or somebody else wrote or deleted it
            await self._read()
            await self._claim()

    @contextlib.asynccontextmanager
    async def _attempt(self) -> AsyncIterator[None]:
        """Bound one attempt in time; one that takes longer has failed with `UnavailableError`."""
        try:
            async with asyncio.timeout(self._timing.attempt):
                yield
        except TimeoutError as error:
            raise UnavailableError(f"no answer within {self._timing.attempt:.1f} s") from error

    async def _read(self) -> None:
        self._take_note(await self._store.get(Kind.LEASE, self._name.namespace, self._name.name))

    async def _claim(self) -> None:
        """Take or renew the Lease, if that may be done now."""
        sent = self._clock()
        lease = self._candidate.claim(sent, self._time_of_day())
        if lease is not None:
            self._has_claimed = True
            answer = await self._write(lease)
            self._candidate.wrote(Lease.of(answer["spec"]), sent, self._clock())

    async def _write(self, lease: Lease) -> RawObject:
        manifest = {"apiVersion": Kind.LEASE.api_version, "kind": Kind.LEASE.kind_name, "spec": lease.spec()}
        if self._metadata is None:
            metadata = {"namespace": self._name.namespace, "name": self._name.name}
            answer = await self._store.create(Kind.LEASE, {**manifest, "metadata": metadata})
        else:
            answer = await self._store.replace(Kind.LEASE, {**manifest, "metadata": self._metadata})
        self._metadata = answer["metadata"]
        return answer

    def _take_note(self, raw: RawObject | None) -> None:
        self._metadata = raw["metadata"] if raw is not None else None
        if raw is not None:
            self._candidate.saw(Lease.of(raw.get("spec") or {}), self._clock())

    async def _wait_until_free(self) -> None:
        """Follow the Lease until its holder gives it back or it has run out.

        What the stream misses does no harm: in the end the Lease is read and claimed by version.
        """
        if self._candidate.free_in(self._clock()) == 0:
            return
        self._say_who_leads()
        loop = asyncio.get_running_loop()
        changes = self._store.changes(Kind.LEASE, self._name.namespace, self._name.name)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._candidate.free_in(self._clock())) as timeout, aclosing(changes):
                async for raw in changes:
                    self._take_note(raw)
                    self._say_who_leads()
                    left = self._candidate.free_in(self._clock())
                    if left == 0:
                        return
                    timeout.reschedule(loop.time() + left)
                await asyncio.sleep(self._retry_seconds())

    def _say_who_leads(self) -> None:
        holder = self._candidate.holder()
        if holder and holder != self._waited_for:
            _log.info("standing by: waiting for the Lease %s, which %s holds", self._name, holder)
        self._waited_for = holder

    def _look_whether_lost(self) -> None:
        if not self._candidate.has_lost(self._clock()):
            return
        holder = self._candidate.holder()
        is_mine = holder == self._candidate.identity
        why = f"not renewed for {self._timing.deadline:.3g} s" if is_mine else f"{holder or 'nobody'} holds it now"
        _log.error("lost the Lease %s: %s; ending, to be started anew", self._name, why)
        raise LeadershipLostError(f"the Lease {self._name} is lost")

    def _retry_seconds(self) -> float:
        return self._timing.retry * self._rng.uniform(1 - _JITTER, 1 + _JITTER)

    def _time_of_day(self) -> str:
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
