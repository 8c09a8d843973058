"""Few combinations instead of all of them."""

import itertools
from collections.abc import Iterable, Sequence

Choice = tuple[int, int]
"""A position and what is chosen there."""


def pairwise(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Give few combinations in which any two choices at different positions meet.

    Args:
        sizes: How many choices there are at each position.
    """
    positions = [[(position, choice) for choice in range(size)] for position, size in enumerate(sizes)]
    missing = {pair for two in itertools.combinations(positions, 2) for pair in itertools.product(*two)}
    combinations = []
    while missing:
        chosen = dict(min(missing))
        for choices in positions:
            position = choices[0][0]
            if position not in chosen:
                chosen[position] = max(choices, key=lambda choice: len(missing & _pairs([*chosen.items(), choice])))[1]
        missing -= _pairs(chosen.items())
        combinations.append(tuple(chosen[position] for position in range(len(sizes))))
    return combinations


def _pairs(choices: Iterable[Choice]) -> set[tuple[Choice, Choice]]:
    return set(itertools.combinations(sorted(choices), 2))
