"""The combinations that tests choose are those that they speak of."""

import itertools

import pytest

from tests.support.combinations import pairwise


@pytest.mark.parametrize("sizes", [(2, 2), (3, 2, 2), (2,) * 12, (3, 2, 4, 2, 2, 3)])
def test_any_two_choices_meet_and_there_are_few_combinations(sizes: tuple[int, ...]) -> None:
    combinations = pairwise(sizes)
    for one, other in itertools.combinations(range(len(sizes)), 2):
        met = {(combination[one], combination[other]) for combination in combinations}
        assert met == set(itertools.product(range(sizes[one]), range(sizes[other])))
    most = sorted(sizes)[-2:]
    assert len(combinations) <= 3 * most[0] * most[1]
