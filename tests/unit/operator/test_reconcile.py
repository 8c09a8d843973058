"""The reconciler against an API server in memory, with the news arriving when the test says so."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from mizzen_operator.cache import Cache
from mizzen_operator.cluster.errors import ConflictError, ForbiddenError, NotFoundError, UnavailableError
from mizzen_operator.errors import TryAgainError, WaitForError
from mizzen_operator.intake import Intake
from mizzen_operator.kinds import WATCHED, Kind
from mizzen_operator.leadership import NotLeadingError
from mizzen_operator.reconcile import TOLD_FAILURES, Reconciler
from mizzen_operator.release_updates import ReleaseUpdates
from mizzen_operator.runtime_reports import RuntimeReports
from mizzen_operator.status.events import EventRecorder
from tests.unit.operator.builders import IMAGE, KEY, NOON, Object, at, container, raw_agent, raw_pod
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.queues import queue

STATUS = "status AgentDeployment/hello"


class Setup:
    """A reconciler, what it works with, and one agent that the cluster has and the cache knows."""

    def __init__(self, cluster: FakeCluster | None = None, *, image: str = IMAGE, updates: int = 0) -> None:
        self.cluster = cluster or FakeCluster()
        self.cache = Cache()
        self.queue = queue()
        self.intake = Intake(self.cache, self.queue)
        self.now = NOON
        events = EventRecorder(self.cluster, lambda: 0.0, lambda: self.now, "pod-1")
        self.updates = ReleaseUpdates(updates, self.queue.add)
        self.reports = RuntimeReports(
            self.queue.add,
            clock=lambda: 0.0,
            rng=random.Random(1),  # noqa: S311 - the same jitter in each run
            registry=CollectorRegistry(),
        )
        self.reconciler = Reconciler(
            self.cluster,
            self.cache,
            events,
            runtime_image=image,
            updates=self.updates,
            reports=self.reports,
            now=lambda: self.now,
            again=self.queue.add,
        )
        if not self.cluster.names(Kind.AGENT):
            self.cluster.store(Kind.AGENT, raw_agent())
        self.see_all()

    def see_all(self) -> None:
        """Let the watches tell of everything that is there."""
        for (kind, _, _), raw in list(self.cluster.objects.items()):
            self.intake.seen(kind, raw)

    def reconcile(self, failures: int = 0) -> float | None:
        """Reconcile the agent once, after so many failures in a row; give when to look again."""
        return asyncio.run(self.reconciler.reconcile(KEY, failures))

    def work(self) -> int:
        """Reconcile until nothing is queued; give how often that was."""
        count = 0
        while (key := self.queue.take()) is not None:
            assert key == KEY
            self.reconcile()
            self.queue.done(key)
            count += 1
            assert count < 10, "a hot loop"
        return count

    def status(self) -> Any:
        """Give the status that the API server has."""
        return self.cluster.objects[Kind.AGENT, KEY.namespace, KEY.name]["status"]

    def edit(self) -> None:
        """Change the resource as a user does."""
        self.instruct("Be kind.")

    def instruct(self, instructions: str) -> None:
        """Change the agent's instructions."""

        def changed(raw: Object) -> None:
            raw["spec"]["agent"]["instructions"] = instructions

        self.cluster.change(Kind.AGENT, KEY.name, changed)


def test_an_agent_is_made_once_and_then_nothing_is_written() -> None:
    setup = Setup()
    setup.work()
    assert setup.cluster.writes[-1] == STATUS
    assert len(setup.cluster.writes) == 5
    setup.see_all()
    setup.work()
    setup.reconcile()
    assert len(setup.cluster.writes) == 5


def test_an_edit_that_comes_with_the_answer_to_a_status_write_is_worked_on() -> None:
    setup = Setup()
    setup.cluster.before[STATUS] = setup.edit
    setup.work()
    setup.see_all()  # the watch's news, which the answer has made old
    setup.work()
    assert setup.status()["observedGeneration"] == 2


def test_an_agent_whose_status_is_not_found_is_forgotten() -> None:
    setup = Setup()
    setup.cluster.before[STATUS] = setup.cluster.objects.clear
    setup.work()
    writes = len(setup.cluster.writes)
    setup.reconcile()
    assert setup.cache.observe(KEY).agent is None
    assert len(setup.cluster.writes) == writes


def test_an_agent_in_whose_place_is_another_is_forgotten_for_that_one() -> None:
    setup = Setup()
    successor = raw_agent()
    successor["metadata"]["uid"] = "successor"

    def replaced() -> None:
        for kind in WATCHED:
            for name in setup.cluster.names(kind):
                gone = setup.cluster.take_away(kind, name)
                if kind is not Kind.AGENT:
                    setup.intake.gone(gone)
        setup.cluster.store(Kind.AGENT, successor)

    setup.cluster.before[STATUS] = replaced
    setup.work()
    agent = setup.cache.observe(KEY).agent
    assert agent is not None
    assert agent.uid == "successor"
    assert setup.status()["observedGeneration"] == 1
    assert setup.cluster.names(Kind.DEPLOYMENT) == ["hello"]


def test_children_that_went_with_an_agent_whose_deletion_was_missed_are_not_made_again() -> None:
    setup = Setup()
    setup.work()
    setup.see_all()
    setup.work()
    for kind in reversed(WATCHED):
        for name in setup.cluster.names(kind):
            gone = setup.cluster.take_away(kind, name)
            if kind is not Kind.AGENT:
                setup.intake.gone(gone)
    writes = len(setup.cluster.writes)
    setup.work()
    assert len(setup.cluster.writes) == writes
    assert setup.cache.observe(KEY).agent is None


