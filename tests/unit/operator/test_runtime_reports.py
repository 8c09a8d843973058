"""When pods are read, what is remembered, who is told: in virtual time, with pods that answer what the test says."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Mapping

import pytest
from prometheus_client import CollectorRegistry

from mizzen_api.contract import ServiceReport
from mizzen_operator.keys import Key
from mizzen_operator.records import PodRecord
from mizzen_operator.runtime_reports import (
    MAX_PAUSE_SECONDS,
    OFTEN_SECONDS,
    READERS,
    READINGS_PER_SECOND,
    SELDOM_SECONDS,
    SILENT_AFTER,
    TROUBLED_SECONDS,
    UNSETTLED_SECONDS,
    RuntimeReports,
)
from mizzen_operator.state_client import StateUnreadableError
from mizzen_operator.status.pod_report import Heard, PodReport
from mizzen_operator.workqueue import Priority
from tests.support.virtual_time import now, run
from tests.unit.operator.builders import KEY, pod
from tests.unit.operator.situations import READY_POD, STARTED_POD
from tests.unit.operator.test_pod_report import report

WELL = Heard(PodReport())
AWAY = (ServiceReport(name="db", healthy=False, reason="refused"),)
REFUSED = Heard(PodReport(unhealthy=(("db", "refused"),)))
SLACK = 0.5
"""How long a pod waits for a reader at most, in these tests."""


def running(name: str = "a", *, ready: bool = True, started: bool = True, key: Key = KEY) -> PodRecord:
    """Give a pod whose uid and address are its name."""
    status = {**(READY_POD if ready else STARTED_POD), "podIP": name}
    if not started:
        status = {"podIP": name}
    return pod("abc", status, name=name, labels={"app.kubernetes.io/instance": key.name, "mizzen.dev/revision": "abc"})


class Pods:
    """What pods answer, and when each was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Exception] = {}
        self.asked: list[tuple[float, str]] = []
        self.takes: dict[str, float] = {}
        """Seconds that a pod takes to answer."""
        self.at_once = 0
        self.most_at_once = 0

    async def read(self, address: str) -> bytes:
        """See `StateSource`."""
        self.asked.append((now(), address))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.takes.get(address, 0.0))
        finally:
            self.at_once -= 1
        answer = self.answers.get(address, report().model_dump_json().encode())
        if isinstance(answer, Exception):
            raise answer
        return answer

    def times(self, address: str) -> list[float]:
        return [time for time, other in self.asked if other == address]

    def pauses(self, address: str) -> list[float]:
        times = self.times(address)
        return [later - earlier for earlier, later in itertools.pairwise(times)]


class Setup:
    """The reports of one agent's pods."""

    def __init__(self) -> None:
        self.pods = Pods()
        self.changes: list[tuple[Key, Priority]] = []
        self.registry = CollectorRegistry()
        self.reports = RuntimeReports(
            lambda key, priority: self.changes.append((key, priority)),
            clock=now,
            rng=random.Random(1),  # noqa: S311 - the same jitter in each run
            registry=self.registry,
        )

    def look_after(self, *pods: PodRecord, often: bool | None = True, key: Key = KEY) -> Mapping[str, Heard]:
        return self.reports.look_after(key, pods, often=often)

    def run(self, script: Callable[[], Awaitable[None]]) -> None:
        """Read while a script runs, in virtual time."""

        async def main() -> None:
            reading = asyncio.create_task(self.reports.run(self.pods))
            await script()
            reading.cancel()
            await asyncio.wait({reading})

        run(main())


def test_a_pod_that_appears_is_read_at_once_and_its_agent_is_told() -> None:
    setup = Setup()

    async def script() -> None:
        assert setup.look_after(running()) == {}
        await asyncio.sleep(SLACK)
        assert setup.look_after(running()) == {"a": WELL}

    setup.run(script)
    assert setup.pods.times("a") == [0.0]
    assert setup.changes == [(KEY, Priority.LOW)]


def test_the_same_report_is_no_news() -> None:
    setup = Setup()

    async def script() -> None:
        setup.look_after(running())
        await asyncio.sleep(10 * OFTEN_SECONDS)

    setup.run(script)
    assert len(setup.pods.asked) > 5
    assert len(setup.changes) == 1


