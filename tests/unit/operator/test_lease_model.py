"""No two candidates ever believe to lead at the same moment, whatever becomes of them and of their calls.

A simulation: candidates with clocks of their own read and claim one Lease. Calls take long, are lost on their way or on
the way back, and arrive after nobody waits for them any more; candidates freeze for longer than a Lease, with an answer
on its way, end without a word, are started anew, and give the Lease back.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen_operator.lease import Candidate, Lease, Timing

MINUTES = 10
SLOW, RIGHT, FAST = 0.9, 1.0, 1.2
"""Rates of clocks: their ratio stays below that of a Lease to its deadline."""


class TwoLeadersError(Exception):
    """What must not happen."""


class Server:
    """The one Lease, and its version."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.version = 0

    def write(self, lease: Lease, version: int) -> Lease | None:
        """Write if that version is there; None if it is not."""
        if version != self.version:
            return None
        self.lease, self.version = lease, version + 1
        return lease


@dataclass(frozen=True)
class Clock:
    """A clock that shows another time than the others, and may be too fast or too slow."""

    offset: float
    rate: float

    def at(self, time: float) -> float:
        return self.offset + self.rate * time


class Process:
    """One candidate: does at random what `Candidate` lets it do, and waits for one answer at most."""

    def __init__(self, world: "World", identity: str, clock: Clock) -> None:
        self.world = world
        self.clock = clock
        self.identity = identity
        self.candidate = world.make(identity, world.timing)
        self.version = 0
        self.waits_for: object = None
        self.frozen_until = 0.0

    def now(self) -> float:
        return self.clock.at(self.world.time)

    def leads(self) -> bool:
        return self.candidate.leads_for(self.now()) > 0

    def wake(self) -> None:
        """Do something, and come back in a while."""
        self.world.later(self.world.rng.uniform(0, 3), self.wake)
        if self.world.time < self.frozen_until:
            return
        chance = self.world.rng.random()
        if chance < 0.005:
            self.start_anew()
        elif chance < 0.01:
            self.release()
        elif self.waits_for is None:
            self.call(claims=self.world.rng.random() < 0.5)
        if self.world.rng.random() < 0.15:
            self.frozen_until = self.world.time + self.world.rng.uniform(0, 25)

    def start_anew(self) -> None:
        self.identity += "'"
        self.candidate = self.world.make(self.identity, self.world.timing)
        self.version, self.waits_for = 0, None

    def release(self) -> None:
        self.candidate.resign(self.now())
        lease = self.candidate.release(f"{self.world.time}")
        if lease is not None:
            version = self.version
            self.world.deliver(lambda: self.world.server.write(lease, version))

    def call(self, *, claims: bool) -> None:
        """Read or claim; after a while, wait no more for the answer."""
        sent, version = self.now(), self.version
        claim = self.candidate.claim(sent, f"{self.world.time}") if claims else None
        self.waits_for = ticket = object()

        def serve() -> None:
            server = self.world.server
            answer = server.write(claim, version) if claim is not None else server.lease
            seen = server.version
            self.world.deliver(lambda: self.take(ticket, answer, seen, sent, is_claim=claim is not None))

        self.world.deliver(serve)
        self.world.later(self.world.timing.attempt, lambda: self.give_up(ticket))

    def take(self, ticket: object, answer: Lease | None, version: int, sent: float, *, is_claim: bool) -> None:
        """Take an answer, once this process is not frozen, and if it still waits for it."""
        if self.world.time < self.frozen_until:
            wait = self.frozen_until - self.world.time
            self.world.later(wait, lambda: self.take(ticket, answer, version, sent, is_claim=is_claim))
            return
        if ticket is not self.waits_for:
            return
        self.waits_for = None
        if answer is None:
            return
        self.version = version
        if is_claim:
            self.candidate.wrote(answer, sent, self.now())
        else:
            self.candidate.saw(answer, self.now())

    def give_up(self, ticket: object) -> None:
        if self.world.time < self.frozen_until:
            self.world.later(self.frozen_until - self.world.time, lambda: self.give_up(ticket))
        elif ticket is self.waits_for:
            self.waits_for = None


class World:
    """Time, the network, and what happens in it."""

    def __init__(self, rng: random.Random, make: Callable[[str, Timing], Candidate], timing: Timing) -> None:
        self.rng = rng
        self.make = make
        self.timing = timing
        self.time = 0.0
        self.server = Server()
        self.leaders: set[str] = set()
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._sequence = itertools.count()
        self._is_bad = rng.choice([0.0, 0.1, 0.4])
        """Part of the calls that something happens to."""

    def later(self, seconds: float, event: Callable[[], object]) -> None:
        heapq.heappush(self._events, (self.time + seconds, next(self._sequence), event))

    def deliver(self, event: Callable[[], object]) -> None:
        """Bring something to the other side: soon, late, or never."""
        if self.rng.random() >= self._is_bad:
            self.later(self.rng.uniform(0, 0.2), event)
        elif self.rng.random() < 0.5:
            self.later(self.rng.uniform(0, 30), event)

    def run(self, processes: int) -> int:
        """Let so many candidates compete. Returns how many of them have led, one after the other.

        Raises:
            TwoLeadersError: Two led at the same moment.
        """
        clocks = [Clock(self.rng.uniform(0, 1e6), self.rng.choice([SLOW, RIGHT, FAST])) for _ in range(processes)]
        group = [Process(self, f"{number}", clock) for number, clock in enumerate(clocks)]
        for process in group:
            self.later(self.rng.uniform(0, 20), process.wake)
        while self.time < MINUTES * 60:
            self.time, _, event = heapq.heappop(self._events)
            event()
            leading = [process.identity for process in group if process.leads()]
            if len(leading) > 1:
                raise TwoLeadersError(f"{leading} after {self.time:.1f} s")
            self.leaders.update(leading)
        return len(self.leaders)


@given(seed=st.integers(0, 2**32), processes=st.integers(2, 3))
def test_no_two_candidates_lead_at_the_same_moment(seed: int, processes: int) -> None:
    assert World(random.Random(seed), Candidate, Timing()).run(processes) > 0  # noqa: S311 - a simulation


class NoMargin(Timing):
    """A leader that goes on for as long as its Lease is good."""

    @property
    def deadline(self) -> float:
        return self.lease


class CountsFromTheAnswer(Candidate):
    """Leads from when the answer has arrived, not from when the claim was sent."""

    def wrote(self, lease: Lease, sent: float, now: float) -> None:
        super().wrote(lease, max(sent, now), now)


class TrustsItsFirstLook(Candidate):
    """Counts a Lease's time from when it first saw this holder, not from the last renewal."""

    def saw(self, lease: Lease, now: float) -> None:
        before = self._since
        is_known = self._known is not None and self._known.holder == lease.holder
        super().saw(lease, now)
        if is_known:
            self._since = before


@pytest.mark.parametrize(
    ("make", "timing"),
    [(Candidate, NoMargin()), (CountsFromTheAnswer, Timing()), (TrustsItsFirstLook, Timing())],
    ids=["no margin", "counts from the answer", "trusts its first look"],
)
def test_the_simulation_notices_candidates_that_are_less_careful(
    make: Callable[[str, Timing], Candidate], timing: Timing
) -> None:
    def found() -> bool:
        for seed in range(100):
            try:
                World(random.Random(seed), make, timing).run(3)  # noqa: S311 - a simulation
            except TwoLeadersError:
                return True
        return False

    assert found()
