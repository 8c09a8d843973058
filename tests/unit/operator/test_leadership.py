"""The loop around a Lease, against an API server in memory and in no time: 15 s here are 15 s of a clock that leaps."""

import asyncio
import itertools
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from mizzen_operator.cluster.errors import ConflictError, ForbiddenError, NotFoundError, UnavailableError
from mizzen_operator.cluster.port import RawObject
from mizzen_operator.keys import Key
from mizzen_operator.kinds import Kind
from mizzen_operator.leadership import Alone, Election, LeadershipLostError, NotLeadingError
from mizzen_operator.lease import Timing
from tests.support.virtual_time import now, run

NAME = Key("system", "operator")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class LeaseServer:
    """See `LeaseStore`: keeps one Lease, and does what tests want it to do wrong."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.calls: list[tuple[str, float]] = []
        self.is_down = self.hangs = self.loses_answers = self.is_silent = False
        self.refuses: str | None = None
        """The verb to which the right is missing."""
        self._versions = itertools.count(1)
        self._changed = asyncio.Condition()

    def spec(self) -> dict[str, Any]:
        assert self.lease is not None
        spec: dict[str, Any] = self.lease["spec"]
        return spec

    def asked(self, verb: str) -> list[float]:
        """Give when a verb was called."""
        return [when for called, when in self.calls if called == verb]

    async def put(self, lease: Mapping[str, Any]) -> RawObject:
        """Store a Lease as a new version."""
        self.lease = deepcopy(
            {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(next(self._versions))}}
        )
        async with self._changed:
            self._changed.notify_all()
        return deepcopy(self.lease)

    async def edit(self, **spec: Any) -> None:
        """Change the Lease by hand."""
        assert self.lease is not None
        await self.put({**self.lease, "spec": {**self.spec(), **spec}})

    async def get(self, kind: Kind, namespace: str, name: str) -> RawObject | None:
        assert (kind, namespace, name) == (Kind.LEASE, *NAME)
        await self._called("get")
        return deepcopy(self.lease)

    async def create(self, kind: Kind, manifest: Mapping[str, Any]) -> RawObject:
        assert kind is Kind.LEASE
        await self._called("create")
        if self.lease is not None:
            raise ConflictError("already exists")
        return await self._answered(manifest)

    async def replace(self, kind: Kind, manifest: Mapping[str, Any]) -> RawObject:
        assert kind is Kind.LEASE
        await self._called("replace")
        if self.lease is None:
            raise NotFoundError("not found")
        if manifest["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ConflictError("the object has been modified")
        return await self._answered(manifest)

    async def changes(self, kind: Kind, namespace: str, name: str) -> AsyncGenerator[RawObject]:
        assert (kind, namespace, name) == (Kind.LEASE, *NAME)
        await self._called("changes")
        while True:
            if self.lease is not None and not self.is_silent:
                yield deepcopy(self.lease)
            async with self._changed:
                await self._changed.wait()

    async def _called(self, verb: str) -> None:
        self.calls.append((verb, now()))
        if self.hangs:
            await asyncio.sleep(3600)
        if self.is_down:
            raise UnavailableError("connection refused")
        if self.refuses == verb:
            raise ForbiddenError(f"cannot {verb} leases")

    async def _answered(self, manifest: Mapping[str, Any]) -> RawObject:
        answer = await self.put(manifest)
        if self.loses_answers:
            raise UnavailableError("connection reset")
        return answer


def time_of_day() -> datetime:
    return NOON + timedelta(seconds=now())


def election(
    server: LeaseServer,
    identity: str,
    registry: CollectorRegistry | None = None,
    clock: Callable[[], float] = now,
) -> Election:
    return Election(
        server,
        NAME,
        identity,
        Timing(),
        clock=clock,
        now=time_of_day,
        rng=random.Random(1),  # noqa: S311 - the same jitter in each run
        registry=registry or CollectorRegistry(),
    )


async def leader(server: LeaseServer) -> tuple[Election, "asyncio.Task[None]"]:
    """Give an election that was won at once, with its renewals."""
    ours = election(server, "ours")
    await ours.acquire()
    return ours, asyncio.create_task(ours.keep())


async def lost_at(keeping: "asyncio.Task[None]") -> float:
    """Wait until leadership is lost and give when that was."""
    with pytest.raises(LeadershipLostError):
        await keeping
    return now()


async def ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_who_comes_first_leads_and_says_so_in_the_lease() -> None:
    server = LeaseServer()

    async def first() -> None:
        await election(server, "ours").acquire()

    run(first())
    assert server.lease is not None
    assert server.lease["metadata"] == {"namespace": "system", "name": "operator", "resourceVersion": "1"}
    assert server.spec() == {
        "holderIdentity": "ours",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-01T12:00:00.000000Z",
        "renewTime": "2026-01-01T12:00:00.000000Z",
        "leaseTransitions": 0,
    }


def test_who_comes_second_waits_says_for_whom_and_leads_when_the_first_gives_the_lease_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    server = LeaseServer()

    async def second() -> None:
        ours, keeping = await leader(server)
        waiting = asyncio.create_task(election(server, "theirs").acquire())
        await asyncio.sleep(100)
        assert not waiting.done()
        await ended(keeping)
        await ours.release()
        released = now()
        await waiting
        assert now() == released

    run(second())
    assert (server.spec()["holderIdentity"], server.spec()["leaseTransitions"]) == ("theirs", 1)
    assert caplog.messages == [
        "candidate ours for the Lease system/operator",
        "leading: acquired the Lease system/operator",
        "candidate theirs for the Lease system/operator",
        "standing by: waiting for the Lease system/operator, which ours holds",
        "released the Lease system/operator",
        "leading: acquired the Lease system/operator",
    ]


def test_an_idle_pair_makes_a_request_every_five_seconds() -> None:
    server = LeaseServer()

    async def idle() -> None:
        _, keeping = await leader(server)
        waiting = asyncio.create_task(election(server, "theirs").acquire())
        await asyncio.sleep(600)
        await ended(waiting)
        await ended(keeping)

    run(idle())
    assert len(server.asked("replace")) == 120
    assert len(server.asked("get")) + len(server.asked("changes")) <= 5


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_leader_that_is_gone_is_followed_when_its_lease_has_run_out(is_silent: bool) -> None:
    """Also where the stream of changes tells nothing, as through a connection that is dead and does not show it."""
    server = LeaseServer()
    server.is_silent = is_silent

    async def gone() -> tuple[float, float]:
        _, keeping = await leader(server)
        waiting = asyncio.create_task(election(server, "theirs").acquire())
        await asyncio.sleep(33)
        await ended(keeping)
        await waiting
        return server.asked("replace")[-2], now()

    renewed, taken = run(gone())
    assert renewed + 15 <= taken <= renewed + (30 if is_silent else 15.1)


def test_a_renewal_that_hangs_ends_leadership_at_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    server = LeaseServer()

    async def hangs() -> float:
        _, keeping = await leader(server)
        await asyncio.sleep(12)
        server.hangs = True
        return await lost_at(keeping)

    assert run(hangs()) == pytest.approx(20)
    assert server.asked("replace") == pytest.approx([5, 10, 15, 17.5])
    assert "lost the Lease system/operator: not renewed for 10 s; ending" in caplog.text


def test_an_outage_is_outlived_if_it_ends_before_the_deadline() -> None:
    server = LeaseServer()

    async def outage() -> None:
        _, keeping = await leader(server)
        server.is_down = True
        await asyncio.sleep(8)
        server.is_down = False
        await asyncio.sleep(20)
        assert not keeping.done()
        await ended(keeping)

    run(outage())
    assert server.asked("replace") == pytest.approx([5, 7, 9, 14, 19, 24])


def test_an_outage_that_lasts_ends_leadership_at_the_deadline() -> None:
    server = LeaseServer()

    async def outage() -> float:
        _, keeping = await leader(server)
        server.is_down = True
        return await lost_at(keeping)

    assert run(outage()) == pytest.approx(10)


def test_a_renewal_whose_answer_was_lost_is_found_and_leadership_goes_on() -> None:
    server = LeaseServer()

    async def lost_answer() -> None:
        _, keeping = await leader(server)
        server.loses_answers = True
        await asyncio.sleep(6)
        server.loses_answers = False
        await asyncio.sleep(60)
        assert not keeping.done()
        await ended(keeping)

    run(lost_answer())
    assert server.spec()["leaseTransitions"] == 0


def test_an_acquisition_whose_answer_was_lost_is_found() -> None:
    server = LeaseServer()
    server.loses_answers = True

    async def lost_answer() -> float:
        acquiring = asyncio.create_task(election(server, "ours").acquire())
        await asyncio.sleep(0.1)
        server.loses_answers = False
        await acquiring
        return now()

    assert run(lost_answer()) < 3


def test_who_finds_somebody_elses_name_in_the_lease_stops_at_once(caplog: pytest.LogCaptureFixture) -> None:
    server = LeaseServer()

    async def taken() -> float:
        _, keeping = await leader(server)
        await server.edit(holderIdentity="theirs")
        return await lost_at(keeping)

    assert run(taken()) == pytest.approx(5)
    assert "lost the Lease system/operator: theirs holds it now" in caplog.text


def test_a_lease_that_is_deleted_is_made_again_by_its_holder_and_not_taken_by_others() -> None:
    server = LeaseServer()

    async def deleted() -> None:
        _, keeping = await leader(server)
        waiting = asyncio.create_task(election(server, "theirs").acquire())
        await asyncio.sleep(6)
        server.lease = None
        await asyncio.sleep(60)
        assert not keeping.done()
        assert not waiting.done()
        await ended(waiting)
        await ended(keeping)

    run(deleted())
    assert server.spec()["holderIdentity"] == "ours"


def test_what_others_wrote_on_the_lease_stays() -> None:
    server = LeaseServer()

    async def labelled() -> None:
        _, keeping = await leader(server)
        assert server.lease is not None
        await server.put({**server.lease, "metadata": {**server.lease["metadata"], "labels": {"team": "a"}}})
        await asyncio.sleep(12)
        await ended(keeping)

    run(labelled())
    assert server.lease is not None
    assert server.lease["metadata"]["labels"] == {"team": "a"}
    assert server.spec()["holderIdentity"] == "ours"


@pytest.mark.parametrize("verb", ["get", "create", "changes"])
def test_a_missing_right_is_told(verb: str) -> None:
    server = LeaseServer()
    server.refuses = verb

    async def acquire() -> None:
        if verb == "changes":
            await leader(server)
        await election(server, "theirs").acquire()

    with pytest.raises(ForbiddenError, match=f"cannot {verb} leases"):
        run(acquire())


def test_an_api_server_that_does_not_answer_is_asked_again_until_it_does(caplog: pytest.LogCaptureFixture) -> None:
    server = LeaseServer()
    server.hangs = True

    async def back() -> float:
        acquiring = asyncio.create_task(election(server, "ours").acquire())
        await asyncio.sleep(60)
        server.hangs = False
        await acquiring
        return now()

    assert run(back()) < 65
    assert "the Lease system/operator was not acquired: no answer within 2.5 s; trying again" in caplog.text


def test_nothing_is_sent_by_who_does_not_lead() -> None:
    server = LeaseServer()

    async def fenced() -> None:
        ours = election(server, "ours")
        with pytest.raises(NotLeadingError):
            ours.check()
        await ours.acquire()
        ours.check()
        await asyncio.sleep(9.9)
        ours.check()
        await asyncio.sleep(0.1)
        with pytest.raises(NotLeadingError, match="this process does not hold the Lease system/operator"):
            ours.check()

    run(fenced())


def test_a_frozen_leader_is_fenced_when_it_thaws_although_its_own_timers_did_not_run() -> None:
    server, frozen_for = LeaseServer(), [0.0]

    async def thaw() -> None:
        ours = election(server, "ours", clock=lambda: now() + frozen_for[0])
        await ours.acquire()
        keeping = asyncio.create_task(ours.keep())
        await asyncio.sleep(1)
        frozen_for[0] = 60
        with pytest.raises(NotLeadingError):
            ours.check()
        await lost_at(keeping)

    run(thaw())
    assert server.asked("replace") == []


@pytest.mark.parametrize("looks", range(1, 8))
def test_a_candidate_that_freezes_at_any_moment_leads_later_or_ends(looks: int) -> None:
    server, left = LeaseServer(), [looks]

    def clock() -> float:
        left[0] -= 1
        return now() + (60 if left[0] < 0 else 0)

    async def freeze() -> bool:
        ours = election(server, "ours", clock=clock)
        try:
            await ours.acquire()
        except LeadershipLostError:
            return False
        return ours.leads()

    has_led = run(freeze())
    assert len(server.calls) <= 4
    assert server.spec()["holderIdentity"] == "ours"
    assert has_led or server.asked("replace") == []


def test_an_error_that_stops_a_write_is_handled_by_nobody_as_an_error() -> None:
    assert not issubclass(NotLeadingError, Exception)


def test_who_never_claimed_the_lease_has_nothing_to_give_back() -> None:
    server = LeaseServer()

    async def standby() -> None:
        _, keeping = await leader(server)
        theirs = election(server, "theirs")
        waiting = asyncio.create_task(theirs.acquire())
        await asyncio.sleep(1)
        await ended(waiting)
        before = len(server.calls)
        await theirs.release()
        assert len(server.calls) == before
        await ended(keeping)

    run(standby())


def test_who_has_given_the_lease_back_leads_no_more() -> None:
    async def released() -> None:
        ours, keeping = await leader(LeaseServer())
        await ended(keeping)
        await ours.release()
        assert not ours.leads()
        with pytest.raises(NotLeadingError):
            ours.check()

    run(released())


def test_who_has_lost_the_lease_lets_it_run_out_since_a_write_may_be_under_way() -> None:
    server = LeaseServer()

    async def lost() -> None:
        ours, keeping = await leader(server)
        server.is_down = True
        await lost_at(keeping)
        server.is_down = False
        await ours.release()

    run(lost())
    assert server.spec()["holderIdentity"] == "ours"


@pytest.mark.parametrize("trouble", ["is_down", "hangs"])
def test_a_lease_that_cannot_be_given_back_is_told_and_soon_left(
    trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = LeaseServer()

    async def release() -> float:
        ours, keeping = await leader(server)
        await ended(keeping)
        setattr(server, trouble, True)
        await ours.release()
        return now()

    assert run(release()) <= 2
    assert "the Lease system/operator could not be released: " in caplog.text


def test_the_metric_has_the_name_of_client_go() -> None:
    registry = CollectorRegistry()

    def status() -> float | None:
        return registry.get_sample_value("leader_election_master_status", {"name": "operator"})

    async def leads() -> None:
        ours = election(LeaseServer(), "ours", registry)
        assert status() == 0
        await ours.acquire()
        assert status() == 1

    run(leads())


def test_who_was_told_of_no_lease_works_at_once_says_so_and_never_stops(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def alone() -> None:
        await Alone().acquire()
        assert now() == 0
        keeping = asyncio.create_task(Alone().keep())
        await asyncio.sleep(3600)
        assert not keeping.done()
        await ended(keeping)
        await Alone().release()

    run(alone())
    assert "working alone: without --lease, a second operator" in caplog.text