@pytest.mark.parametrize(
    ("often", "services", "seconds"),
    [
        (True, (), OFTEN_SECONDS),
        (False, (), SELDOM_SECONDS),
        (None, (), SELDOM_SECONDS),
        (True, AWAY, TROUBLED_SECONDS),
        (False, AWAY, TROUBLED_SECONDS),
        (True, (ServiceReport(name="db", healthy=None),), UNSETTLED_SECONDS),
    ],
    ids=["often", "seldom", "unknown", "troubled", "troubled without services", "unsettled"],
)
def test_a_pod_is_read_again_the_sooner_the_more_its_report_may_change(
    often: bool | None, services: tuple[ServiceReport, ...], seconds: float
) -> None:
    setup = Setup()
    setup.pods.answers["a"] = report(services=services).model_dump_json().encode()

    async def script() -> None:
        setup.look_after(running(), often=often)
        await asyncio.sleep(5 * seconds)

    setup.run(script)
    assert len(setup.pods.pauses("a")) >= 4
    assert all(0.8 * seconds <= pause <= 1.2 * seconds + SLACK for pause in setup.pods.pauses("a"))
    assert len(set(setup.pods.pauses("a"))) == len(setup.pods.pauses("a"))


def test_a_pod_is_read_when_its_readiness_changes() -> None:
    setup = Setup()

    async def script() -> None:
        setup.look_after(running())
        await asyncio.sleep(5)
        setup.look_after(running())
        await asyncio.sleep(5)
        setup.look_after(running(ready=False))
        await asyncio.sleep(5)
        setup.look_after(running())
        await asyncio.sleep(5)

    setup.run(script)
    assert setup.pods.times("a") == [0.0, 10.0, 15.0]


def test_a_pod_whose_readiness_changes_while_it_is_read_is_read_again() -> None:
    setup = Setup()
    setup.pods.takes["a"] = 0.9

    async def script() -> None:
        setup.look_after(running())
        await asyncio.sleep(0.5)
        setup.look_after(running(ready=False))
        await asyncio.sleep(2)

    setup.run(script)
    assert len(setup.pods.times("a")) == 2


def test_pods_that_are_gone_or_start_anew_are_forgotten() -> None:
    setup = Setup()

    async def script() -> None:
        setup.look_after(running("a"), running("b"))
        await asyncio.sleep(1)
        assert set(setup.look_after(running("a"), running("b", started=False))) == {"a"}
        await asyncio.sleep(2 * OFTEN_SECONDS)
        assert set(setup.look_after(running("a"), running("b"))) == {"a"}
        await asyncio.sleep(1)
        assert set(setup.look_after(running("a"), running("b"))) == {"a", "b"}
        setup.reports.forget(KEY)
        await asyncio.sleep(2 * OFTEN_SECONDS)
        assert setup.look_after(running("a")) == {}

    setup.run(script)
    assert len(setup.pods.times("b")) == 2


def test_what_a_pod_says_that_has_gone_meanwhile_is_not_kept() -> None:
    setup = Setup()
    setup.pods.takes["a"] = 0.9

    async def script() -> None:
        setup.look_after(running())
        await asyncio.sleep(0.5)
        setup.look_after()
        await asyncio.sleep(1)
        assert setup.look_after() == {}

    setup.run(script)
    assert setup.changes == []


def test_an_agent_is_told_when_all_of_its_pods_are_read() -> None:
    setup = Setup()
    setup.pods.takes["b"] = 0.9

    async def script() -> None:
        setup.look_after(running("a"), running("b"))
        await asyncio.sleep(0.5)
        assert setup.changes == []
        await asyncio.sleep(1)

    setup.run(script)
    assert setup.changes == [(KEY, Priority.LOW)]


def test_one_answer_may_get_lost() -> None:
    setup = Setup()
    away = StateUnreadableError("no answer within 1 s")

    async def script() -> None:
        setup.look_after(running())
        await asyncio.sleep(1)
        setup.pods.answers["a"] = away
        while len(setup.pods.asked) < SILENT_AFTER:  # noqa: ASYNC110 - of what another task counts
            await asyncio.sleep(0.1)
        del setup.pods.answers["a"]
        await asyncio.sleep(2 * UNSETTLED_SECONDS)
        assert setup.look_after(running()) == {"a": WELL}

    setup.run(script)
    assert setup.changes == [(KEY, Priority.LOW)]


