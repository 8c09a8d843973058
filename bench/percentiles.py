"""What percentiles cost and how true they are: the sketch behind `AgentMetrics` beside a list, a ring and libraries.

Each keeps the same durations and is asked for p50, p95 and p99. `window` is the sketch as it is used: 31 slices, added
up when it is asked. The list keeps every value and the ring the last 10,000; both sort when they are asked. `ddsketch`,
`hdrhistogram` and `fastdigest` (a t-digest in Rust) take part where they are installed; the project does not depend on
them. Times are processor time, the least of several turns. An error is the largest of the three percentiles' at the
end, as a part of the exact value.
"""

import argparse
import importlib
import random
import time
import tracemalloc
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Protocol

from mizzen_runtime.errors import Outcome
from mizzen_runtime.statistics.quantile_sketch import QuantileSketch
from mizzen_runtime.statistics.sliding_window import WINDOW_SECONDS, SlidingWindow
from mizzen_runtime.statistics.verdict import VERDICTS

PERCENTS = (50, 95, 99)
RING = 10_000
SHAPES: dict[str, Callable[[random.Random], float]] = {
    "uniform": lambda dice: dice.uniform(0.001, 2.0),
    "exponential": lambda dice: 0.001 + dice.expovariate(2.0),
    "lognormal": lambda dice: dice.lognormvariate(-1.0, 1.5),
    "bimodal": lambda dice: dice.gauss(0.02, 0.001) if dice.random() < 0.951 else dice.gauss(20.0, 1.0),
    "constant": lambda dice: dice.choice((0.25,)),
    "pareto": lambda dice: 0.01 * dice.paretovariate(1.1),
}


class Keeper(Protocol):
    """Keeps durations."""

    def add(self, seconds: float) -> None: ...

    def ask(self) -> Sequence[float]: ...


class Sketch:
    def __init__(self) -> None:
        self._sketch = QuantileSketch()
        self.add = self._sketch.add
        self.ask = partial(self._sketch.percentiles, *PERCENTS)


class Window:
    """Its time goes on with each value, so that all slices are in use."""

    def __init__(self, values: int) -> None:
        self._window = SlidingWindow()
        self._step = WINDOW_SECONDS / values
        self._now = 0.0
        self._verdict = VERDICTS[Outcome.OK]

    def add(self, seconds: float) -> None:
        self._now += self._step
        self._window.add(self._now, self._verdict, seconds)

    def ask(self) -> Sequence[float]:
        figures = self._window.over(self._now, WINDOW_SECONDS)
        return figures.p50_seconds, figures.p95_seconds, figures.p99_seconds


class SortedWhenAsked:
    def __init__(self) -> None:
        self._values: list[float] = []
        self.add = self._values.append

    def ask(self) -> Sequence[float]:
        return exact(self._values)


class Ring:
    def __init__(self) -> None:
        self._values = array("d", bytes(8 * RING))
        self._count = 0

    def add(self, seconds: float) -> None:
        self._values[self._count % RING] = seconds
        self._count += 1

    def ask(self) -> Sequence[float]:
        return exact(self._values[: self._count])


class OfDdsketch:
    def __init__(self) -> None:
        self._sketch = importlib.import_module("ddsketch").DDSketch(0.01)
        self.add = self._sketch.add

    def ask(self) -> Sequence[float]:
        return [self._sketch.get_quantile_value(percent / 100) for percent in PERCENTS]


class OfHdr:
    """In microseconds, with two significant digits."""

    def __init__(self) -> None:
        self._histogram = importlib.import_module("hdrh.histogram").HdrHistogram(1, 86_400_000_000, 2)

    def add(self, seconds: float) -> None:
        self._histogram.record_value(int(seconds * 1e6))

    def ask(self) -> Sequence[float]:
        return [self._histogram.get_value_at_percentile(percent) / 1e6 for percent in PERCENTS]


class OfFastdigest:
    def __init__(self) -> None:
        self._digest = importlib.import_module("fastdigest").TDigest()
        self.add = self._digest.update

    def ask(self) -> Sequence[float]:
        return [self._digest.quantile(percent / 100) for percent in PERCENTS]


LIBRARIES: dict[str, Callable[[], Keeper]] = {"ddsketch": OfDdsketch, "hdrh": OfHdr, "fastdigest": OfFastdigest}


def keepers(values: int) -> dict[str, Callable[[], Keeper]]:
    ours: dict[str, Callable[[], Keeper]] = {"sketch": Sketch, "window": partial(Window, values)}
    installed = {name: make for name, make in LIBRARIES.items() if find_spec(name)}
    return {**ours, "list": SortedWhenAsked, "ring": Ring, **installed}


def exact(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered[max(1, -(-len(ordered) * percent // 100)) - 1] for percent in PERCENTS]


def time_to_add(make: Callable[[], Keeper], values: Sequence[float]) -> float:
    """Give microseconds a value, with those of the loop around it."""
    add = make().add
    begun = time.process_time()
    for value in values:
        add(value)
    return 1e6 * (time.process_time() - begun) / len(values)


def filled(make: Callable[[], Keeper], values: Sequence[float]) -> Keeper:
    keeper = make()
    for value in values:
        keeper.add(value + 0.0)  # a number of its own: the list would be charged for no more than a reference
    return keeper


def time_to_ask(keeper: Keeper) -> float:
    """Give microseconds for the three percentiles."""
    begun = time.process_time()
    keeper.ask()
    return 1e6 * (time.process_time() - begun)


def memory(make: Callable[[], Keeper], values: Sequence[float]) -> float:
    """Give KB that Python allocated; what a library allocates beside is not seen."""
    filled(make, values[:10])  # imports
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    keeper = filled(make, values)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del keeper
    return (after - before) / 1000


def error(keeper: Keeper, values: Sequence[float]) -> float:
    return max(abs(found - true) / true for found, true in zip(keeper.ask(), exact(values), strict=True))


def measure(turns: int, count: int) -> None:
    dice = random.Random(6)  # noqa: S311 - nothing is kept secret by it
    shaped = {name: [max(shape(dice), 1e-4) for _ in range(count)] for name, shape in SHAPES.items()}
    values = shaped["lognormal"]
    kinds = keepers(count)
    print(f"| {count} durations | {' | '.join(kinds)} |")
    print("|---" * (len(kinds) + 1) + "|")
    adding: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(turns):
        for name, make in kinds.items():
            adding[name].append(time_to_add(make, values))
    print(f"| to add one | {' | '.join(f'{min(each):.2f} µs' for each in adding.values())} |", flush=True)
    full = {name: filled(make, values) for name, make in kinds.items()}
    asking = [min(time_to_ask(keeper) for _ in range(turns)) for keeper in full.values()]
    print(f"| to ask for three percentiles | {' | '.join(f'{each:.0f} µs' for each in asking)} |", flush=True)
    held = [memory(make, values) for make in kinds.values()]
    print(f"| memory | {' | '.join(f'{each:.0f} KB' for each in held)} |", flush=True)
    for name, shape in shaped.items():
        found = [error(filled(make, shape), shape) for make in kinds.values()]
        print(f"| error, {name} | {' | '.join(f'{100 * each:.2f} %' for each in found)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.percentiles", description=__doc__)
    parser.add_argument("--turns", type=int, default=9, help="how many of each (default: %(default)s)")
    parser.add_argument("--values", type=int, default=100_000, help="durations that are kept (default: %(default)s)")
    options = parser.parse_args()
    measure(options.turns, options.values)


if __name__ == "__main__":
    main()
