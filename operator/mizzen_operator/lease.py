"""The Lease by which one of several operators leads: what a candidate knows of it and may do. No I/O, no clock.

After client-go's `leaderelection`, with its times. Clocks of two machines are never compared: a Lease has run out when
it was not seen to change for as long as it says, by the clock of the one who looks. The leader counts from before it
sent its last renewal, and to an earlier deadline: it has stopped before anybody else may begin.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEASE_SECONDS = 15
"""How long a Lease is good for unless the command line says otherwise; as in Kubernetes' own controllers."""
SHORTEST_SECONDS = 3
"""Below this a busy machine would take leadership away from a leader that is well."""


@dataclass(frozen=True)
class Timing:
    """How long everything takes, in seconds: in proportion to what a Lease is good for."""

    lease: int = LEASE_SECONDS

    @property
    def deadline(self) -> float:
        """How long a leader goes on after its last renewal; client-go's 10 of 15 s."""
        return self.lease * 2 / 3

    @property
    def renewal(self) -> float:
        """How often a leader renews.

        More often would make nothing safer; it would only let a leader outlive longer outages of the API server.
        """
        return self.deadline / 2

    @property
    def attempt(self) -> float:
        """Bound on one attempt: a second one has time before the deadline, on another connection."""
        return self.deadline / 4

    @property
    def retry(self) -> float:
        """How long to wait after an attempt that failed; client-go's 2 of 15 s."""
        return self.lease * 2 / 15


@dataclass(frozen=True)
class Lease:
    """A Lease as it was read, or as it is to be written."""

    holder: str
    """Who leads; empty if nobody does."""
    seconds: int
    """For how long after its last change nobody else may take it."""
    acquired: str | None
    """When the holder took it, by the holder's time of day, for people. So is `renewed`."""
    renewed: str | None
    transitions: int
    """How often it went from one holder to another."""

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> "Lease":
        """Parse the spec of a Lease; every field of it may be missing."""
        return cls(
            holder=spec.get("holderIdentity") or "",
            seconds=spec.get("leaseDurationSeconds") or 0,
            acquired=spec.get("acquireTime"),
            renewed=spec.get("renewTime"),
            transitions=spec.get("leaseTransitions") or 0,
        )

    def spec(self) -> dict[str, Any]:
        """Give the spec to send."""
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.seconds,
            "acquireTime": self.acquired,
            "renewTime": self.renewed,
            "leaseTransitions": self.transitions,
        }


class Candidate:
    """What one process knows of a Lease, and whether it leads. Who has led and lost never leads again."""

    def __init__(self, identity: str, timing: Timing) -> None:
        """Know nothing yet.

        Args:
            identity: Of this process and no other, not even of the one that runs in its place later.
            timing: For how long it takes the Lease.
        """
        self.identity = identity
        self._timing = timing
        self._known: Lease | None = None
        self._since = 0.0
        """When `_known` was first seen as it is."""
        self._until: float | None = None
        """Up to when this process leads; None as long as it never did."""

    def saw(self, lease: Lease, now: float) -> None:
        """Take note of the Lease as the API server has it.

        Args:
            lease: As it was read.
            now: The time when that answer had arrived.
        """
        if lease != self._known:
            self._since = now
        self._known = lease
        if lease.holder != self.identity:
            self.resign(now)

    def holder(self) -> str:
        """Give who held the Lease when it was seen last; empty if nobody did."""
        return self._known.holder if self._known is not None else ""

    def free_in(self, now: float) -> float:
        """Give the seconds until this process may take or renew the Lease; to be deleted shortens nothing."""
        if self._known is None or self._known.holder in {"", self.identity}:
            return 0.0
        return max(0.0, self._since + self._known.seconds - now)

    def claim(self, now: float, time_of_day: str) -> Lease | None:
        """Give what to write to take or renew the Lease; None if this process may not.

        Args:
            now: The time.
            time_of_day: For people, RFC 3339 with microseconds.
        """
        if self.free_in(now) > 0 or self.has_lost(now):
            return None
        known = self._known
        is_mine = known is not None and known.holder == self.identity
        return Lease(
            holder=self.identity,
            seconds=self._timing.lease,
            acquired=known.acquired if known is not None and is_mine else time_of_day,
            renewed=time_of_day,
            transitions=known.transitions + (not is_mine) if known is not None else 0,
        )

    def wrote(self, lease: Lease, sent: float, now: float) -> None:
        """Take note that a claim was written.

        Args:
            lease: As the API server has it now.
            sent: The time before the claim was sent: it counts from then.
            now: The time when the answer had arrived. After the deadline it is too late.
        """
        self.saw(lease, now)
        until = sent + self._timing.deadline
        if now < until and not self.has_lost(now):
            self._until = until

    def resign(self, now: float) -> None:
        """Lead no more."""
        if self._until is not None:
            self._until = min(self._until, now)

    def release(self, time_of_day: str) -> Lease | None:
        """Give what to write so that somebody else may take the Lease at once; None if it is not this process's."""
        known = self._known
        if known is None or known.holder != self.identity:
            return None
        return Lease("", 1, time_of_day, time_of_day, known.transitions)

    def leads_for(self, now: float) -> float:
        """Give the seconds that this process may go on to lead without another renewal; 0 if it does not lead."""
        return max(0.0, self._until - now) if self._until is not None else 0.0

    def has_lost(self, now: float) -> bool:
        """Tell whether this process led and does so no more."""
        return self._until is not None and now >= self._until
