"""`docs/breakers.md` says what the code has: fields, defaults, bounds, metrics, and what counts for a model."""

import re

from prometheus_client import CollectorRegistry, generate_latest

from manifests.chart_values import CHECKOUT
from mizzen_api.breakers import DEFAULT_BREAKER, BreakerSpec
from mizzen_runtime.breakers import Breakers, State
from mizzen_runtime.breakers.breaker import MAX_HOLD_SECONDS
from mizzen_runtime.breakers.metrics import BreakerCollector

PAGE = (CHECKOUT / "docs" / "breakers.md").read_text()


def test_the_table_has_every_field_with_its_default_and_its_bounds() -> None:
    table = PAGE.partition("| Field of `breaker` |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (?:(\d+) to (\d+))?", table, re.MULTILINE)
    schema = BreakerSpec.model_json_schema()["properties"]

    assert {name: default for name, default, _, _ in rows} == {name: str(it["default"]) for name, it in schema.items()}
    assert {name: (int(low), int(high)) for name, _, low, high in rows if low} == {
        name: (it["minimum"], it["maximum"]) for name, it in schema.items() if "minimum" in it
    }


def test_the_states_are_those_of_the_code() -> None:
    assert re.findall(r"^\| `(\w+)` \| (?:all|none|`)", PAGE, re.MULTILINE) == [state.value for state in State]


def test_every_metric_is_named() -> None:
    registry = CollectorRegistry()
    breakers = Breakers()
    breakers.add("model:a", DEFAULT_BREAKER.model_copy(update={"minimum_calls": 1})).acquire().succeeded()
    registry.register(BreakerCollector(breakers))
    names = set(re.findall(r"^(\w+)\{", generate_latest(registry).decode(), re.MULTILINE))

    assert set(re.findall(r"`(mizzen_breaker_\w+)", PAGE)) == names


def test_the_bound_on_a_providers_wish_is_the_codes() -> None:
    assert f"for so long, {MAX_HOLD_SECONDS:g} s at most" in " ".join(PAGE.split())
