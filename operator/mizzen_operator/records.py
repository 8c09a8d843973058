"""What the operator remembers of the objects it watches: as little as its decisions need.

This is the edge: an object of the API server comes in as JSON and leaves as a frozen record. Content that is compared
later is kept as JSON text, a fifth of the size of the same as Python dictionaries; with thousands of agents that is
what the operator's memory consists of.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mizzen_api.names import CONTAINER_NAME, GROUP, KIND, LABEL_INSTANCE, LABEL_REVISION
from mizzen_operator.desired import SPEC_HASH_KEY
from mizzen_operator.keys import Key
from mizzen_operator.kinds import Kind

ANNOTATION_APPLIED = f"{GROUP}/applied"
"""On each child: the hash of what was last applied, so that a field which is no longer desired is noticed."""
AUTOSCALER = "kube-controller-manager"
"""Who writes to the scale subresource for a HorizontalPodAutoscaler."""
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
    wanted: int
    """How many pods it is to have."""
    autoscaled: bool
    """A HorizontalPodAutoscaler was the last one to say how many."""
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
    spec_hash: str | None
    """Of a revision's ConfigMap: the hash of the spec that it was rendered from."""
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
    started_at: float
    """When it had begun, in seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A reason in one word, and what it means here."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRecord(Record):
    """A pod of an agent, seen through its runtime's container."""

    revision: str | None
    leaving: bool
    """It is being deleted, or has failed as a whole: it takes no part in its revision any more."""
    failed: Said | None
    """Why it has failed as a whole, such as by eviction; None while it is being deleted."""
    ready: bool
    cut_off: bool
    """Its containers are ready, and it is not, for no reason of kubelet's: its node no longer answers."""
    sandboxed: bool
    """Its sandbox and its volumes are there; what may take long is the image."""
    running: bool
    started: bool
    """Its startup probe has succeeded: the runtime has accepted the configuration."""
    unschedulable: str | None
    waiting: Said | None
    """Why the container does not run."""
    ended: Ended | None
    """How the container ended last."""
    address: str | None
    """Where it is reached, IPv4 or IPv6."""
    since: float
    """Since when all this is so, in seconds since the epoch, by the clock of the node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodEvent:
    """What an Event says about a pod."""

    reason: str
    note: str
    at: float
    """When it was seen last, in seconds since the epoch."""


def comparable(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Give the part of an object that is compared with what is desired.

    A ConfigMap's data is replaced by its digest: it may be a megabyte.
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
        spec_hash=(raw.get("data") or {}).get(SPEC_HASH_KEY),
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
        wanted=raw["spec"].get("replicas", 1),
        autoscaled=_is_autoscaled(raw["metadata"]),
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        refusal=next(refusals, None),
        restarted_at=(template.get("annotations") or {}).get(ANNOTATION_RESTARTED),
    )


def _is_autoscaled(metadata: Mapping[str, Any]) -> bool:
    """Tell whether an autoscaler alone owns `spec.replicas`: who applies the same value owns it too."""
    owners = [
        (entry.get("manager"), entry.get("subresource"))
        for entry in metadata.get("managedFields") or ()
        if "f:replicas" in (entry.get("fieldsV1") or {}).get("f:spec", {})
    ]
    return owners == [(AUTOSCALER, "scale")]


def pod_event(raw: Mapping[str, Any]) -> PodEvent:
    """Parse an Event of `events.k8s.io/v1`, whichever of the two APIs it was made by."""
    series = raw.get("series") or {}
    at = series.get("lastObservedTime") or raw.get("deprecatedLastTimestamp") or raw.get("eventTime")
    return PodEvent(reason=raw.get("reason", ""), note=raw.get("note", ""), at=_seconds(at))


def _pod_record(key: Key, raw: Mapping[str, Any]) -> PodRecord:
    metadata, status = raw["metadata"], raw.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    containers = {container["name"]: container for container in status.get("containerStatuses") or ()}
    container = containers.get(CONTAINER_NAME, {})
    state, last = container.get("state") or {}, container.get("lastState") or {}
    scheduled, ready = conditions.get("PodScheduled", {}), conditions.get("Ready", {})
    deleted, over = metadata.get("deletionTimestamp") is not None, status.get("phase") in {"Failed", "Succeeded"}
    return PodRecord(
        **_common(Kind.POD, key, raw),
        revision=_revision(metadata),
        leaving=deleted or over,
        failed=_said(status) if over and not deleted and status.get("reason") else None,
        ready=ready.get("status") == "True",
        cut_off=_is_true(conditions, "ContainersReady") and ready.get("status") == "False" and not ready.get("reason"),
        sandboxed=_is_true(conditions, "PodReadyToStartContainers"),
        running="running" in state,
        started=bool(container.get("started")),
        unschedulable=scheduled.get("message", "") if scheduled.get("status") == "False" else None,
        waiting=_said(state["waiting"]) if "waiting" in state else None,
        ended=_ended(state.get("terminated") or last.get("terminated")),
        address=status.get("podIP"),
        since=_since(metadata, conditions.values(), state),
    )


def _is_true(conditions: Mapping[str, Mapping[str, Any]], kind: str) -> bool:
    return conditions.get(kind, {}).get("status") == "True"


def _said(raw: Mapping[str, Any]) -> Said:
    return Said(reason=raw.get("reason", ""), message=raw.get("message", ""))


def _ended(raw: Mapping[str, Any] | None) -> Ended | None:
    if raw is None:
        return None
    return Ended(
        exit_code=raw.get("exitCode", 0),
        reason=raw.get("reason", ""),
        message=raw.get("message", ""),
        started_at=_seconds(raw.get("startedAt")),
    )


def _since(
    metadata: Mapping[str, Any], conditions: Iterable[Mapping[str, Any]], state: Mapping[str, Mapping[str, Any]]
) -> float:
    """Give the latest of a pod's times: when its status changed last."""
    times = [metadata.get("creationTimestamp"), *(condition.get("lastTransitionTime") for condition in conditions)]
    for entry in state.values():
        times += [entry.get("startedAt"), entry.get("finishedAt")]
    return max(_seconds(time) for time in times)


def _seconds(time: str | None) -> float:
    """Give a time in RFC 3339 in seconds since the epoch; 0 for none."""
    return datetime.fromisoformat(time).timestamp() if time else 0.0
