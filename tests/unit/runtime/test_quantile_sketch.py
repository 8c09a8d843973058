"""Percentiles beside the exact ones, whatever the durations look like."""

import random
from array import array
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen_runtime.statistics.quantile_sketch import LARGEST, RELATIVE_ERROR, SMALLEST, QuantileSketch
from tests.conftest import FULL_SIZE

PERCENTS = (1, 10, 50, 90, 95, 99, 100)
SAMPLES = 1_000_000 if FULL_SIZE else 20_000

DISTRIBUTIONS: dict[str, Callable[[random.Random], float]] = {
    "uniform": lambda dice: dice.uniform(0.001, 2.0),
    "exponential": lambda dice: 0.001 + dice.expovariate(2.0),
    "lognormal": lambda dice: dice.lognormvariate(-1.0, 1.5),
    "bimodal": lambda dice: dice.gauss(0.02, 0.001) if dice.random() < 0.953 else dice.gauss(20.0, 1.0),
    "constant": lambda dice: dice.choice((0.25,)),
    "pareto": lambda dice: 0.01 * dice.paretovariate(1.1),
}

durations = st.floats(min_value=SMALLEST, max_value=LARGEST * 0.999)


def exact(values: list[float], percent: int) -> float:
    """Give the least value that so many percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(1, -(-len(ordered) * percent // 100)) - 1]


def sketch_of(values: list[float]) -> QuantileSketch:
    sketch = QuantileSketch()
    for value in values:
        sketch.add(value)
    return sketch


def assert_close(values: list[float], sketch: QuantileSketch) -> None:
    for percent, found in zip(PERCENTS, sketch.percentiles(*PERCENTS), strict=True):
        wanted = exact(values, percent)
        assert abs(found - wanted) <= 0.01 * wanted, (percent, wanted, found)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_percentiles_are_within_one_percent_of_the_exact_ones(name: str) -> None:
    dice = random.Random(name)  # noqa: S311 - nothing is kept secret by it
    values = [min(max(DISTRIBUTIONS[name](dice), SMALLEST), LARGEST * 0.999) for _ in range(SAMPLES)]

    assert_close(values, sketch_of(values))


@given(st.lists(durations, min_size=1, max_size=200))
def test_no_durations_make_them_less_exact(values: list[float]) -> None:
    assert_close(values, sketch_of(values))


@given(st.lists(st.lists(durations, max_size=50), max_size=31))
def test_a_sum_of_sketches_is_the_sketch_of_all(parts: list[list[float]]) -> None:
    whole = sketch_of([value for part in parts for value in part])

    assert QuantileSketch.sum_of(map(sketch_of, parts)).percentiles(*PERCENTS) == whole.percentiles(*PERCENTS)


def test_a_sum_holds_thousands_of_millions_of_one_duration() -> None:
    many = QuantileSketch()
    many.add(1.0)
    (place,) = [place for place, count in enumerate(many._bins) if count]
    many._bins[place] = 2**32 // 31

    total = QuantileSketch.sum_of([many] * 31)

    assert [(at, count) for at, count in enumerate(total._bins) if count] == [(place, 2**32 // 31 * 31)]


def test_without_a_duration_every_percentile_is_zero() -> None:
    assert QuantileSketch().percentiles(50, 99) == (0.0, 0.0)
    assert QuantileSketch.sum_of([]).percentiles(99) == (0.0,)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-9, SMALLEST])
def test_what_is_too_short_counts_as_the_shortest(seconds: float) -> None:
    (found,) = sketch_of([seconds]).percentiles(50)

    assert abs(found - SMALLEST) <= 0.01 * SMALLEST


@pytest.mark.parametrize("seconds", [LARGEST, 1e9])
def test_what_is_too_long_counts_as_the_longest(seconds: float) -> None:
    (found,) = sketch_of([seconds]).percentiles(50)

    assert abs(found - LARGEST) <= 0.03 * LARGEST


def test_the_promise_is_one_percent_in_four_kilobytes() -> None:
    assert RELATIVE_ERROR < 0.01
    assert memoryview(array("I", QuantileSketch()._bins)).nbytes == 4160
