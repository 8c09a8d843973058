"""The pods of an agent, under the restricted Pod Security Standard."""

from typing import Any

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.limits import runtime_limits
from mizzen_api.names import (
    CONTAINER_NAME,
    LABEL_REVISION,
    MANAGEMENT_PORT,
    MANAGEMENT_PORT_NAME,
    TRAFFIC_PORT,
    TRAFFIC_PORT_NAME,
)
from mizzen_api.pod import EnvVar, PodSettings
from mizzen_api.timing import termination_grace_seconds
from mizzen_operator.desired.manifest import Manifest, selector_labels
from mizzen_operator.desired.probes import build_probes
from mizzen_operator.desired.service_account import service_account_name
from mizzen_operator.desired.volumes import volumes_of

USER_ID = 65532
"""The images' own user, by number, so that kubelet can see that it is not root."""

DEFAULT_RESOURCES: dict[str, Any] = {
    "requests": {"cpu": "100m", "memory": "256Mi"},
    "limits": {"memory": "512Mi"},
}
"""Without `spec.pod.resources`: twice what an idle runtime takes, and no CPU limit, since it would only add latency."""


def build_pod_template(agent: AgentDeployment, revision: str, runtime_image: str) -> Manifest:
    """Give the template of a revision's pods.

    Args:
        agent: The resource.
        revision: Name of the revision; empty while the name is being computed.
        runtime_image: What runs if the resource names no image.
    """
    pod = agent.spec.pod
    request_timeout = runtime_limits(agent.spec.limits).request_timeout_seconds
    own_labels = {**selector_labels(agent.metadata.name), LABEL_REVISION: revision}
    template: Manifest = _without_none(
        {
            "metadata": {"labels": {**pod.labels, **own_labels}, "annotations": dict(pod.annotations) or None},
            "spec": {
                "serviceAccountName": service_account_name(agent),
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": termination_grace_seconds(request_timeout),
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": USER_ID,
                    "runAsGroup": USER_ID,
                    "fsGroup": USER_ID,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [_container(agent, revision, runtime_image)],
                "volumes": [volume.manifest for volume in volumes_of(agent, revision)],
                **_placement(pod),
            },
        }
    )
    return template


def _container(agent: AgentDeployment, revision: str, runtime_image: str) -> dict[str, Any]:
    pod = agent.spec.pod
    return {
        "name": CONTAINER_NAME,
        "image": pod.image or runtime_image,
        "imagePullPolicy": pod.image_pull_policy,
        # Empty rather than left out: one that somebody adds by hand would stay, and keep the runtime from starting.
        "command": [],
        "args": [],
        "envFrom": [],
        "env": [_env_var(variable) for variable in pod.env] or None,
        "resources": pod.resources.model_dump(exclude_none=True) if pod.resources else DEFAULT_RESOURCES,
        "ports": [
            {"name": TRAFFIC_PORT_NAME, "containerPort": TRAFFIC_PORT, "protocol": "TCP"},
            {"name": MANAGEMENT_PORT_NAME, "containerPort": MANAGEMENT_PORT, "protocol": "TCP"},
        ],
        **build_probes(),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [volume.mount for volume in volumes_of(agent, revision)],
    }


def _env_var(variable: EnvVar) -> dict[str, Any]:
    return variable.model_dump(exclude_none=True)


def _placement(pod: PodSettings) -> dict[str, Any]:
    """Give what decides where the pods run and how their image is fetched."""
    return {
        "imagePullSecrets": [secret.model_dump() for secret in pod.image_pull_secrets] or None,
        "nodeSelector": dict(pod.node_selector),  # empty rather than left out, see `_container`
        "tolerations": [toleration.model_dump(exclude_none=True) for toleration in pod.tolerations] or None,
        "affinity": pod.affinity,
        "topologySpreadConstraints": list(pod.topology_spread_constraints) or None,
        "priorityClassName": pod.priority_class_name,
    }


def _without_none(value: Any) -> Any:
    """Take out what is None: a field that is sent as null is one more way to be absent."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value
