"""Many items side by side, in order, few of them held."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from mizzen_runtime.batch import HELD_PER_RUNNING, each_of, in_order

pytestmark = pytest.mark.anyio


class Source:
    """Items that are counted as they are taken."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[int]:
        for number in range(self.count):
            self.taken += 1
            yield number


async def doubled(index: int, number: int) -> int:
    assert index == number
    await asyncio.sleep(0)
    return 2 * number


async def test_every_answer_comes_in_its_place_however_long_each_takes() -> None:
    gates = [asyncio.Event() for _ in range(6)]

    async def answer(index: int, letter: str) -> str:
        if index + 1 < len(gates):
            await gates[index + 1].wait()  # so each ends after the one behind it
        gates[index].set()
        return letter

    assert [each async for each in in_order(each_of("abcdef"), answer, at_once=6)] == list("abcdef")


@pytest.mark.parametrize("at_once", [1, 3, 50])
async def test_no_more_than_asked_for_run_at_once(at_once: int) -> None:
    running = most = 0

    async def answer(index: int, number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    assert [each async for each in in_order(Source(200), answer, at_once=at_once)] == list(range(200))
    assert most == at_once


async def test_items_are_taken_no_faster_than_answers_are() -> None:
    source = Source(10_000)
    async with aclosing(in_order(source, doubled, at_once=4)) as answers:
        received = 0
        async for answer in answers:
            assert answer == 2 * received
            received += 1
            for _ in range(20):
                await asyncio.sleep(0)  # whatever could be taken by now is
            assert source.taken - received <= 4 * HELD_PER_RUNNING
            if received == 500:
                break
    assert source.taken <= 500 + 4 * HELD_PER_RUNNING


async def test_an_answer_is_given_before_the_next_item_comes() -> None:
    answered = asyncio.Event()

    async def items() -> AsyncIterator[int]:
        yield 0
        await answered.wait()
        yield 1

    received = []
    async with asyncio.timeout(20):
        async for answer in in_order(items(), doubled, at_once=4):
            received.append(answer)
            answered.set()
    assert received == [0, 2]


async def test_what_the_items_raise_comes_behind_the_answers_before_it() -> None:
    async def items() -> AsyncIterator[int]:
        yield 0
        yield 1
        raise ValueError("the rest is lost")

    answers = in_order(items(), doubled, at_once=1)
    assert [await anext(answers), await anext(answers)] == [0, 2]
    with pytest.raises(ValueError, match="the rest is lost"):
        await anext(answers)


async def test_whoever_stops_taking_answers_cancels_the_rest() -> None:
    cancelled = []

    async def answer(index: int, number: int) -> int:
        try:
            await (asyncio.sleep(0) if index == 0 else asyncio.Event().wait())
        except asyncio.CancelledError:
            cancelled.append(index)
            raise
        return number

    source = Source(100)
    async with aclosing(in_order(source, answer, at_once=3)) as answers:
        assert await anext(answers) == 0
        while source.taken < 3 * HELD_PER_RUNNING:  # noqa: ASYNC110 - it sets no event
            await asyncio.sleep(0)
    assert cancelled == [1, 2, 3]
