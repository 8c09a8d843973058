"""The composition root: binds everything, starts it in order, stops it in reverse."""

import asyncio
import logging
import os
import random
import signal
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector

from mizzen_operator.backoff import Backoff
from mizzen_operator.cache import Cache
from mizzen_operator.clock import boot_seconds
from mizzen_operator.cluster.connection import Connection, NoClusterError, connect
from mizzen_operator.cluster.errors import (
    ClusterError,
    ForbiddenError,
    NotFoundError,
    UnauthorizedError,
    UnavailableError,
)
from mizzen_operator.cluster.gateway import KubernetesCluster
from mizzen_operator.endpoints import Endpoints
from mizzen_operator.handlers import EventSource
from mizzen_operator.health import Health, WatchMonitor
from mizzen_operator.intake import Intake
from mizzen_operator.keys import Key
from mizzen_operator.kinds import WATCHED, Kind
from mizzen_operator.leadership import Alone, Election, Leadership, LeadershipLostError
from mizzen_operator.lease import Timing
from mizzen_operator.logs import configure_logging
from mizzen_operator.queue_metrics import QueueGauges, QueueMetrics
from mizzen_operator.reconcile import Reconciler
from mizzen_operator.release_updates import ReleaseUpdates
from mizzen_operator.resync import Resync
from mizzen_operator.runtime_reports import READERS, RuntimeReports
from mizzen_operator.settings import Settings, parse_settings
from mizzen_operator.state_client import StateClient
from mizzen_operator.status.events import EventRecorder
from mizzen_operator.workers import Workers
from mizzen_operator.workqueue import WorkQueue

STOP_SECONDS = 3.0
"""What running reconciles get when the process is asked to end."""
FRESH_SECONDS = 5.0
"""For how long a list of everything is new enough to begin to work from."""
WAIT_SECONDS = 5.0
"""How often a missing CRD or an absent API server is looked for."""

_log = logging.getLogger(__name__)


class CannotWorkError(Exception):
    """The operator cannot do its work, and no waiting helps; the message says what to do."""


class WatchesEndedError(CannotWorkError):
    """kopf gave up."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the operator until SIGTERM or SIGINT. Returns the process's exit status."""
    settings = parse_settings(arguments)
    configure_logging(settings.log_level)
    try:
        asyncio.run(_run(settings))
    except (CannotWorkError, NoClusterError, OSError) as error:
        _log.error("%s", error)
        return 1
    except LeadershipLostError:
        return 1
    return 0


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    registry = CollectorRegistry()
    identity = f"{socket.gethostname()}_{uuid4()}"
    connection = await connect(settings.kubeconfig, identity)
    async with connection.api_client() as client:
        cluster = KubernetesCluster(client)
        election = _election(settings, cluster, identity, registry)
        async with connection.api_client(before_send=election.check if election else None) as workers_client:
            operator = Operator(
                settings,
                connection,
                cluster=cluster,
                workers_cluster=KubernetesCluster(workers_client),
                leadership=election or Alone(),
                registry=registry,
            )
            try:
                await operator.run(stop)
            except WatchesEndedError as error:
                # kopf's other watches now wait for credentials that nobody gives any more, and cannot be cancelled: an
                # orderly end would wait for them for ever.
                _log.error("%s", error)
                logging.shutdown()
                os._exit(1)


def _election(
    settings: Settings, store: KubernetesCluster, identity: str, registry: CollectorRegistry
) -> Election | None:
    if settings.lease is None:
        return None
    timing = Timing(settings.lease_seconds)
    return Election(
        store, settings.lease, identity, timing, clock=boot_seconds, now=_now, rng=_new_rng(), registry=registry
    )


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


