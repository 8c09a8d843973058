"""kopf as a source of events, and nothing else: no finalizers, no annotations, no patches, no state.

Handlers translate, they do not decide. kopf watches and reconnects; what it may lose (a delete during a re-list, for
one) the resync finds again.
"""

import asyncio
import warnings
from collections.abc import Callable, Collection
from typing import Any

import kopf

from mizzen_operator.cluster.connection import Connection, WatchSession
from mizzen_operator.cluster.gateway import PAGE_SIZE
from mizzen_operator.intake import Intake
from mizzen_operator.kinds import WATCHED, Kind
from mizzen_operator.offspring import offspring

_ERROR_BACKOFFS = (1, 2, 3, 5, 8, 13, 21, 30, 30, 30, 30, 30)
"""About three and a half minutes: an API server that comes back within that is never noticed outside."""
_STOP_SECONDS = 1.0
SERVER_SECONDS = 300
"""How long the API server lets a watch be open."""


class EventSource:
    """Watches what the operator needs to know, in some namespaces or in all of them."""

    def __init__(
        self, connection: Connection, namespaces: Collection[str], intake: Intake, on_request: Callable[[str], None]
    ) -> None:
        """Prepare the watches; `run` starts them.

        Args:
            connection: The API server.
            namespaces: Where to watch; everywhere if it is empty.
            intake: Told of every event.
            on_request: Told the path of every request of a watch.
        """
        self._connection = connection
        self._namespaces = namespaces
        self._intake = intake
        self._on_request = on_request
        self._sessions: list[WatchSession] = []

    async def run(self, on_started: Callable[[], None]) -> None:
        """Watch until cancelled, or until kopf gives up: a right or the CRD is gone, or the API server is for minutes.

        The tasks are looked after here and not by `kopf.run_tasks`: when a watch has failed, that one waits for other
        watches to end that wait for credentials which nobody gives any more; and it cancels every task of the process.

        Args:
            on_started: Called when kopf has taken the process's signals for itself: take them back here.

        Raises:
            Exception: Why kopf gave up.
        """
        with offspring() as started:
            try:
                tasks = await kopf.spawn_tasks(
                    registry=self._registry(),
                    settings=self._settings(),
                    clusterwide=not self._namespaces,
                    namespaces=self._namespaces,
                )
                on_started()
                ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.gather(*ended)
            finally:
                # kopf's streams stumble over being closed between two requests; that is nobody's concern any more.
                asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
                # Nor that it drops what it was about to start for an object whose event came last.
                warnings.filterwarnings("ignore", "coroutine 'worker' was never awaited", RuntimeWarning)
                await _cancel(set(started))  # kopf's tasks, and what they started and would leave behind
                for session in self._sessions:
                    await session.drop()

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        for kind in WATCHED:
            kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=kind.plural)(
                _handler(kind, self._intake)
            )
        return registry

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        """Give kopf a session of its own; it asks for another one when the API server no longer knows us."""
        watches = len(WATCHED) * max(1, len(self._namespaces))
        watch = self._connection.watch_session(limit=watches + 5, on_request=self._on_request)
        self._sessions = [*(session for session in self._sessions if not session.is_closed()), watch]
        return kopf.AiohttpSession(server=self._connection.server, aiohttp_session=watch.session)

    def _settings(self) -> kopf.OperatorSettings:
        settings = kopf.OperatorSettings()
        settings.peering.standalone = True
        settings.posting.enabled = False
        settings.scanning.disabled = True
        settings.watching.chunk_size = PAGE_SIZE
        settings.watching.server_timeout = SERVER_SECONDS
        settings.watching.connect_timeout = 10
        settings.watching.reconnect_backoff = 1
        settings.networking.request_timeout = 30
        settings.networking.error_backoffs = _ERROR_BACKOFFS
        settings.persistence.diffbase_storage = _NoEssence()
        settings.persistence.progress_storage = _NoProgress()
        settings.queueing.idle_timeout = 0.2
        settings.queueing.exit_timeout = 0.5
        for kind in WATCHED:
            if kind.selector is not None:
                settings.watching.label_selectors[_names(kind)] = kind.selector
        return settings


class _NoEssence(kopf.DiffBaseStorage):
    """Has kopf compare nothing: for each event it would copy the object twice, two fifths of what an event takes."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Give nothing to compare."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        """Nothing was compared before."""

    def store(self, **_: Any) -> None:
        """Write nothing."""


class _NoProgress(kopf.ProgressStorage):
    """Has kopf remember nothing of its handlers: those of events are called once."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """Give it as it is, without a copy."""
        return essence

    def fetch(self, **_: Any) -> None:
        """Nothing was remembered."""

    def store(self, **_: Any) -> None:
        """Write nothing."""

    def purge(self, **_: Any) -> None:
        """Nothing is there."""

    def touch(self, **_: Any) -> None:
        """Write nothing."""


async def _cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks and give them a moment: after a failure, some of kopf's never end."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_STOP_SECONDS)


def _names(kind: Kind) -> Callable[[kopf.Resource], bool]:
    return lambda resource: (
        (resource.group, resource.version, resource.plural) == (kind.group, kind.version, kind.plural)
    )


def _handler(kind: Kind, intake: Intake) -> Callable[..., Any]:
    async def on_event(event: kopf.RawEvent, **_: Any) -> None:
        if event["type"] == "DELETED":
            intake.gone(event["object"])
        else:
            intake.seen(kind, event["object"])

    return on_event
