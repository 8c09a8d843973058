"""Conditions of an AgentDeployment, their reasons, and the sentence that each reason says to people."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from mizzen_api.base import ApiModel

ConditionStatus = Literal["True", "False", "Unknown"]


class ConditionType(StrEnum):
    """What a condition is about; the value says what True means."""

    AVAILABLE = "Available"
    """Some revision serves requests."""
    READY = "Ready"
    """What serves is this generation of the resource, fully rolled out."""
    PROGRESSING = "Progressing"
    """A rollout goes on."""
    CONFIG_RESOLVED = "ConfigResolved"
    """Every referenced object and key is there and accepted by the runtime."""


class Reason(StrEnum):
    """Why a condition has its status."""

    AVAILABLE = "Available"
    READY = "Ready"
    ROLLED_OUT = "RolledOut"
    ROLLING_OUT = "RollingOut"
    SCALING = "Scaling"
    RESOLVED = "Resolved"
    SCALED_TO_ZERO = "ScaledToZero"
    NO_POD_READY = "NoPodReady"
    NOT_YET_KNOWN = "NotYetKnown"
    INVALID_SPEC = "InvalidSpec"
    CONFIG_INVALID = "ConfigInvalid"
    CONTRACT_MISMATCH = "ContractMismatch"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    POD_FAILING = "PodFailing"
    POD_REFUSED = "PodRefused"
    UNSCHEDULABLE = "Unschedulable"
    NAME_CONFLICT = "NameConflict"
    WRITE_FAILED = "WriteFailed"


SENTENCES: dict[Reason, str] = {
    Reason.AVAILABLE: "At least one pod serves requests.",
    Reason.READY: "Every pod serves this generation.",
    Reason.ROLLED_OUT: "The rollout is complete.",
    Reason.ROLLING_OUT: "Pods of the new revision are starting.",
    Reason.SCALING: "Pods of this revision are being added, replaced or taken away.",
    Reason.RESOLVED: "The runtime accepted the configuration, and every referenced object and key is there.",
    Reason.SCALED_TO_ZERO: "No pod is asked for (replicas is 0).",
    Reason.NO_POD_READY: "No pod serves requests.",
    Reason.NOT_YET_KNOWN: "No pod of this revision has said yet whether it accepts the configuration.",
    Reason.INVALID_SPEC: "The spec has problems; what ran before goes on unchanged.",
    Reason.CONFIG_INVALID: "The runtime refused the configuration.",
    Reason.CONTRACT_MISMATCH: "Operator and runtime are of releases that do not understand each other.",
    Reason.IMAGE_UNAVAILABLE: "The pod's image cannot be had.",
    Reason.POD_FAILING: "The pod's container does not start or does not stay up.",
    Reason.POD_REFUSED: "The cluster refuses to create the pods.",
    Reason.UNSCHEDULABLE: "No node can take the pod.",
    Reason.NAME_CONFLICT: "An object that is not ours has a name that the agent needs.",
    Reason.WRITE_FAILED: "The API server did not take a change; the operator goes on trying.",
}


class Condition(ApiModel):
    """The Kubernetes convention `metav1.Condition`."""

    type: str = Field(max_length=64)
    """What it is about: Available, Ready, Progressing or ConfigResolved."""
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
