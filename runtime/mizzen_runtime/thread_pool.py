"""The threads in which synchronous code of an agent runs: its tools, and a `_process_core_request` without `async`.

A bounded pool of its own. pydantic-ai would start a thread for each call, and the event loop's own pool resolves the
addresses of models and services, which must not wait behind slow tools.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

THREADS = 32
"""How many calls of synchronous code run at once, unless said otherwise; more wait."""


def thread_pool(threads: int) -> ThreadPoolExecutor:
    """Give a pool. It starts threads as they are needed, and keeps those that it has."""
    return _OwnCodeThreads(threads, thread_name_prefix="own-code")


class _OwnCodeThreads(ThreadPoolExecutor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function. asyncio's futures take no `StopIteration`: who waits for one would wait without end."""
        return super().submit(partial(_without_stop_iteration, fn), *args, **kwargs)


def _without_stop_iteration(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except StopIteration as error:
        raise RuntimeError("StopIteration") from error
