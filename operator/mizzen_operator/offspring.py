"""Which tasks were started by others: asyncio itself keeps no record of it."""

import asyncio
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar
from weakref import WeakSet

Result = TypeVar("Result")
Tasks = WeakSet[asyncio.Task[Any]]

_offspring: ContextVar[Tasks | None] = ContextVar("offspring", default=None)


@contextmanager
def offspring() -> Iterator[Tasks]:
    """Give the tasks that are started within, those that these start, and so on: a task inherits its context."""
    asyncio.get_running_loop().set_task_factory(_new_task)
    tasks = Tasks()
    token = _offspring.set(tasks)
    try:
        yield tasks
    finally:
        _offspring.reset(token)


def _new_task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Result] | Generator[Any, None, Result], **options: Any
) -> asyncio.Task[Result]:
    task = asyncio.Task(work, loop=loop, **options)
    context = options.get("context")
    tasks = _offspring.get() if context is None else context.get(_offspring)
    if tasks is not None:
        tasks.add(task)
    return task
