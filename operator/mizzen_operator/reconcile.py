"""One agent from what is there to what is desired: gather -> build -> plan -> apply -> report.

One function for create, update, restart, resync and any event of a child. It never trusts the event, only what is
there, so that it does not matter how often it runs, nor where it was cut off the last time.
"""

import dataclasses
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from mizzen_api.agentdeployment import AgentDeployment, AgentDeploymentStatus
from mizzen_api.conditions import Reason
from mizzen_operator.cache import Cache
from mizzen_operator.cluster.errors import (
    ClusterError,
    ConflictError,
    NamespaceTerminatingError,
    NotFoundError,
)
from mizzen_operator.cluster.port import Cluster
from mizzen_operator.converge import Converger, try_again
from mizzen_operator.desired import (
    Desired,
    InvalidSpecError,
    Revision,
    build_desired,
    changes_by_itself,
    render_revision,
)
from mizzen_operator.errors import ReconcileError, TryAgainError, UserMustActError
from mizzen_operator.keys import Key
from mizzen_operator.records import AgentRecord, agent_record
from mizzen_operator.release_updates import ReleaseUpdates, Standing
from mizzen_operator.replicas import Replicas, replicas_of
from mizzen_operator.resource import StoredResource, parse_agent, stored_resource
from mizzen_operator.revision_choice import Revisions
from mizzen_operator.runtime_reports import RuntimeReports
from mizzen_operator.status.conditions import Situation, verdicts_of
from mizzen_operator.status.event_reader import EventReader
from mizzen_operator.status.events import EventRecorder, happenings
from mizzen_operator.status.report import compute_invalid_status, compute_status

TOLD_FAILURES = 4
"""A failure that may pass is told when it has not passed after so many: an etcd that elects a leader is no news."""

_log = logging.getLogger(__name__)


