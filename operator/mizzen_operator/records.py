"""What the operator remembers of the objects it watches: as little as its decisions need.

This is the edge: an object of the API server comes in as JSON and leaves as a frozen record. Content that is compared
later is kept as JSON text, a fifth of the size of the same as Python dictionaries; with thousands of agents that is
what the operator's memory consists of.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mizzen_api.names import CONTAINER_NAME, GROUP, KIND, LABEL_INSTANCE, LABEL_REVISION
from mizzen_operator.keys import Key
from mizzen_operator.kinds import Kind

ANNOTATION_APPLIED = f"{GROUP}/applied"
"""On each child: the hash of what was last applied, so that a field which is no longer desired is noticed."""
ANNOTATION_RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""What `kubectl rollout restart` writes into the pods' template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is remembered of every object."""

    kind: Kind
    name: str
    key: Key
    """The agent that it is or belongs to."""
    uid: str
    version: int
    """Resource version; only ever compared with others of the same uid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRecord(Record):
    """An AgentDeployment."""

    deleting: bool
    content: str
    """The resource as JSON, without what the operator does not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What a Deployment says about its pods."""

    generation: int
    observed_generation: int
    revision: str | None
    """Revision in its template."""
    replicas: int
    updated: int
    ready: int
    available: int
    refusal: str | None
    """Why its pods cannot be created, if so."""
    restarted_at: str | None = None
    """When `kubectl rollout restart` was last asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The controlling owner of an object."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRecord(Record):
    """An object of a kind that the operator writes."""

    owner: Owner | None
    applied: str | None
    """Value of `ANNOTATION_APPLIED`."""
    revision: str | None
    """Revision that it belongs to, by its label."""
    content: str
    """See `comparable`; as JSON."""
    rollout: Rollout | None = None
    """Of a Deployment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSetRecord(Record):
    """A ReplicaSet of an agent's Deployment."""

    revision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a container ended."""

    exit_code: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Why a container does not run."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRecord(Record):
    """A pod of an agent, seen through its runtime's container."""

    revision: str | None
    leaving: bool
    """It is being deleted, or was evicted: it says nothing about its revision any more."""
    ready: bool
    started: bool
    """Its startup probe has succeeded: the runtime has accepted the configuration."""
    unschedulable: str | None
    waiting: Waiting | None
    ended: Ended | None
    """How the container ended last."""


def comparable(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Give the part of an object that is compared with what is desired.

    A ConfigMap's data is replaced by its digest: it may be a megabyte, and it is immutable.
    """
    result = {key: value for key, value in manifest.items() if key not in {"status", "metadata", "data"}}
    metadata = manifest["metadata"]
    result["metadata"] = {key: metadata[key] for key in ("labels", "ownerReferences") if key in metadata}
    if "data" in manifest:
        result["data"] = {key: hashlib.sha256(text.encode()).hexdigest() for key, text in manifest["data"].items()}
    return result


def record_of(kind: Kind, raw: Mapping[str, Any]) -> Record | None:
    """Parse an object of the API server; None if it belongs to no agent."""
    key = _key_of(kind, raw["metadata"])
    if key is None:
        return None
    if kind is Kind.AGENT:
        return agent_record(raw)
    if kind is Kind.POD:
        return _pod_record(key, raw)
    if kind is Kind.REPLICA_SET:
        return ReplicaSetRecord(**_common(kind, key, raw), revision=_revision(raw["metadata"]))
    return child_record(kind, key, raw)


def identity(raw: Mapping[str, Any]) -> tuple[str, int]:
    """Give an object's uid and resource version."""
    return raw["metadata"]["uid"], int(raw["metadata"]["resourceVersion"])


def agent_record(raw: Mapping[str, Any]) -> AgentRecord:
    """Parse an AgentDeployment."""
    metadata = raw["metadata"]
    content = {
        "apiVersion": raw["apiVersion"],
        "kind": raw["kind"],
        "metadata": {key: metadata[key] for key in ("name", "namespace", "uid", "generation") if key in metadata},
        "spec": raw.get("spec") or {},
        "status": raw.get("status") or {},
    }
    return AgentRecord(
        **_common(Kind.AGENT, Key(metadata["namespace"], metadata["name"]), raw),
        deleting=metadata.get("deletionTimestamp") is not None,
        content=json.dumps(content, separators=(",", ":")),
    )


def child_record(kind: Kind, key: Key, raw: Mapping[str, Any]) -> ChildRecord:
    """Parse an object that has the kind and name of a child of `key`, whoever made it."""
    metadata = raw["metadata"]
    owner = _controller(metadata)
    return ChildRecord(
        **_common(kind, key, raw),
        owner=Owner(kind=owner["kind"], name=owner["name"], uid=owner["uid"]) if owner else None,
        applied=(metadata.get("annotations") or {}).get(ANNOTATION_APPLIED),
        revision=_revision(metadata),
        content=json.dumps(comparable(raw), separators=(",", ":")),
        rollout=_rollout(raw) if kind is Kind.DEPLOYMENT else None,
    )


def _common(kind: Kind, key: Key, raw: Mapping[str, Any]) -> dict[str, Any]:
    uid, version = identity(raw)
    return {"kind": kind, "name": raw["metadata"]["name"], "key": key, "uid": uid, "version": version}


def _revision(metadata: Mapping[str, Any]) -> str | None:
    return (metadata.get("labels") or {}).get(LABEL_REVISION)


def _controller(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    owners = metadata.get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), {})