def test_a_child_that_was_deleted_is_made_again() -> None:
    setup = Setup()
    setup.work()
    setup.intake.gone(setup.cluster.take_away(Kind.SERVICE, "hello"))
    setup.work()
    assert setup.cluster.names(Kind.SERVICE) == ["hello"]


def test_the_answer_to_a_status_write_does_not_bring_back_an_agent_that_was_deleted_meanwhile() -> None:
    setup = Setup()
    setup.cluster.after[STATUS] = lambda: setup.intake.gone(setup.cluster.take_away(Kind.AGENT, "hello"))
    setup.work()
    assert setup.cache.observe(KEY).agent is None


DEPLOYMENT = "apply Deployment/hello"
ANSWERS = [
    (DEPLOYMENT, UnavailableError("etcdserver: request timed out"), "Deployment hello could not be written"),
    (DEPLOYMENT, ConflictError("another uid"), "Deployment hello could not be written"),
    (DEPLOYMENT, NotFoundError("not found"), "Deployment hello could not be written"),
    ("get Service/hello", UnavailableError("no answer"), "The API server could not be asked: no answer"),
    (DEPLOYMENT, KeyError("spec"), "The operator failed (KeyError)"),
]


@pytest.mark.parametrize(("call", "error", "told"), ANSWERS)
def test_a_failure_that_may_pass_is_told_from_the_fourth_on(call: str, error: Exception, told: str) -> None:
    setup = Setup()
    setup.cluster.failures[call] = error
    for failures in range(TOLD_FAILURES - 1):
        with pytest.raises(TryAgainError):
            setup.reconcile(failures)
    assert setup.status() == {}
    assert setup.cluster.events == []
    with pytest.raises(TryAgainError):
        setup.reconcile(TOLD_FAILURES - 1)
    ready = next(condition for condition in setup.status()["conditions"] if condition["type"] == "Ready")
    assert ready["reason"] == "WriteFailed"
    assert ready["message"].startswith(told)


def test_addresses_that_change_with_each_attempt_do_not_change_the_status() -> None:
    setup = Setup()
    for port in ("10.0.0.7:40001->[fd00::1]:443", "10.0.0.8:40002->[fd00::2]:443"):
        setup.cluster.failures[DEPLOYMENT] = UnavailableError(f"read tcp {port}: connection reset by peer")
        with pytest.raises(TryAgainError):
            setup.reconcile(TOLD_FAILURES)
    assert setup.cluster.writes.count(STATUS) == 1


def test_what_a_newer_operator_added_to_a_status_is_no_reason_to_write_it() -> None:
    setup = Setup()
    setup.work()

    def added(raw: Object) -> None:
        raw["status"]["fromTheFuture"] = 1
        raw["status"]["conditions"].append({**raw["status"]["conditions"][0], "type": "FromTheFuture"})

    setup.intake.seen(Kind.AGENT, setup.cluster.change(Kind.AGENT, KEY.name, added))
    writes = len(setup.cluster.writes)
    assert setup.work() == 1
    assert len(setup.cluster.writes) == writes


def test_edits_while_the_deployment_is_refused_leave_one_configuration() -> None:
    setup = Setup()
    setup.cluster.failures[DEPLOYMENT] = ForbiddenError("exceeded quota")
    for number in range(3):
        setup.instruct(f"Try {number}.")
        setup.see_all()
        with pytest.raises(WaitForError):
            setup.reconcile()
    with pytest.raises(WaitForError):
        setup.reconcile()
    assert len(setup.cluster.names(Kind.CONFIG_MAP)) == 1


def ready(setup: Setup) -> str:
    """Give the reason of Ready and its message."""
    condition = next(condition for condition in setup.status()["conditions"] if condition["type"] == "Ready")
    return f"{condition['reason']}: {condition['message']}"


def test_what_only_events_tell_is_told_when_time_has_passed_and_nothing_else_happens() -> None:
    setup = Setup()
    setup.work()
    revision = setup.status()["candidateRevision"]
    creating = container(state={"waiting": {"reason": "ContainerCreating"}})
    setup.cluster.store(Kind.POD, raw_pod(revision, creating, uid="pod"))
    setup.cluster.told["pod"] = [{"reason": "FailedMount", "note": "not found", "deprecatedLastTimestamp": at(1)}]
    setup.see_all()
    assert setup.reconcile() == 10
    assert ready(setup).startswith("RollingOut")
    setup.now += timedelta(seconds=10)
    assert setup.reconcile() == 10
    assert ready(setup).startswith("MountFailed: FailedMount: not found")
    writes = len(setup.cluster.writes)
    setup.now += timedelta(seconds=5)
    assert setup.reconcile() == 5
    assert len(setup.cluster.writes) == writes
    assert setup.cluster.asked == ["pod"]


def test_an_agent_that_is_well_is_looked_at_when_something_happens() -> None:
    setup = Setup()
    setup.work()
    assert setup.reconcile() is None
    assert setup.cluster.asked == []


def test_a_reconcile_that_loses_the_right_to_write_ends_there_and_says_nothing() -> None:
    setup = Setup()

    def lose() -> None:
        raise NotLeadingError

    async def reconcile() -> None:
        with pytest.raises(NotLeadingError):
            await setup.reconciler.reconcile(KEY, TOLD_FAILURES)

    setup.cluster.before["apply Service/hello"] = lose
    asyncio.run(reconcile())
    assert [write.partition("/")[0] for write in setup.cluster.writes] == ["apply ServiceAccount", "apply ConfigMap"]
    assert setup.cluster.events == []
