"""The breakers of a process: their names, what is logged of them, and what Prometheus sees."""

import logging

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from mizzen_api.breakers import DEFAULT_BREAKER
from mizzen_runtime.breakers import BreakerOpenError, Breakers, State
from mizzen_runtime.breakers.metrics import BreakerCollector


def test_a_model_that_is_in_the_chain_twice_has_two_breakers() -> None:
    breakers = Breakers()
    for name in ("model:a", "model:a", "service:a", "model:a"):
        breakers.add(name, DEFAULT_BREAKER)

    assert list(breakers.states()) == ["model:a", "model:a#2", "service:a", "model:a#3"]


def test_their_states_are_told_by_name() -> None:
    breakers = Breakers(clock=lambda: 0.0)
    dead, _ = breakers.add("model:a", DEFAULT_BREAKER), breakers.add("model:b", DEFAULT_BREAKER)
    for _ in range(5):
        dead.acquire().failed()

    states = breakers.states()
    assert [(name, each.name, each.state) for name, each in states.items()] == [
        ("model:a", "model:a", State.OPEN),
        ("model:b", "model:b", State.CLOSED),
    ]
    assert (states["model:a"].failure_rate, states["model:a"].retry_after) == (1.0, 30.0)


def test_a_change_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mizzen.breakers")
    now = 0.0
    breakers = Breakers(clock=lambda: now)
    breaker = breakers.add("model:a", DEFAULT_BREAKER)
    for permit in [breaker.acquire() for _ in range(10)]:
        permit.failed()
    for _ in range(100):
        with pytest.raises(BreakerOpenError):
            breaker.acquire()
    now = 30.0
    for permit in [breaker.acquire() for _ in range(3)]:
        permit.succeeded()

    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "a breaker opened"),
        ("INFO", "a breaker lets a few calls pass"),
        ("INFO", "a breaker closed"),
    ]
    first = vars(caplog.records[0])
    assert (first["breaker"], first["failure_rate"], first["seconds"]) == ("model:a", 1.0, 30.0)


def test_prometheus_sees_states_rates_and_calls() -> None:
    breakers = Breakers(clock=lambda: 0.0)
    registry = CollectorRegistry()
    registry.register(BreakerCollector(breakers))
    breaker = breakers.add("model:a", DEFAULT_BREAKER)
    breakers.add("service:b", DEFAULT_BREAKER)
    breaker.acquire().succeeded(seconds=1000)
    breaker.acquire().ignored()
    for _ in range(4):
        breaker.acquire().failed()
    with pytest.raises(BreakerOpenError):
        breaker.acquire()

    told = generate_latest(registry).decode()

    samples = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in told.splitlines() if line[0] != "#"}
    of_a = {name: value for name, value in samples.items() if 'breaker="model:a"' in name}
    assert of_a == {
        'mizzen_breaker_state{breaker="model:a",state="closed"}': 0,
        'mizzen_breaker_state{breaker="model:a",state="open"}': 1,
        'mizzen_breaker_state{breaker="model:a",state="half_open"}': 0,
        'mizzen_breaker_failure_ratio{breaker="model:a"}': 0.8,
        'mizzen_breaker_slow_call_ratio{breaker="model:a"}': 0.2,
        'mizzen_breaker_calls_total{breaker="model:a",outcome="successful"}': 1,
        'mizzen_breaker_calls_total{breaker="model:a",outcome="failed"}': 4,
        'mizzen_breaker_calls_total{breaker="model:a",outcome="ignored"}': 1,
        'mizzen_breaker_slow_calls_total{breaker="model:a"}': 1,
        'mizzen_breaker_not_permitted_calls_total{breaker="model:a"}': 1,
    }
    assert samples['mizzen_breaker_state{breaker="service:b",state="closed"}'] == 1
    assert 'mizzen_breaker_failure_ratio{breaker="service:b"}' not in samples