class Reconciler:
    """Reconciles one agent at a time; several tasks may use it for different agents."""

    def __init__(
        self,
        cluster: Cluster,
        cache: Cache,
        events: EventRecorder,
        *,
        runtime_image: str,
        updates: ReleaseUpdates,
        reports: RuntimeReports,
        now: Callable[[], datetime],
        again: Callable[[Key], None],
    ) -> None:
        """Bind what a reconcile needs.

        Args:
            cluster: Where objects are written.
            cache: What is known; answers to writes are put into it.
            events: Where changes are told.
            runtime_image: What runs if a resource names no image.
            updates: Who may take up what this release of the operator renders.
            reports: What pods say of themselves.
            now: The time of day, with its zone.
            again: Told of an agent that has changed while it was reconciled: the watch's news of it comes too late to
                be news.
        """
        self._cluster = cluster
        self._cache = cache
        self._events = events
        self._runtime_image = runtime_image
        self._updates = updates
        self._revisions = Revisions(cluster, cache, updates)
        self._reports = reports
        self._now = now
        self._again = again
        self._converger = Converger(cluster, cache, events, again=again)
        self._event_reader = EventReader(cluster)

    async def reconcile(self, key: Key, failures: int) -> float | None:
        """Bring one agent to its desired state, as far as that is possible now, and say how far it is.

        Args:
            key: Which.
            failures: How often that has failed in a row. What may pass is told in the status from `TOLD_FAILURES` on.

        Returns:
            Seconds after which time alone may change what is to be said; None if only events can.

        Raises:
            ReconcileError: Something is in the way. The status says so already.
            ClusterError: A call failed; trying again may help.
        """
        with self._cache.reading():
            return await self._reconcile(key, failures)

    async def _reconcile(self, key: Key, failures: int) -> float | None:
        observed = self._cache.observe(key)
        record = observed.agent
        if record is None or record.deleting:
            self._converger.forget(key)
            self._updates.forget(key)
            self._event_reader.forget(key)
            self._reports.forget(key)
            return None  # the garbage collector takes the children along
        stored = stored_resource(record)
        agent: AgentDeployment | None = None
        fresh: Revision | None = None
        desired: Desired | None = None
        failure: ReconcileError | None = None
        try:
            agent = parse_agent(record)
            replicas = replicas_of(record, stored, observed)
            if replicas.to_write:
                await self._scale(record, replicas)
                return None  # the resource has changed, and is looked at anew
            fresh = render_revision(agent, self._runtime_image)
            desired = build_desired(agent, await self._revisions.choose(record, stored, fresh, agent), replicas.count)
            await self._converger.converge(record, desired, stored)
        except InvalidSpecError as error:
            failure = _invalid_spec(error)
        except NamespaceTerminatingError as error:
            _log.debug("%s: %s", key, error)
            return None  # the resource goes with its namespace, and nobody would read what is said about it
        except ReconcileError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - whatever goes on failing is told in the status
            failure = _unforeseen(key, error)
        if isinstance(failure, TryAgainError) and failures + 1 < TOLD_FAILURES:
            raise failure
        situation = self._situation(record, stored, agent, desired, failure)
        if fresh is not None and desired is not None:
            standing = self._revisions.standing(record, stored, fresh, desired.revision, situation.is_rolled_out())
        else:
            standing = Standing.CURRENT
        self._updates.saw(key, standing)
        look_again_in = await self._report(record, stored, agent, situation)
        if failure is not None:
            raise failure
        return look_again_in

    async def _scale(self, record: AgentRecord, replicas: Replicas) -> None:
        """Write how many pods there are to be into the resource, and have that looked at anew."""
        try:
            await self._cluster.scale(record.key.namespace, record.name, record.version, replicas.count)
        except (ConflictError, NotFoundError):
            _log.debug("%s: has changed meanwhile", record.key)
        else:
            _log.info("%s: spec.replicas is %d now", record.key, replicas.count)
            if replicas.happening is not None:
                await self._events.tell(record, replicas.happening)
        await self._converger.is_there(record)

    def _situation(
        self,
        record: AgentRecord,
        stored: StoredResource,
        agent: AgentDeployment | None,
        desired: Desired | None,
        failure: ReconcileError | None,
    ) -> Situation:
        """Collect what the conditions are computed from."""
        observed = self._cache.observe(record.key)
        often = changes_by_itself(agent) if agent is not None else None
        return Situation(
            generation=stored.generation,
            replicas=desired.replicas if desired else stored.replicas or 0,
            revision=desired.revision.name if desired else None,
            runtime_image=desired.revision.image if desired else stored.status.runtime_image,
            stable_revision=stored.status.stable_revision,
            failure=failure,
            rollout=observed.own_rollout(record),
            pods=observed.pods,
            events={},
            heard=self._reports.look_after(record.key, observed.pods, often=often),
            before=verdicts_of(stored.status.conditions),
            now=self._now().timestamp(),
        )

    async def _report(
        self, record: AgentRecord, stored: StoredResource, agent: AgentDeployment | None, situation: Situation
    ) -> float | None:
        """Write the status if it says anything new, and tell of the change.

        Returns:
            See `reconcile`.
        """
        reading = await self._event_reader.read(record.key, situation.pods_in_question(), situation.now)
        situation = dataclasses.replace(situation, events=reading.events)
        now = datetime.fromtimestamp(situation.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if agent is not None:
            status = compute_status(agent, situation, stored.status, now)
        else:
            status = compute_invalid_status(situation, stored.status, now)
        if status != stored.status:
            await self._write(record, status)
            for happening in happenings(stored.status, status):
                await self._events.tell(record, happening)
        times = (reading.again_in, situation.seconds_until_news())
        return min((seconds for seconds in times if seconds is not None), default=None)

    async def _write(self, record: AgentRecord, status: AgentDeploymentStatus) -> None:
        try:
            raw = await self._cluster.patch_status(
                record.key.namespace, record.name, record.uid, status.model_dump(mode="json")
            )
        except NotFoundError:
            self._cache.remove(record.uid, record.version)
            return
        except ConflictError:
            if await self._converger.is_there(record):
                raise
            return
        answer = agent_record(raw)
        self._cache.put(answer)
        if answer.deleting or stored_resource(answer).generation != stored_resource(record).generation:
            self._again(record.key)


def _invalid_spec(error: InvalidSpecError) -> UserMustActError:
    return UserMustActError(Reason.INVALID_SPEC, str(error))


def _unforeseen(key: Key, error: Exception) -> TryAgainError:
    if isinstance(error, ClusterError):
        return try_again("The API server could not be asked", error)
    _log.error("%s: unexpected", key, exc_info=error)
    message = f"The operator failed ({type(error).__name__}); its log tells more. It goes on trying."
    return TryAgainError(Reason.WRITE_FAILED, message, None)
