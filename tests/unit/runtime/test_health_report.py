"""What the health report is made of; and that it says of readiness what `/readyz` says."""

from itertools import product

import pytest
from prometheus_client import CollectorRegistry

from mizzen_api.breakers import BreakerSpec
from mizzen_api.services import Required
from mizzen_runtime.breakers import Breakers, State
from mizzen_runtime.health.policy import BreakerSignal
from mizzen_runtime.health_report import not_closed, why_unready
from mizzen_runtime.http.asgi import Message
from mizzen_runtime.http.management import ManagementApp, Reports
from mizzen_runtime.lifecycle import Lifecycle
from mizzen_runtime.metrics import ServiceMetrics
from mizzen_runtime.service_health import FAILURES, ServiceHealth


async def readyz(lifecycle: Lifecycle, health: ServiceHealth) -> int:
    """Ask the management port, and give the status that it answers."""
    app = ManagementApp(lifecycle)
    app.reports = Reports(lambda: {"services": health.ready}, lambda: b"", "text/plain", lambda: b"{}")
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("a probe has no body")

    await app({"type": "http", "path": "/readyz", "method": "GET", "query_string": b""}, receive, send)
    status: int = sent[0]["status"]
    return status


PINGS = {"not asked": (), "well": (None,), "away": ("gone",), "gone since": (None, *["gone"] * FAILURES)}
REQUIRED: tuple[Required, ...] = ("AtStart", "Always", "Never")


@pytest.mark.anyio
@pytest.mark.parametrize("pings", PINGS)
@pytest.mark.parametrize("required", REQUIRED)
async def test_the_report_says_of_readiness_what_the_probe_says(required: Required, pings: str) -> None:
    health = ServiceHealth([("db", required)], ServiceMetrics(CollectorRegistry()))
    for fault in PINGS[pings]:
        health.note("db", fault)
    for wired, leaving in product((False, True), repeat=2):
        lifecycle = Lifecycle()
        lifecycle.wired, lifecycle.leaving = wired, leaving
        why = why_unready(health.states.values(), lifecycle)
        assert (await readyz(lifecycle, health) == 200) == (why == "")


def test_why_a_pod_gets_no_requests_names_what_it_waits_for() -> None:
    health = ServiceHealth([("a", "Always"), ("b", "Never"), ("c", "AtStart")], ServiceMetrics(CollectorRegistry()))
    lifecycle = Lifecycle()
    assert why_unready(health.states.values(), lifecycle) == "it starts"
    lifecycle.wired = True
    assert why_unready(health.states.values(), lifecycle) == "it waits for 'a' and 'c'"
    for name in health.states:
        health.note(name, None)
    assert why_unready(health.states.values(), lifecycle) == ""
    lifecycle.leaving = True
    assert why_unready(health.states.values(), lifecycle) == "it was asked to leave"


def test_the_breakers_that_are_not_closed_are_signals_with_what_made_them_open() -> None:
    now = [0.0]
    breakers = Breakers(lambda: now[0])
    settings = BreakerSpec(minimum_calls=5, wait_in_open="30s").rendered()
    breakers.add("service:crm", settings)
    failing = breakers.add("model:vllm:large", settings)
    assert not_closed(breakers) == {}
    for fails in (True, True, False, True, True):
        permit = failing.acquire()
        if fails:
            permit.failed()
        else:
            permit.succeeded()
    why = "80% of its last calls failed, 0% were slow."
    assert not_closed(breakers) == {"model:vllm:large": BreakerSignal(is_open=True, figures=why)}
    now[0] = 31
    assert breakers.states()["model:vllm:large"].state is State.HALF_OPEN
    assert not_closed(breakers) == {"model:vllm:large": BreakerSignal(is_open=False, figures=why)}
