"""Objects as the API server sends them, for tests that need no API server."""

from datetime import UTC, datetime, timedelta
from typing import Any

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.health import REMEDIES, HealthCode
from mizzen_operator.cache import Observed
from mizzen_operator.desired import Desired, build_desired, render_revision
from mizzen_operator.keys import Key
from mizzen_operator.kinds import kind_named
from mizzen_operator.plan import stamped
from mizzen_operator.records import ChildRecord, PodRecord, child_record, record_of
from mizzen_operator.status.pod_report import PodReason

Object = dict[str, Any]

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""When pods are made."""
IMAGE = "localhost/mizzen-runtime:1"
KEY = Key("team", "hello")
UID = "11111111-2222-3333-4444-555555555555"


def at(seconds: float) -> str:
    """Give a time so many seconds after noon, as the API server writes it."""
    return (NOON + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def raw_agent(name: str = "hello", *, generation: int = 1, status: Object | None = None, **spec: Any) -> Object:
    """Give an AgentDeployment as the API server holds it, with `spec` laid over a minimal one."""
    return {
        "apiVersion": "mizzen.dev/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": UID,
            "generation": generation,
            "resourceVersion": "10",
        },
        "spec": {"agent": {"instructions": "Be brief."}, "models": [{"model": "test"}], "replicas": 1, **spec},
        "status": status or {},
    }


def agent(name: str = "hello", **spec: Any) -> AgentDeployment:
    """Give the same, parsed."""
    return AgentDeployment.model_validate(raw_agent(name, **spec))


def desired_for(agent: AgentDeployment, image: str = IMAGE) -> Desired:
    """Give all objects of an agent that runs what its spec renders to."""
    replicas = 1 if agent.spec.replicas is None else agent.spec.replicas
    return build_desired(agent, render_revision(agent, image), replicas)


def live(manifest: Object, *, uid: str = "child", version: int = 1, status: Object | None = None) -> Object:
    """Give a manifest as the API server holds it after it was applied."""
    applied = stamped(manifest)
    metadata = {**applied["metadata"], "uid": uid, "resourceVersion": str(version), "generation": 1}
    return {**applied, "metadata": metadata, "status": status or {}}


def observed_children(*manifests: Object, key: Key = KEY) -> Observed:
    """Give what is observed when exactly these manifests were applied."""
    return Observed(agent=None, children=tuple(child(manifest, key) for manifest in manifests))


def child(manifest: Object, key: Key = KEY, **changes: Any) -> ChildRecord:
    """Give the record of an applied manifest."""
    return child_record(kind_named(manifest["kind"]), key, live(manifest, **changes))


def raw_pod(revision: str, status: Object, name: str = "hello-1-abc", **metadata: Any) -> Object:
    """Give a pod of an agent."""
    return {
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": name,
            "resourceVersion": "5",
            "creationTimestamp": at(0),
            "labels": {"app.kubernetes.io/instance": "hello", "mizzen.dev/revision": revision},
            **metadata,
        },
        "status": status,
    }


def pod(revision: str, status: Object, **metadata: Any) -> PodRecord:
    """Give the record of such a pod."""
    record = record_of(kind_named("Pod"), raw_pod(revision, status, **metadata))
    assert isinstance(record, PodRecord)
    return record


def not_healthy(service: str, detail: str) -> PodReason:
    """Give a pod's reason that a service of it is not healthy."""
    code = HealthCode.SERVICE_UNHEALTHY
    return PodReason(code, f"Service {service!r} is not healthy", detail, REMEDIES[code])


def container(**status: Any) -> Object:
    """Give a pod's status in which the runtime's container is like this."""
    return {"phase": "Pending", "containerStatuses": [{"name": "agent", "ready": False, "started": False, **status}]}