class Operator:
    """All parts of the operator, bound to each other."""

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        *,
        cluster: KubernetesCluster,
        workers_cluster: KubernetesCluster,
        leadership: Leadership,
        registry: CollectorRegistry,
    ) -> None:
        """Bind the parts; nothing runs yet.

        Args:
            settings: The command line.
            connection: For the watches.
            cluster: For what is done whether this process leads or not.
            workers_cluster: For the workers; refuses whatever they send when this process does not lead.
            leadership: Decides when the workers start.
            registry: Takes the metrics.
        """
        self._settings = settings
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        cache = Cache()
        rng = _new_rng()
        self._queue = WorkQueue[Key](time.monotonic, Backoff(rng), QueueMetrics(registry))
        self._queue.suspend()
        registry.register(QueueGauges(self._queue))
        events = EventRecorder(workers_cluster, time.monotonic, _now, socket.gethostname())
        self._updates = ReleaseUpdates(settings.max_concurrent_runtime_updates, self._queue.add)
        _measure_updates(self._updates, registry)
        self._reports = RuntimeReports(self._queue.add, clock=time.monotonic, rng=rng, registry=registry)
        reconciler = Reconciler(
            workers_cluster,
            cache,
            events,
            runtime_image=settings.runtime_image,
            updates=self._updates,
            reports=self._reports,
            now=_now,
            again=self._queue.add,
        )
        watches = WatchMonitor(time.monotonic, WATCHED)
        self._cache = cache
        self._workers = Workers(self._queue, reconciler.reconcile, registry)
        self._resync = Resync(cluster, cache, self._queue, settings.namespaces, rng)
        self._filled = 0.0
        """When everything was listed."""
        self._connection = connection
        self._leadership = leadership
        self._intake = Intake(cache, self._queue)
        self._watches = watches
        self._watching: asyncio.Task[None] | None = None
        self._resyncing: asyncio.Task[None] | None = None
        self._leading: asyncio.Task[None] | None = None
        self._health = Health(self._workers, watches, lambda: _runs(self._watching), lambda: _runs(self._resyncing))
        self._endpoints = Endpoints(self._health, registry)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set.

        Raises:
            CannotWorkError: The operator cannot do its work.
            LeadershipLostError: Somebody else may work now.
        """
        port = await self._endpoints.start(self._settings.port)
        _log.info("serving /healthz, /readyz and /metrics on port %d", port)
        rejoining = None
        try:
            if not await self._fill(stop):
                return
            self._resyncing = asyncio.create_task(self._resync.run(), name="resync")
            rejoining = asyncio.create_task(self._rejoin(stop), name="rejoin")
            source = EventSource(self._connection, self._resync.namespaces(), self._intake, self._watches.requested)
            self._watching = asyncio.create_task(source.run(lambda: _stop_on_signals(stop)), name="watches")
            self._health.started()
            self._leading = asyncio.create_task(self._lead(stop), name="leadership")
            await self._until_stopped(stop)
        finally:
            await self._give_up_leadership()
            await _cancelled(self._watching)
            await _cancelled(self._resyncing)
            await _cancelled(rejoining)
            await self._endpoints.stop()
            _log.info("stopped")

    async def _lead(self, stop: asyncio.Event) -> None:
        """Wait for leadership, work, and stop at once when it is lost.

        Raises:
            CannotWorkError: There is no right to take part, or to work.
            LeadershipLostError: It was lost.
        """
        try:
            await self._leadership.acquire()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._leadership.keep(), name="leading")
                tasks.create_task(self._read_reports(), name="reading")
                tasks.create_task(self._begin(stop), name="beginning")
        except ClusterError as error:
            raise _cannot_work(error) from error
        except ExceptionGroup as failures:
            await self._workers.stop(0)
            raise failures.exceptions[0] from None

    async def _begin(self, stop: asyncio.Event) -> None:
        """Start the workers, from what is there now: a watch of one who waited long may have been dead unnoticed."""
        if boot_seconds() - self._filled > FRESH_SECONDS and not await self._fill(stop):
            return
        self._updates.expect(record.key for record in self._cache.records(Kind.AGENT, None))
        self._queue.resume()
        _log.info("working on %d AgentDeployments in %s", self._resync.queue_all(), self._where())
        self._workers.start()

    async def _read_reports(self) -> None:
        """Read what pods say of themselves: only who leads has use for it."""
        async with StateClient(READERS) as client:
            await self._reports.run(client)

    async def _give_up_leadership(self) -> None:
        """End the work, and then let somebody else begin; not at once if a write may still be under way."""
        all_ended = await self._workers.stop(STOP_SECONDS)
        await _cancelled(self._leading)
        if all_ended:
            await self._leadership.release()

    async def _fill(self, stop: asyncio.Event) -> bool:
        """List everything, once that is possible. Returns False if the operator is asked to stop before."""
        while not stop.is_set():
            try:
                agents = await self._resync.fill()
            except NotFoundError:
                _log.warning("the CRD agentdeployments.mizzen.dev is not installed; waiting for it (helm installs it)")
            except UnavailableError as error:
                _log.warning("the API server does not answer: %s; trying again", error)
            except (ForbiddenError, UnauthorizedError) as error:
                raise _cannot_work(error) from error
            else:
                self._filled = boot_seconds()
                _log.info("found %d AgentDeployments in %s", agents, self._where())
                return True
            await _wait(stop, WAIT_SECONDS)
        return False

    async def _rejoin(self, stop: asyncio.Event) -> None:
        """End the process when a namespace that was left out can be read: kubelet starts one that works there too."""
        namespace = await self._resync.readable_again()
        _log.info("namespace %s can be read now; ending, to be started anew and work there too", namespace)
        stop.set()

    async def _until_stopped(self, stop: asyncio.Event) -> None:
        """Wait for `stop`.

        Raises:
            WatchesEndedError: The watches ended by themselves.
            CannotWorkError, LeadershipLostError: As `_lead`.
        """
        if self._watching is None or self._leading is None:
            raise RuntimeError("the watches are not started")
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({stopped, self._watching, self._leading}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set() and not self._watching.done():
            await self._leading
            await asyncio.wait({stopped, self._watching}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return
        stopped.cancel()
        error = self._watching.exception() if not self._watching.cancelled() else None
        raise WatchesEndedError(
            f"the watches have ended: {str(error) or type(error).__name__}; is a right missing (the chart's role has "
            "all), the token no longer valid, or the CRD gone?"
        ) from error

    def _where(self) -> str:
        return ", ".join(self._resync.namespaces()) or "all namespaces"


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def _measure_updates(updates: ReleaseUpdates, registry: CollectorRegistry) -> None:
    gauge = Gauge(
        "mizzen_operator_runtime_updates",
        "Agents that do not run yet what this release renders for them, by whether they wait or are being moved",
        ["state"],
        registry=registry,
    )
    gauge.labels("waiting").set_function(lambda: updates.behind)
    gauge.labels("moving").set_function(lambda: updates.moving)


def _cannot_work(error: ClusterError) -> CannotWorkError:
    if isinstance(error, UnauthorizedError):
        return CannotWorkError(f"the API server does not know us: {error}; is the token valid?")
    return CannotWorkError(f"a right is missing: {error}; give it by a role (the chart's has all)")


def _new_rng() -> random.Random:
    return random.Random()  # noqa: S311 - spreads load, hides nothing


def _runs(task: asyncio.Task[None] | None) -> bool:
    return task is not None and not task.done()


async def _cancelled(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _now() -> datetime:
    return datetime.now(UTC)
