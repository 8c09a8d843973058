"""Who looks, how often, and what those are told who ask."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from mizzen_api.health import HealthState, RuntimeHealth
from mizzen_runtime.errors import Outcome
from mizzen_runtime.health import watch
from mizzen_runtime.health.metrics import HealthCollector
from mizzen_runtime.health.tally import RequestTally
from mizzen_runtime.health.watch import HealthSources, HealthWatch


class Pod:
    """A pod whose clock and signals the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.unready = ""
        self.services: Mapping[str, str] = {}
        self.tally = RequestTally(None)
        sources = HealthSources(self.tally, lambda: self.unready, lambda: self.services, dict)
        self.watch = HealthWatch(RuntimeHealth(min_requests=5), sources, clock=lambda: self.now)

    def look(self) -> HealthState:
        self.now += 1
        self.watch.look()
        return self.watch.state()

    def fail(self, times: int = 5) -> None:
        for _ in range(times):
            self.tally.observe(Outcome.MODEL_UNAVAILABLE, 0.1)


def codes(state: HealthState) -> list[str]:
    return [reason.code for reason in state.reasons]


def test_a_pod_that_nobody_has_looked_at_is_well() -> None:
    assert Pod().watch.state() == HealthState(status="healthy")


def test_requests_that_fail_show_at_the_next_look_and_not_before() -> None:
    pod = Pod()
    pod.fail()
    assert codes(pod.watch.state()) == []
    assert codes(pod.look()) == ["ErrorRate"]


def test_whether_it_is_to_get_requests_is_told_at_once_both_ways() -> None:
    pod = Pod()
    pod.unready = "it was asked to leave"
    (told,) = pod.watch.state().reasons
    assert (told.code, told.status, told.detail) == ("NotReady", "unhealthy", "it was asked to leave")
    pod.unready = ""
    assert pod.watch.state().status == "healthy"


SECONDS = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3)), max_size=80)


@given(SECONDS)
def test_asking_more_often_changes_nothing(seconds: Sequence[tuple[bool, bool, int]]) -> None:
    asked, unasked = Pod(), Pod()
    for fails, is_away, times in seconds:
        for pod in (asked, unasked):
            pod.services = {"db": "away"} if is_away else {}
            pod.fail(int(fails))
            pod.tally.observe(Outcome.OK, 1)
        for _ in range(times):
            asked.watch.state()
        asked.look()
        unasked.look()
        assert asked.watch.state() == unasked.watch.state()


def test_a_change_is_logged_once_with_its_reasons(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mizzen.health")
    pod = Pod()
    pod.services = {"db": "away"}
    for _ in range(3):
        pod.look()
    pod.services = {}
    for _ in range(40):
        pod.look()
    assert [(record.levelname, record.__dict__["status"], record.__dict__["reasons"]) for record in caplog.records] == [
        ("WARNING", "degraded", ["Service 'db' is not healthy: away."]),
        ("INFO", "healthy", []),
    ]


@pytest.mark.anyio
async def test_a_look_that_fails_is_logged_and_the_next_one_comes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.001)
    looked = asyncio.Event()
    looks = 0

    def services() -> Mapping[str, str]:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise KeyError("db")
        looked.set()
        return {"db": "away"}

    watching = HealthWatch(RuntimeHealth(), HealthSources(RequestTally(None), lambda: "", services, dict))
    task = asyncio.create_task(watching.run())
    await asyncio.wait_for(looked.wait(), 20)
    await asyncio.sleep(0)
    task.cancel()
    assert "health could not be judged" in caplog.text
    assert codes(watching.state()) == ["ServiceUnhealthy"]


def test_prometheus_sees_one_status_and_every_reason() -> None:
    pod, registry = Pod(), CollectorRegistry()
    registry.register(HealthCollector(pod.watch.state))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("mizzen_health_status", status="healthy") == 1
    assert value("mizzen_health_reason", reason="ErrorRate") == 0
    pod.fail()
    pod.look()
    assert [value("mizzen_health_status", status=each) for each in ("healthy", "degraded", "unhealthy")] == [0, 0, 1]
    assert value("mizzen_health_reason", reason="ErrorRate") == 1
    assert value("mizzen_health_reason", reason="NotReady") == 0
