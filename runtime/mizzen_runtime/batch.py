"""Answers many requests side by side, in their order, and holds only a few of them at a time.

What comes in is read no faster than answers are taken: whoever sends faster than the agent answers is held back.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import Generic, TypeVar

Given = TypeVar("Given")
Answered = TypeVar("Answered")

HELD_PER_RUNNING = 2
"""How many items are held for each that runs: answers that came early wait for those before them."""


async def in_order(
    items: AsyncIterable[Given], answer: Callable[[int, Given], Awaitable[Answered]], *, at_once: int
) -> AsyncGenerator[Answered, None]:
    """Answer items, and give the answers in the items' order.

    Args:
        items: What is to be answered; taken as there is room. If it raises, that comes behind the answers before it.
        answer: Answers one, given its place. It must not raise.
        at_once: How many are answered at a time; `HELD_PER_RUNNING` times as many are held.
    """
    window = _Window(items, answer, at_once)
    reading = asyncio.create_task(window.fill())
    try:
        while (task := await window.first()) is not None:
            # Not `await task`: to be cancelled here would cancel this one first, and another would begin in its turn.
            await asyncio.wait({task})
            yield task.result()
            window.forget_first()
        await reading  # raises what the items raised
    finally:
        await window.end(reading)


class _Window(Generic[Given, Answered]):
    """The items that are held, in their order."""

    def __init__(
        self, items: AsyncIterable[Given], answer: Callable[[int, Given], Awaitable[Answered]], at_once: int
    ) -> None:
        self._items = items
        self._answer = answer
        self._turns = asyncio.Semaphore(at_once)
        self._places = asyncio.Semaphore(at_once * HELD_PER_RUNNING)
        self._held: deque[asyncio.Task[Answered]] = deque()
        self._is_read = False
        self._changed = asyncio.Event()

    async def fill(self) -> None:
        """Take items while there is room, and begin to answer them."""
        try:
            await self._places.acquire()
            index = 0
            async for item in self._items:
                self._held.append(asyncio.create_task(self._in_turn(index, item)))
                self._changed.set()
                index += 1
                await self._places.acquire()
        finally:
            self._is_read = True
            self._changed.set()

    async def _in_turn(self, index: int, item: Given) -> Answered:
        async with self._turns:
            return await self._answer(index, item)

    async def first(self) -> "asyncio.Task[Answered] | None":
        """Wait for the item whose answer is next; None when there are no more."""
        while not self._held:
            if self._is_read:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._held[0]

    def forget_first(self) -> None:
        """Make room: the first answer was taken."""
        self._held.popleft()
        self._places.release()

    async def end(self, reading: "asyncio.Task[None]") -> None:
        """Cancel what still runs, and wait until it has ended."""
        left = [reading, *self._held]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def each_of(items: Iterable[Given] | AsyncIterable[Given]) -> AsyncIterator[Given]:
    """Give items one by one, whether or not they have to be waited for."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
