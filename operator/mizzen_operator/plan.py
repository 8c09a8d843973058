"""What must be done: desired against observed, without doing anything."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass

from mizzen_api.names import KIND
from mizzen_operator.cache import Observed
from mizzen_operator.compare import first_difference
from mizzen_operator.desired import Desired, Manifest
from mizzen_operator.kinds import Kind, kind_named
from mizzen_operator.records import ANNOTATION_APPLIED, ChildRecord, Rollout, comparable


@dataclass(frozen=True)
class Create:
    """Apply an object that is not there."""

    kind: Kind
    manifest: Manifest


@dataclass(frozen=True)
class Update:
    """Apply an object over one that is there; the manifest carries its uid."""

    kind: Kind
    manifest: Manifest
    put_back: str | None
    """Path of what somebody else changed; None if it is the desired state that changed."""


@dataclass(frozen=True)
class Delete:
    """Delete an object that is no longer desired."""

    child: ChildRecord


Action = Create | Update | Delete


@dataclass(frozen=True)
class Overruled:
    """What is there after an apply whose result is another than what was sent: admission has changed it."""

    uid: str
    stamp: str
    """Of what was applied."""
    content: str
    """Digest of what came of it."""


def plan(
    desired: Desired, observed: Observed, owner_uid: str, overruled: Collection[Overruled] = ()
) -> tuple[Action, ...]:
    """Give the actions that lead from what is there to what is desired, in order.

    Every child in `observed` is ours: see `conflicts`. Nothing is deleted before the pods that might need it are gone;
    then it is deleted first, lest each attempt at an apply that is refused leaves one more.

    Args:
        desired: What must be there.
        observed: What is there.
        owner_uid: Uid of the AgentDeployment.
        overruled: What another apply would not change.
    """
    stamped_children = [stamped(manifest) for manifest in desired.children]
    applies = [
        action
        for manifest in stamped_children
        if (action := _apply(manifest, observed, desired.revision.name, overruled)) is not None
    ]
    return (*(Delete(child) for child in _superfluous(desired, observed, owner_uid)), *applies)


def conflicts(
    desired: Desired, observed: Observed, owner_uid: str, ours: Collection[str] = ()
) -> tuple[ChildRecord, ...]:
    """Give the objects that have a name which the agent needs, and another owner.

    Args:
        desired: What must be there.
        observed: What is there.
        owner_uid: Uid of the AgentDeployment.
        ours: Uids of objects that it was seen to own: without an owner they still are no conflict.
    """
    named = (observed.child(kind_named(child["kind"]), child["metadata"]["name"]) for child in desired.children)
    return tuple(
        child
        for child in named
        if child and (child.uid not in ours if child.owner is None else child.owner.uid != owner_uid)
    )


def is_left_over(child: ChildRecord) -> bool:
    """Tell whether a conflicting object belongs to an earlier resource of the same name: it is about to go."""
    return child.owner is not None and (child.owner.kind, child.owner.name) == (KIND, child.key.name)


def stamped(manifest: Manifest) -> Manifest:
    """Give the manifest with the hash of itself as an annotation.

    What is applied again and again must be told from what is there; a field that is no longer desired shows only here.
    """
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    stamp = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), ANNOTATION_APPLIED: stamp}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def overruled_by(manifest: Manifest, child: ChildRecord) -> tuple[str, Overruled] | None:
    """Tell whether what came of an apply is not what was sent.

    Args:
        manifest: What was sent.
        child: What came of it.

    Returns:
        The path of the first difference, and what to give to `plan` from now on; None if all is as it was sent.
    """
    stamp = _stamp_of(manifest)
    difference = first_difference(comparable(manifest), json.loads(child.content))
    if difference is None and child.applied != stamp:
        difference = f"metadata.annotations[{ANNOTATION_APPLIED}]"
    return None if difference is None else (difference, _overruled(stamp, child))


def is_settled(rollout: Rollout) -> bool:
    """Tell whether a Deployment runs its newest template and nothing else."""
    return (
        rollout.observed_generation >= rollout.generation
        and rollout.updated == rollout.replicas == rollout.available
        and rollout.refusal is None
    )


def _overruled(stamp: str, child: ChildRecord) -> Overruled:
    return Overruled(child.uid, stamp, hashlib.sha256(f"{child.applied}{child.content}".encode()).hexdigest())


def _stamp_of(manifest: Manifest) -> str:
    return str(manifest["metadata"]["annotations"][ANNOTATION_APPLIED])


def _apply(manifest: Manifest, observed: Observed, revision: str, overruled: Collection[Overruled]) -> Action | None:
    kind = kind_named(manifest["kind"])
    child = observed.child(kind, manifest["metadata"]["name"])
    if child is None:
        return Create(kind, manifest)
    stamp = _stamp_of(manifest)
    difference = first_difference(comparable(manifest), json.loads(child.content))
    changed = child.applied != stamp
    if (difference is None and not changed) or _overruled(stamp, child) in overruled:
        return None
    if manifest.get("immutable") and difference is not None and difference.startswith("data"):
        return Delete(child)  # the right one comes when this one is gone
    with_uid = {**manifest, "metadata": {**manifest["metadata"], "uid": child.uid}}
    # `kubectl rollout undo` takes the annotation back along with the template.
    undone = child.rollout is not None and child.rollout.revision != revision
    return Update(kind, with_uid, put_back=difference if undone or not changed else None)


def _superfluous(desired: Desired, observed: Observed, owner_uid: str) -> list[ChildRecord]:
    """Find what no pod needs any more: configurations of forgotten revisions, an account that the user replaced."""
    names = {(kind_named(child["kind"]), child["metadata"]["name"]) for child in desired.children}
    rollout = next((child.rollout for child in observed.children if child.rollout is not None), None)
    runs_nothing = rollout is None and not observed.replica_sets and not observed.pods
    is_complete = rollout is not None and rollout.revision == desired.revision.name and is_settled(rollout)
    if not (runs_nothing or is_complete):
        return []
    in_use = {replica_set.revision for replica_set in observed.replica_sets} | {pod.revision for pod in observed.pods}
    return [
        child
        for child in observed.children
        if (child.kind, child.name) not in names
        and child.owner is not None
        and child.owner.uid == owner_uid
        and (child.kind is not Kind.CONFIG_MAP or child.revision not in in_use)
    ]
