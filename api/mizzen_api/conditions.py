"""Conditions of an AgentDeployment, their reasons, and the sentence that each reason says to people."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from mizzen_api import health
from mizzen_api.base import ApiModel
from mizzen_api.health import HealthCode

ConditionStatus = Literal["True", "False", "Unknown"]


class ConditionType(StrEnum):
    """What a condition is about; `MEANINGS` says what True means."""

    AVAILABLE = "Available"
    READY = "Ready"
    PROGRESSING = "Progressing"
    CONFIG_RESOLVED = "ConfigResolved"
    HEALTHY = "Healthy"
    SECURE = "Secure"


MEANINGS: dict[ConditionType, str] = {
    ConditionType.AVAILABLE: "Some revision serves requests.",
    ConditionType.READY: "What serves is this generation of the resource, fully rolled out.",
    ConditionType.PROGRESSING: "A rollout goes on.",
    ConditionType.CONFIG_RESOLVED: "Every referenced object and key is there and accepted by the runtime.",
    ConditionType.HEALTHY: "Every pod says that it is well: its services, circuit breakers, requests and queue.",
    ConditionType.SECURE: "No setting that is for tests only is in force.",
}
"""What True means."""


class Reason(StrEnum):
    """Why a condition has its status: a closed set, explained by `SENTENCES` and `REMEDIES`."""

    AVAILABLE = "Available"
    EARLIER_REVISION_SERVES = "EarlierRevisionServes"
    READY = "Ready"
    ROLLED_OUT = "RolledOut"
    ROLLING_OUT = "RollingOut"
    SCALING = "Scaling"
    RESOLVED = "Resolved"
    HEALTHY = "Healthy"
    AS_CONFIGURED = "AsConfigured"
    SCALED_TO_ZERO = "ScaledToZero"
    NO_POD_READY = "NoPodReady"
    NOT_YET_KNOWN = "NotYetKnown"
    INVALID_SPEC = "InvalidSpec"
    CONFIG_INVALID = "ConfigInvalid"
    RELOAD_FAILED = "ReloadFailed"
    CONTRACT_MISMATCH = "ContractMismatch"
    MOUNT_FAILED = "MountFailed"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    OOM_KILLED = "OOMKilled"
    POD_FAILING = "PodFailing"
    PROBE_FAILING = "ProbeFailing"
    STARTING_SLOWLY = "StartingSlowly"
    SANDBOX_FAILED = "SandboxFailed"
    EVICTED = "Evicted"
    NODE_NOT_READY = "NodeNotReady"
    UNSCHEDULABLE = "Unschedulable"
    POD_REFUSED = "PodRefused"
    NAME_CONFLICT = "NameConflict"
    WRITE_FAILED = "WriteFailed"
    NO_REPORT = "NoReport"
    STATE_UNREADABLE = "StateUnreadable"
    SERVICE_UNHEALTHY = "ServiceUnhealthy"
    BREAKER_OPEN = "BreakerOpen"
    QUEUE_FULL = "QueueFull"
    ERROR_RATE = "ErrorRate"
    LATENCY = "Latency"
    TEST_SERVICES = "TestServices"


SENTENCES: dict[Reason, str] = {
    Reason.AVAILABLE: "At least one pod serves requests.",
    Reason.EARLIER_REVISION_SERVES: (
        "Pods of an earlier revision serve requests; Ready says what keeps the newest one from doing so."
    ),
    Reason.READY: "Every pod serves this generation.",
    Reason.ROLLED_OUT: "The rollout is complete.",
    Reason.ROLLING_OUT: "Pods of the new revision are starting.",
    Reason.SCALING: "Pods of this revision are being added, replaced or taken away.",
    Reason.RESOLVED: "The runtime accepted the configuration, and every referenced object and key is there.",
    Reason.HEALTHY: "Every pod says that it is well.",
    Reason.AS_CONFIGURED: "The pods say that nothing in them is for tests only.",
    Reason.SCALED_TO_ZERO: "No pod is asked for (replicas is 0).",
    Reason.NO_POD_READY: "No pod serves requests.",
    Reason.NOT_YET_KNOWN: "No pod of this revision says at present whether it accepts the configuration.",
    Reason.INVALID_SPEC: "The spec has problems; what ran before goes on unchanged.",
    Reason.CONFIG_INVALID: "The runtime refused the configuration, or a variable's object or key is missing.",
    Reason.RELOAD_FAILED: "A changed ConfigMap or Secret is not in force; the pods go on with what they had.",
    Reason.CONTRACT_MISMATCH: "Operator and runtime are of releases that do not understand each other.",
    Reason.MOUNT_FAILED: "A volume of the pod cannot be mounted.",
    Reason.IMAGE_UNAVAILABLE: "The pod's image cannot be had.",
    Reason.OOM_KILLED: "The container took more memory than it may, and was killed.",
    Reason.POD_FAILING: "The pod's container does not start or does not stay up.",
    Reason.PROBE_FAILING: "The container runs, and does not answer a probe as it should.",
    Reason.STARTING_SLOWLY: "A pod takes long to start; it may still do so.",
    Reason.SANDBOX_FAILED: "The node cannot make the pod's sandbox, most often its network.",
    Reason.EVICTED: "The node has put the pod out, or has not let it in.",
    Reason.NODE_NOT_READY: "The pod's node no longer answers.",
    Reason.UNSCHEDULABLE: "No node can take the pod.",
    Reason.POD_REFUSED: "The cluster refuses to create the pods, or an object that they need.",
    Reason.NAME_CONFLICT: "An object that is not ours has a name that the agent needs.",
    Reason.WRITE_FAILED: "The API server did not take a change; the operator goes on trying.",
    Reason.NO_REPORT: "No pod has said yet how it is.",
    Reason.STATE_UNREADABLE: "The operator cannot read from a pod how it is.",
    Reason.SERVICE_UNHEALTHY: "A service of the agent is not healthy.",
    Reason.BREAKER_OPEN: "A model or a service fails or is slow so often that it is not asked for a while.",
    Reason.QUEUE_FULL: "More requests come than a pod answers, and it turns some away.",
    Reason.ERROR_RATE: "More requests fail in a pod than spec.health allows.",
    Reason.LATENCY: "Requests take longer in a pod than spec.health allows.",
    Reason.TEST_SERVICES: "Test doubles stand in for services.",
}
"""What each reason says to people; the whole message where there is nothing more to tell."""

REMEDIES: dict[Reason, str] = {
    Reason.EARLIER_REVISION_SERVES: "Do what Ready says; requests are answered meanwhile.",
    Reason.NO_POD_READY: "Wait: what is wrong is told within half a minute.",
    Reason.INVALID_SPEC: "Correct the fields that the message names.",
    Reason.CONFIG_INVALID: "Do what the message says of each problem. A pod notices a new Secret when it starts again.",
    Reason.RELOAD_FAILED: "Correct the object that the message names; a pod takes it up by itself.",
    Reason.CONTRACT_MISMATCH: "Build the image on the runtime of the operator's release, or upgrade the operator.",
    Reason.MOUNT_FAILED: "Create the object that the message names; kubelet tries again by itself.",
    Reason.IMAGE_UNAVAILABLE: "Correct `spec.pod.image`, or give credentials in `spec.pod.imagePullSecrets`.",
    Reason.OOM_KILLED: "Raise `spec.pod.resources.limits.memory`, or let fewer requests run at once.",
    Reason.POD_FAILING: "Read `kubectl logs --previous` of the pod; see whether the image builds on Mizzen's runtime.",
    Reason.PROBE_FAILING: "Read `kubectl logs` of the pod: something keeps the process from answering.",
    Reason.STARTING_SLOWLY: "Wait; see `kubectl logs` of the pod, and whether its node is busy.",
    Reason.SANDBOX_FAILED: "Have the node's container runtime and network looked at.",
    Reason.EVICTED: "Give the node room, or the pod the resources that the message names.",
    Reason.NODE_NOT_READY: "Have the node looked at; its pods are replaced after five minutes.",
    Reason.UNSCHEDULABLE: "Add nodes, or correct what the pod asks of a node.",
    Reason.POD_REFUSED: "Raise the quota, loosen the policy, or ask for what they allow.",
    Reason.NAME_CONFLICT: "Delete or rename one of the two objects.",
    Reason.WRITE_FAILED: "Have the API server looked at if it lasts.",
    Reason.STATE_UNREADABLE: "Let the operator reach port 8081 of the pods: a NetworkPolicy may be in the way.",
    **{Reason(code.value): remedy for code, remedy in health.REMEDIES.items() if code is not HealthCode.NOT_READY},
    Reason.TEST_SERVICES: "Take `MIZZEN_PROFILE=test` out of `spec.pod.env`, or out of the image.",
}
"""What to do; a reason that is no trouble has none. A message has a remedy that fits the case more closely."""


class Condition(ApiModel):
    """The Kubernetes convention `metav1.Condition`."""

    type: str = Field(max_length=64)
    """What it is about: Available, Ready, Progressing, ConfigResolved, Healthy or Secure."""
    status: ConditionStatus
    """True, False or Unknown."""
    observed_generation: int = Field(ge=0)
    """Generation of the resource that the condition was computed from."""
    last_transition_time: str = Field(max_length=32)
    """When the status last changed, RFC 3339 in UTC."""
    reason: str = Field(max_length=64)
    """Why, in one CamelCase word."""
    message: str = Field(max_length=32768)
    """Why, in a sentence for people, with the remedy."""
