import asyncio
import concurrent.futures
import gc
from typing import Any, NoReturn

import pytest

from mizzen_runtime.leaving import in_abandonable_thread

pytestmark = pytest.mark.anyio


async def test_a_thread_gives_what_it_made_or_raised() -> None:
    assert await in_abandonable_thread(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        await in_abandonable_thread(lambda: 1 // 0)


async def test_a_thread_whose_work_was_cancelled_says_nothing_to_nobody() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))

    def cancelled() -> NoReturn:
        raise concurrent.futures.CancelledError

    outcome = in_abandonable_thread(cancelled)
    await asyncio.wait({outcome})
    assert outcome.cancelled()

    del outcome
    gc.collect()
    assert told == []
