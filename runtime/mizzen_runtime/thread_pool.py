"""The threads in which synchronous code of an agent runs: its tools, and a `_process_core_request` without `async`.

A bounded pool of its own. pydantic-ai would start a thread for each call, and the event loop's own pool resolves the
addresses of models and services, which must not wait behind slow tools.
"""

from concurrent.futures import ThreadPoolExecutor

THREADS = 32
"""How many calls of synchronous code run at once, unless said otherwise; more wait."""


def thread_pool(threads: int) -> ThreadPoolExecutor:
    """Give a pool. It starts threads as they are needed, and keeps those that it has."""
    return ThreadPoolExecutor(threads, thread_name_prefix="own-code")
