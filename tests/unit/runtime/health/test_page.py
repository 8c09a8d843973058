"""`docs/health.md` says what the code does."""

import json
import re

import yaml

from manifests.chart_values import CHECKOUT
from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.health import HealthCode, HealthReason, HealthSpec, RuntimeHealth
from mizzen_runtime.errors import Outcome
from mizzen_runtime.health.hold import HOLD_SECONDS
from mizzen_runtime.health.policy import (
    BREAKER_SECONDS,
    LEAVE_AT,
    UNHEALTHY_PERCENT,
    HealthPolicy,
    HealthSignals,
)
from mizzen_runtime.health.tally import FAILURES, Figures
from tests.unit.api.test_agentdeployment import resource

PAGE = (CHECKOUT / "docs" / "health.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def test_every_reason_is_there_in_the_order_in_which_they_are_told() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert list(dict.fromkeys(rows)) == [code.value for code in HealthCode]


def test_the_settings_are_those_that_hold_without_them() -> None:
    written = yaml.safe_load(block("yaml"))["spec"]["health"]
    spec = AgentDeployment.model_validate(resource(health=written)).spec.health
    assert spec is not None
    assert spec.model_copy(update={"max_latency": None}) == HealthSpec()


def test_the_numbers_are_the_codes() -> None:
    assert f"has not been closed for {BREAKER_SECONDS:g} s" in PAGE
    assert f"more than that, and more than {UNHEALTHY_PERCENT} %, fail" in PAGE
    assert f"below {100 * LEAVE_AT:g} % of its bound" in PAGE
    assert f"at most once in {HOLD_SECONDS:g} s" in PAGE


def test_the_failures_are_the_codes() -> None:
    sentence = PAGE[PAGE.index("the outcomes") : PAGE.index("What a caller did wrong")]
    assert re.findall(r"`(\w+)`", sentence) == [outcome.value for outcome in FAILURES]


def test_the_answer_is_what_is_answered() -> None:
    shown = json.loads(block("json"))
    figures = Figures(60, 57, Outcome.MODEL_UNAVAILABLE, 60)
    told = HealthPolicy(RuntimeHealth()).judge(HealthSignals(figures=figures), 0)
    assert tuple(HealthReason(**each) for each in shown["reasons"]) == told
