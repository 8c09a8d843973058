"""What pods say of themselves on its way into the status: the reconciler and the readers, with pods in memory."""

import asyncio
from typing import Any

import pytest

from mizzen_api.contract import ServiceReport
from mizzen_operator.desired import changes_by_itself
from mizzen_operator.kinds import Kind
from tests.unit.operator.builders import KEY, agent, raw_pod
from tests.unit.operator.situations import READY_POD
from tests.unit.operator.test_pod_report import report
from tests.unit.operator.test_reconcile import STATUS, Setup

AWAY = (ServiceReport(name="db", healthy=False, reason="refused"),)


class Answers:
    """Pods that all say the same."""

    def __init__(self, revision: str, **changes: Any) -> None:
        self.body = report(revision=revision, **changes).model_dump_json().encode()
        self.asked: list[str] = []

    async def read(self, address: str) -> bytes:
        """See `StateSource`."""
        self.asked.append(address)
        return self.body


def run_pods(setup: Setup, *names: str) -> str:
    """Let pods of the agent run, and give their revision."""
    setup.work()
    revision = str(setup.status()["candidateRevision"])
    for name in names:
        setup.cluster.store(Kind.POD, raw_pod(revision, {**READY_POD, "podIP": name}, name=name))
    setup.see_all()
    setup.work()
    return revision


def read(setup: Setup, answers: Answers, count: int) -> None:
    """Read so many pods, and reconcile what is queued then."""

    async def main() -> None:
        reading = asyncio.create_task(setup.reports.run(answers))
        async with asyncio.timeout(20):
            while len(answers.asked) < count or not len(setup.queue):  # noqa: ASYNC110 - of what another task counts
                await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.wait({reading})

    asyncio.run(main())
    setup.work()


def told(setup: Setup, kind: str) -> str:
    condition = next(condition for condition in setup.status()["conditions"] if condition["type"] == kind)
    return f"{condition['status']} {condition['reason']}: {condition['message']}"


def test_what_pods_say_comes_into_the_status_without_an_event() -> None:
    setup = Setup()
    revision = run_pods(setup, "a", "b")
    assert told(setup, "Healthy").startswith("Unknown NoReport")
    read(setup, Answers(revision, services=AWAY), 2)
    assert told(setup, "Healthy") == (
        "False ServiceUnhealthy: Service 'db' is not healthy in 2 of 2 pods: refused. (Have the service looked at, or "
        "correct its settings; the pods go on asking it.)"
    )


def test_a_restart_writes_nothing_before_the_pods_are_read_and_nothing_after() -> None:
    setup = Setup()
    revision = run_pods(setup, "a", "b")
    read(setup, Answers(revision, services=AWAY, test_services=True), 2)
    writes = list(setup.cluster.writes)
    restarted = Setup(setup.cluster)
    restarted.work()
    assert setup.cluster.writes == writes
    read(restarted, Answers(revision, services=AWAY, test_services=True), 2)
    assert setup.cluster.writes == writes
    read_again = Setup(setup.cluster)
    read_again.work()
    read(read_again, Answers(revision), 2)
    assert setup.cluster.writes == [*writes, STATUS]
    assert told(setup, "Healthy") == "True Healthy: Every pod says that it is well."


def test_pods_of_an_agent_that_is_gone_are_read_no_more() -> None:
    setup = Setup()
    run_pods(setup, "a")
    setup.intake.gone(setup.cluster.take_away(Kind.AGENT, "hello"))
    setup.work()
    assert setup.reports.look_after(KEY, (), often=None) == {}
    answers = Answers("any")

    async def main() -> None:
        reading = asyncio.create_task(setup.reports.run(answers))
        await asyncio.sleep(0.05)  # quiet is the absence of something: it takes time to see
        reading.cancel()
        await asyncio.wait({reading})

    asyncio.run(main())
    assert answers.asked == []


KEYED = {"model": "openai:gpt-5", "apiKey": {"secretKeyRef": {"name": "llm", "key": "token"}}}
DATABASE = {"name": "db", "interface": "DatabaseService", "implementation": "sqlite"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [({}, False), ({"services": [DATABASE]}, True), ({"models": [KEYED]}, True)],
    ids=["neither", "a service", "a key"],
)
def test_services_and_mounted_objects_change_by_themselves(spec: dict[str, Any], expected: bool) -> None:
    assert changes_by_itself(agent(**spec)) is expected
