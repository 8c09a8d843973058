"""Which revision an agent runs: what its spec renders to now, or what an earlier release rendered from that spec."""

from mizzen_operator.cache import Cache, Observed
from mizzen_operator.cluster.port import Cluster
from mizzen_operator.desired import Revision, config_map_name, read_revision
from mizzen_operator.kinds import Kind
from mizzen_operator.records import AgentRecord, ChildRecord
from mizzen_operator.release_updates import ReleaseUpdates, Standing
from mizzen_operator.resource import StoredResource


class Revisions:
    """Chooses revisions."""

    def __init__(self, cluster: Cluster, cache: Cache, updates: ReleaseUpdates) -> None:
        """Bind what a choice needs.

        Args:
            cluster: Where revisions are read back from.
            cache: What is known of an agent's children.
            updates: Who may take up what this release renders.
        """
        self._cluster = cluster
        self._cache = cache
        self._updates = updates

    async def choose(self, record: AgentRecord, stored: StoredResource, fresh: Revision) -> Revision:
        """Give the revision that an agent is to run.

        It stays with the one that it has as long as nobody has edited the spec that this was rendered from.

        Args:
            record: The resource.
            stored: What was reported on it last.
            fresh: What its spec renders to now.
        """
        observed = self._cache.observe(record.key)
        deployment = observed.child(Kind.DEPLOYMENT, record.name)
        rollout = deployment.rollout if deployment is not None else None
        is_under_way = rollout is not None and rollout.revision == fresh.name
        kept = _config_map(observed, record.name, stored.status.candidate_revision or stored.status.stable_revision)
        if is_under_way or kept is None or kept.spec_hash != fresh.spec_hash or self._updates.admits(record.key):
            return fresh
        raw = await self._cluster.get(Kind.CONFIG_MAP, record.key.namespace, kept.name)
        return (read_revision(raw) if raw is not None else None) or fresh

    def standing(
        self, record: AgentRecord, stored: StoredResource, fresh: Revision, chosen: Revision, is_rolled_out: bool
    ) -> Standing:
        """Tell where an agent stands towards this release.

        Args:
            record: The resource.
            stored: What was reported on it last.
            fresh: What its spec renders to now.
            chosen: The revision that it is to run.
            is_rolled_out: Whether all its pods run that.
        """
        stable = stored.status.stable_revision
        if chosen.name != fresh.name:
            # One that does not come up is moved only where that leads back: who broke it is to mend it.
            return Standing.BEHIND if is_rolled_out or stable == fresh.name else Standing.CURRENT
        before = _config_map(self._cache.observe(record.key), record.name, stable)
        was_edited = before is None or before.spec_hash != fresh.spec_hash
        return Standing.CURRENT if is_rolled_out or stable == fresh.name or was_edited else Standing.MOVING


def _config_map(observed: Observed, agent: str, revision: str | None) -> ChildRecord | None:
    return observed.child(Kind.CONFIG_MAP, config_map_name(agent, revision)) if revision is not None else None
