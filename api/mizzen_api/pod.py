"""`spec.pod`: the few things of a pod that an agent's author may set. There is no free pod template."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from mizzen_api.base import ApiModel

LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=317)]
LabelValue = Annotated[str, StringConstraints(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")]
ObjectName = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
]
LocalName = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")]
"""What something is called within one resource: with a volume's prefix it stays a DNS label of 63."""
SecretKey = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
_NUMBER = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)"
QUANTITY_PATTERN = rf"^\+?{_NUMBER}([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$"
_MAX_QUANTITY_LENGTH = 64


def _check_quantity(value: object) -> object:
    if isinstance(value, float):
        raise PydanticCustomError("quantity", "write a fraction in quotes, or in thousandths such as 500m")
    is_text = isinstance(value, str) and len(value) <= _MAX_QUANTITY_LENGTH and re.fullmatch(QUANTITY_PATTERN, value)
    if not is_text and not (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        raise PydanticCustomError("quantity", "write a quantity such as 500m, 2 or 256Mi")
    return value


Quantity = Annotated[
    str | int,
    BeforeValidator(_check_quantity),
    Field(
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "pattern": QUANTITY_PATTERN,
            "maxLength": _MAX_QUANTITY_LENGTH,
        }
    ),
]
"""Kubernetes' quantity, not negative. As a YAML number it must be whole: the API server takes no fraction here."""
Passed = Annotated[
    dict[str, Any], Field(max_length=64, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
]
"""An object of Kubernetes' own that is handed on as it is; the API server checks it when the Deployment is applied."""


class LocalObjectReference(ApiModel):
    """An object of the same namespace."""

    name: ObjectName
    """Its name."""


class SecretKeyRef(ApiModel):
    """A key of a Secret of the same namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: SecretKey
    """Key in it."""


class ConfigMapKeyRef(ApiModel):
    """A key of a ConfigMap of the same namespace."""

    name: ObjectName
    """Name of the ConfigMap."""
    key: SecretKey
    """Key in it."""


class FieldRef(ApiModel):
    """A field of the pod itself."""

    field_path: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    """Such as `metadata.name` or `status.podIP`."""


class EnvSource(ApiModel):
    """Where a variable's value comes from: exactly one of the two."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.secretKeyRef) != has(self.fieldRef)",
                    "message": "give exactly one of secretKeyRef and fieldRef",
                }
            ]
        }
    }

    secret_key_ref: SecretKeyRef | None = None
    """A key of a Secret."""
    field_ref: FieldRef | None = None
    """A field of the pod."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.secret_key_ref is None) == (self.field_ref is None):
            raise ValueError("give exactly one of secretKeyRef and fieldRef")
        return self


class EnvVar(ApiModel):
    """An environment variable: exactly one of `value` and `valueFrom`."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.value) != has(self.valueFrom)",
                    "message": "give exactly one of value and valueFrom",
                }
            ]
        }
    }

    name: Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """Name of the variable."""
    value: Annotated[str, StringConstraints(max_length=32768)] | None = None
    """A literal; never a secret."""
    value_from: EnvSource | None = None
    """Another source."""

    @model_validator(mode="after")
    def _one_value(self) -> Self:
        if (self.value is None) == (self.value_from is None):
            raise ValueError("give exactly one of value and valueFrom")
        return self


class Resources(ApiModel):
    """Requests and limits of the agent's container."""

    requests: Annotated[dict[LabelKey, Quantity], Field(max_length=16)] | None = None
    """What the scheduler reserves, such as `{cpu: 250m, memory: 256Mi}`."""
    limits: Annotated[dict[LabelKey, Quantity], Field(max_length=16)] | None = None
    """What the container may use at most."""


class Toleration(ApiModel):
    """A taint that the pods tolerate."""

    key: Annotated[str, StringConstraints(max_length=317)] | None = None
    """Key of the taint; every key without it."""
    operator: Literal["Exists", "Equal"] | None = None
    """How key and value are compared."""
    value: Annotated[str, StringConstraints(max_length=63)] | None = None
    """Value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; every effect without it."""
    toleration_seconds: Annotated[int, Field(ge=0)] | None = None
    """How long a NoExecute taint is tolerated."""


class PodSettings(ApiModel):
    """How the agent's pods run."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    """Image of one's own, built on the runtime's; the operator's default without it."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When kubelet pulls the image."""
    image_pull_secrets: Annotated[tuple[LocalObjectReference, ...], Field(max_length=16)] = ()
    """Secrets for the image's registry."""
    resources: Resources | None = None
    """Requests and limits."""
    env: Annotated[tuple[EnvVar, ...], Field(max_length=128)] = ()
    """Environment variables: literals, fields of the pod, and keys of Secrets by explicit reference."""
    node_selector: Annotated[dict[LabelKey, LabelValue], Field(max_length=64)] = {}
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=64)] = ()
    """Taints that are tolerated."""
    affinity: Passed | None = None
    """Kubernetes' own affinity."""
    topology_spread_constraints: Annotated[tuple[Passed, ...], Field(max_length=16)] = ()
    """Kubernetes' own topology spread constraints."""
    priority_class_name: ObjectName | None = None
    """Priority class."""
    service_account_name: ObjectName | None = None
    """A service account of one's own; the operator makes one without any rights otherwise."""
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=64)] = {}
    """Further labels of the pods; the operator's own cannot be changed."""
    annotations: Annotated[
        dict[LabelKey, Annotated[str, StringConstraints(max_length=32768)]], Field(max_length=64)
    ] = {}
    """Further annotations of the pods."""
