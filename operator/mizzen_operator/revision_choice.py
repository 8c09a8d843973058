"""Which revision an agent runs: what its spec renders to now, or what an earlier release rendered from that spec."""

from collections import OrderedDict

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.rendering import live_settings
from mizzen_operator.cache import Cache, Observed
from mizzen_operator.cluster.port import Cluster
from mizzen_operator.desired import Revision, config_map_name, read_revision
from mizzen_operator.kinds import Kind
from mizzen_operator.records import AgentRecord, ChildRecord
from mizzen_operator.release_updates import ReleaseUpdates, Standing
from mizzen_operator.resource import StoredResource

_REMEMBERED = 512
"""A revision takes some KB; more are read again when they are needed."""


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
        self._read: OrderedDict[str, Revision] = OrderedDict()
        """By uid of the ConfigMap, which is immutable: the revisions that were read back last."""

    async def choose(
        self, record: AgentRecord, stored: StoredResource, fresh: Revision, agent: AgentDeployment
    ) -> Revision:
        """Give the revision that an agent is to run.

        It stays with the one that it has as long as nobody has edited the spec that this was rendered from; but to one
        that has not come up yet it is not bound, and to the one that serves it may always go back. One that cannot take
        up what the spec wants taken up while it runs is not kept.

        Args:
            record: The resource.
            stored: What was reported on it last.
            fresh: What its spec renders to now.
            agent: The same resource, parsed.
        """
        observed = self._cache.observe(record.key)
        rollout = observed.own_rollout(record)
        candidate, stable = stored.status.candidate_revision, stored.status.stable_revision
        is_there = fresh.name in {candidate, stable, rollout.revision if rollout is not None else None}
        if is_there or self._updates.admits(record.key):
            return fresh
        has_come_up = any(pod.ready and pod.revision == candidate for pod in observed.pods)
        is_live = live_settings(agent) is not None
        for name in filter(None, (candidate if has_come_up else None, stable)):
            kept = await self._kept(record, observed, name, fresh.spec_hash)
            if kept is not None and (kept.takes_live_settings or not is_live):
                return kept
        return fresh

    async def _kept(self, record: AgentRecord, observed: Observed, name: str, spec_hash: str) -> Revision | None:
        """Read a revision back, past the cache, if it was rendered from the spec with this hash."""
        config_map = config_map_name(record.name, name)
        known = observed.child(Kind.CONFIG_MAP, config_map)
        if known is not None and known.spec_hash != spec_hash:
            return None
        if known is not None and known.uid in self._read:
            return self._read[known.uid]
        raw = await self._cluster.get(Kind.CONFIG_MAP, record.key.namespace, config_map)
        revision = read_revision(raw) if raw is not None else None
        if raw is None or revision is None or (revision.name, revision.spec_hash) != (name, spec_hash):
            return None
        self._read[raw["metadata"]["uid"]] = revision
        if len(self._read) > _REMEMBERED:
            self._read.popitem(last=False)
        return revision

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
            return Standing.BEHIND if is_rolled_out else Standing.CURRENT
        before = _config_map(self._cache.observe(record.key), record.name, stable)
        was_edited = before is None or before.spec_hash != fresh.spec_hash
        return Standing.CURRENT if is_rolled_out or stable == fresh.name or was_edited else Standing.MOVING


def _config_map(observed: Observed, agent: str, revision: str | None) -> ChildRecord | None:
    return observed.child(Kind.CONFIG_MAP, config_map_name(agent, revision)) if revision is not None else None
