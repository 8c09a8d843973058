"""The tasks that take keys from the queue and reconcile them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, Counter

from mizzen_operator.cluster.errors import ClusterError, UnavailableError
from mizzen_operator.errors import TryAgainError, UserMustActError, WaitForError
from mizzen_operator.keys import Key
from mizzen_operator.workqueue import WorkQueue

WORKERS = 8
"""Enough to keep two cores busy while each waits for the API server."""
RECONCILE_SECONDS = 120.0
"""Bound on one reconcile: a dozen calls, each bounded by itself."""

_log = logging.getLogger(__name__)


class Workers:
    """Reconcile keys from a queue until stopped."""

    def __init__(
        self,
        queue: WorkQueue[Key],
        reconcile: Callable[[Key, int], Awaitable[float | None]],
        registry: CollectorRegistry,
    ) -> None:
        """Prepare the tasks; `start` starts them.

        Args:
            queue: Where the keys come from.
            reconcile: What is done with a key, given how often that has failed in a row. It gives the seconds after
                which to look again even if no event comes, or None.
            registry: Takes the metrics.
        """
        self._queue = queue
        self._reconcile = reconcile
        self._tasks: list[asyncio.Task[None]] = []
        self._waits: dict[Key, str] = {}
        """What each agent that waits was said to wait for: the same is not said at each look."""
        self._outcomes = Counter(
            "mizzen_operator_reconciles_total", "Reconciles by how they ended", ["outcome"], registry=registry
        )

    def start(self) -> None:
        """Start the tasks."""
        self._tasks = [asyncio.create_task(self._work(), name=f"worker {index}") for index in range(WORKERS)]

    async def stop(self, seconds: float) -> bool:
        """Take no more keys, let running reconciles end within so many seconds, then cancel them.

        Returns:
            Whether all have ended by themselves: a write of one that was cancelled may still be under way.
        """
        self._queue.close()
        if not self._tasks:
            return True
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return not any(task.cancelled() for task in self._tasks)

    def are_alive(self) -> bool:
        """Tell whether every task that was started runs and none is stuck in one reconcile."""
        stuck = max(self._queue.working_seconds(), default=0) > 2 * RECONCILE_SECONDS
        return not stuck and not any(task.done() for task in self._tasks)

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            try:
                outcome = await self.attempt(key)
            finally:
                self._queue.done(key)
            self._outcomes.labels(outcome).inc()

    async def attempt(self, key: Key) -> str:
        """Reconcile one key, and decide by the kind of its failure when it is looked at again."""
        try:
            async with asyncio.timeout(RECONCILE_SECONDS):
                look_again_in = await self._reconcile(key, self._queue.failures(key))
        except UserMustActError as error:
            self._queue.forget(key)
            _log.info("%s: %s", key, error)
            return "user_must_act"
        except WaitForError as error:
            self._queue.forget(key)
            self._queue.add_after(key, error.seconds)
            level = logging.DEBUG if self._waits.get(key) == str(error) else logging.INFO
            self._waits[key] = str(error)
            _log.log(level, "%s: %s; looking again in %g s", key, error, error.seconds)
            return "wait"
        except (ClusterError, TryAgainError, TimeoutError) as error:
            asked = error.retry_after if isinstance(error, UnavailableError | TryAgainError) else None
            delay = self._queue.retry(key, at_least=asked or 0.0)
            _log.warning("%s: %s; trying again in %.2f s", key, str(error) or type(error).__name__, delay)
            return "error"
        except Exception:  # noqa: BLE001 - a bug that shows with one agent must not end the work on the others
            delay = self._queue.retry(key)
            _log.exception("%s: unexpected; trying again in %.2f s", key, delay)
            return "error"
        self._queue.forget(key)
        self._waits.pop(key, None)
        if look_again_in is not None:
            self._queue.add_after(key, look_again_in)
        return "success"
