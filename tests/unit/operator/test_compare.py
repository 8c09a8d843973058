from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen_operator.compare import first_difference

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_whatever_is_there_as_it_was_sent_shows_no_difference(value: Any) -> None:
    assert first_difference(value, value) is None


@given(st.dictionaries(st.text(min_size=1, max_size=5), JSON, max_size=4), st.text(min_size=6, max_size=8), JSON)
def test_what_others_add_shows_no_difference(desired: dict[str, Any], key: str, value: Any) -> None:
    assert first_difference(desired, {**desired, key: value}) is None


@given(st.decimals(min_value=Decimal("0.001"), max_value=1000, places=3))
def test_a_quantity_is_the_same_in_every_notation(value: Decimal) -> None:
    milli = int(value * 1000)
    assert first_difference({"limits": {"cpu": str(value)}}, {"limits": {"cpu": f"{milli}m"}}) is None
    assert first_difference({"limits": {"cpu": str(value)}}, {"limits": {"cpu": f"{milli + 1}m"}}) == "limits.cpu"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("1024Mi", "1Gi"),
        ("0.25Gi", "256Mi"),
        (1, "1"),
        (1000000, "1M"),
        ("1e3", "1k"),
        ("1000u", "1m"),
        ("2E", "2000P"),
    ],
)
def test_a_quantity_that_the_api_server_rewrites_shows_no_difference(sent: str | int, stored: str) -> None:
    assert first_difference({"requests": {"memory": sent}}, {"requests": {"memory": stored}}) is None


def test_only_quantities_are_read_as_numbers() -> None:
    assert first_difference({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "1.0"}]}) == (
        "env[A].value"
    )


@pytest.mark.parametrize("empty", ["", [], {}, None])
def test_an_empty_value_that_the_api_server_drops_shows_no_difference(empty: Any) -> None:
    assert first_difference({"value": empty}, {}) is None


@pytest.mark.parametrize("value", [False, 0])
def test_false_and_zero_are_values(value: Any) -> None:
    assert first_difference({"value": value}, {}) == "value"


def test_the_entries_of_others_in_a_merged_list_are_left_alone() -> None:
    desired = {"containers": [{"name": "agent", "image": "a"}]}
    live = {"containers": [{"name": "sidecar", "image": "s"}, {"name": "agent", "image": "a", "stdin": False}]}
    assert first_difference(desired, live) is None


def test_a_list_without_a_merge_key_is_one_value() -> None:
    desired = {"tolerations": [{"key": "gpu"}]}
    assert first_difference(desired, {"tolerations": [{"key": "gpu"}, {"key": "disk"}]}) == "tolerations"


def test_the_difference_is_named_by_its_path() -> None:
    desired = {"spec": {"template": {"spec": {"containers": [{"name": "agent", "image": "a"}]}}}}
    live = {"spec": {"template": {"spec": {"containers": [{"name": "agent", "image": "b"}]}}}}
    assert first_difference(desired, live) == "spec.template.spec.containers[agent].image"


def test_a_missing_entry_is_a_difference() -> None:
    assert first_difference({"volumes": [{"name": "tmp"}]}, {"volumes": []}) == "volumes[tmp].name"


@pytest.mark.parametrize("name", ["matchLabels", "nodeSelector", "selector"])
def test_one_more_key_in_a_selector_is_a_difference(name: str) -> None:
    assert first_difference({name: {"app": "a"}}, {name: {"app": "a", "x": "y"}}) == f"{name}.x"
    assert first_difference({name: {}}, {name: {"x": "y"}}) == f"{name}.x"
    assert first_difference({name: {}}, {}) is None


def test_an_empty_list_is_a_difference_to_one_that_somebody_filled() -> None:
    assert first_difference({"command": []}, {"command": ["sleep"]}) == "command"


def test_a_pause_is_a_difference_and_its_absence_is_none() -> None:
    assert first_difference({"paused": False}, {"paused": True}) == "paused"
    assert first_difference({"paused": False}, {}) is None