def _key_of(kind: Kind, metadata: Mapping[str, Any]) -> Key | None:
    """Find the agent by the owner, which nobody edits, before the label, which people do."""
    if kind is Kind.AGENT:
        return Key(metadata["namespace"], metadata["name"])
    owner = _controller(metadata)
    if owner.get("kind") == KIND and str(owner.get("apiVersion", "")).startswith(f"{GROUP}/"):
        return Key(metadata["namespace"], owner["name"])
    instance = (metadata.get("labels") or {}).get(LABEL_INSTANCE)
    return Key(metadata["namespace"], instance) if instance else None


def _rollout(raw: Mapping[str, Any]) -> Rollout:
    status = raw.get("status") or {}
    refusals = (
        condition.get("message", "")
        for condition in status.get("conditions") or ()
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True"
    )
    template = raw["spec"]["template"].get("metadata") or {}
    return Rollout(
        generation=raw["metadata"].get("generation", 0),
        observed_generation=status.get("observedGeneration", 0),
        revision=_revision(template),
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        refusal=next(refusals, None),
        restarted_at=(template.get("annotations") or {}).get(ANNOTATION_RESTARTED),
    )


def _pod_record(key: Key, raw: Mapping[str, Any]) -> PodRecord:
    metadata, status = raw["metadata"], raw.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    containers = {container["name"]: container for container in status.get("containerStatuses") or ()}
    container = containers.get(CONTAINER_NAME, {})
    state = container.get("state") or {}
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    scheduled = conditions.get("PodScheduled", {})
    return PodRecord(
        **_common(Kind.POD, key, raw),
        revision=_revision(metadata),
        leaving=metadata.get("deletionTimestamp") is not None or status.get("phase") in {"Failed", "Succeeded"},
        ready=conditions.get("Ready", {}).get("status") == "True",
        started=bool(container.get("started")),
        unschedulable=scheduled.get("message", "") if scheduled.get("status") == "False" else None,
        waiting=_waiting(state.get("waiting")),
        ended=_ended(ended),
    )


def _waiting(raw: Mapping[str, Any] | None) -> Waiting | None:
    if raw is None:
        return None
    return Waiting(reason=raw.get("reason", ""), message=raw.get("message", ""))


def _ended(raw: Mapping[str, Any] | None) -> Ended | None:
    if raw is None:
        return None
    return Ended(exit_code=raw.get("exitCode", 0), reason=raw.get("reason", ""), message=raw.get("message", ""))
