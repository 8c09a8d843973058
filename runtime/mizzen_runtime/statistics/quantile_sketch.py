"""Percentiles within 1 % in 4 KB, whatever the number of values.

Each bin is 2 % wider than the one below, and an answer is the middle of a bin: that is DDSketch (Masson, Rim, Lee, VLDB
2019) with a fixed range. Why it, and not

- HDR: the same promise by bins that are linear within a power of two. For 1 % that is twice as many of them; its range
  must be fixed as well; its values are integers.
- t-digest: as small, and it promises something else. Its error is one of rank: between two modes of a distribution, and
  in a heavy tail, the value may be off by any factor (a p95 by a third, in the benchmark's bimodal case).
- a sorted list or a ring of values: exact, and a query costs what the number of requests makes it cost.

Why of our own: a window is a row of sketches that are added up when somebody asks. With arrays of one length that is
a few additions; the libraries of PyPI (`ddsketch`, `hdrhistogram`) add bin by bin in Python, and cost more for each
value too. `bench/percentiles.py` measures it.
"""

import math
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import Self

SMALLEST = 1e-4
"""Seconds. What is less counts as this."""
LARGEST = 86_400.0
"""Seconds. What is more counts as this: no request may take longer than a day."""
_GROWTH = 1.02
"""How much wider each bin is than the one below."""
RELATIVE_ERROR = (_GROWTH - 1) / (_GROWTH + 1)
"""Bound of an answer's error, as a part of the true value: 0.0099."""
_BINS_PER_E = 1 / math.log(_GROWTH)
_FIRST = math.log(SMALLEST) * _BINS_PER_E
BINS = math.ceil(math.log(LARGEST) * _BINS_PER_E - _FIRST)
_NO_VALUES = bytes(array("I").itemsize * BINS)


class QuantileSketch:
    """Counts durations by bins."""

    __slots__ = ("_bins",)

    def __init__(self) -> None:
        self._bins = array("I", _NO_VALUES)

    @classmethod
    def sum_of(cls, sketches: Iterable[Self]) -> Self:
        """Give one sketch of all values of several."""
        # Each array is read as one long number, whose digits are the bins: one addition adds a thousand. None of them
        # overflows into the next below four thousand million values.
        total = sum(int.from_bytes(sketch._bins.tobytes(), sys.byteorder) for sketch in sketches)  # noqa: SLF001
        added = cls()
        added._bins = array("I", total.to_bytes(len(_NO_VALUES), sys.byteorder))
        return added

    def add(self, seconds: float) -> None:
        """Count a duration."""
        place = int(math.log(seconds) * _BINS_PER_E - _FIRST) if seconds > SMALLEST else 0
        self._bins[place if place < BINS else BINS - 1] += 1

    def percentiles(self, *percents: int) -> tuple[float, ...]:
        """Give, for each percentage, the least value that so many percent of all values do not exceed.

        Returns:
            Seconds, off by `RELATIVE_ERROR` at most between `SMALLEST` and `LARGEST`; 0.0 for each if there are no
            values.
        """
        up_to = list(accumulate(self._bins))
        count = up_to[-1]
        if count == 0:
            return (0.0,) * len(percents)
        return tuple(_middle(bisect_left(up_to, max(1, -(-count * percent // 100)))) for percent in percents)


def _middle(place: int) -> float:
    """Give the value whose distance from both ends of a bin is the same part of them."""
    return float(SMALLEST * _GROWTH**place * (1 + RELATIVE_ERROR))