def test_a_pod_that_does_not_answer_is_unknown_after_three_attempts_and_asked_ever_less_often(
    caplog: pytest.LogCaptureFixture,
) -> None:
    setup = Setup()
    setup.pods.answers["a"] = report(services=AWAY).model_dump_json().encode()

    async def script() -> None:
        setup.look_after(running())
        await asyncio.sleep(1)
        setup.pods.answers["a"] = StateUnreadableError("no answer within 1 s")
        await asyncio.sleep(3600)
        assert setup.look_after(running()) == {"a": Heard(REFUSED.report, is_silent=True)}

    setup.run(script)
    assert len(setup.changes) == 2
    assert caplog.messages == ["team/hello: the state of pod a cannot be read: no answer within 1 s"]
    pauses = setup.pods.pauses("a")[3:]
    assert all(
        0.8 * expected <= pause <= 1.2 * expected + SLACK
        for pause, expected in zip(pauses, [10, 20, 40, 80, 160, *[MAX_PAUSE_SECONDS] * 20], strict=False)
    )


def test_a_pod_that_never_answers_is_not_known_before_three_attempts() -> None:
    setup = Setup()
    setup.pods.answers["a"] = b"garbage"

    async def script() -> None:
        setup.look_after(running())
        await asyncio.sleep(UNSETTLED_SECONDS)
        assert setup.look_after(running()) == {}
        await asyncio.sleep(3 * UNSETTLED_SECONDS)
        assert setup.look_after(running()) == {"a": Heard(is_silent=True)}

    setup.run(script)


def test_another_version_of_the_contract_is_known_at_once_and_asked_about_seldom() -> None:
    setup = Setup()
    setup.pods.answers["a"] = b'{"contractVersion": 2}'

    async def script() -> None:
        setup.look_after(running())
        await asyncio.sleep(SLACK)
        assert setup.look_after(running()) == {"a": Heard(contract_version=2)}
        await asyncio.sleep(SELDOM_SECONDS / 2)

    setup.run(script)
    assert len(setup.pods.asked) == 1
    assert setup.registry.get_sample_value("mizzen_operator_state_readings_total", {"outcome": "other_contract"}) == 1


def test_a_bug_that_shows_with_one_pod_leaves_the_others_alone(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    setup.pods.answers["a"] = RuntimeError("a bug")

    async def script() -> None:
        setup.look_after(*(running(f"pod-{number}") for number in range(2 * READERS)), running("a"))
        await asyncio.sleep(1.5 * SELDOM_SECONDS)

    setup.run(script)
    assert len({address for _, address in setup.pods.asked}) == 2 * READERS + 1
    assert caplog.text.count("for an unforeseen reason") == len(setup.pods.times("a")) == 2


def test_however_many_pods_there_are_few_are_read_at_once_and_in_a_second() -> None:
    setup = Setup()
    names = [f"pod-{number}" for number in range(4000)]
    seconds = int(3 * len(names) / READINGS_PER_SECOND)

    async def script() -> None:
        setup.look_after(*map(running, names))
        await asyncio.sleep(seconds)

    setup.run(script)
    per_second = [0] * (seconds + 1)
    for time, _ in setup.pods.asked:
        per_second[int(time)] += 1
    assert max(per_second) <= READINGS_PER_SECOND + READERS
    assert setup.pods.most_at_once <= READERS
    longest = max(pause for name in names[::100] for pause in setup.pods.pauses(name))
    assert longest <= 1.2 * len(names) / READINGS_PER_SECOND


def test_a_pod_that_changes_is_read_before_those_whose_time_has_come() -> None:
    setup = Setup()
    many = Key("team", "many")

    async def script() -> None:
        setup.look_after(*(running(f"pod-{number}", key=many) for number in range(4000)), key=many)
        await asyncio.sleep(200)
        setup.look_after(running("a"))
        await asyncio.sleep(1)

    setup.run(script)
    assert setup.pods.times("a")[0] - 200 < SLACK


def test_pods_that_hang_keep_nobody_from_being_read() -> None:
    setup = Setup()
    hanging = Key("team", "hanging")
    names = [f"pod-{number}" for number in range(1000)]
    for name in names:
        setup.pods.takes[name] = 1.0
        setup.pods.answers[name] = StateUnreadableError("no answer within 1 s")

    async def script() -> None:
        setup.look_after(*(running(name, key=hanging) for name in names), key=hanging)
        await asyncio.sleep(1800)
        setup.look_after(running("a"))
        await asyncio.sleep(10 * OFTEN_SECONDS)

    setup.run(script)
    assert setup.pods.times("a")[0] - 1800 < 1.5
    assert max(setup.pods.pauses("a")) < 2 * OFTEN_SECONDS
