"""`spec.services`: what the agent gets injected, and where its settings come from."""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from mizzen_api.agent_spec import PreservedObject
from mizzen_api.base import ApiModel, Matching
from mizzen_api.breakers import BreakerSpec
from mizzen_api.pod import LocalName, LocalObjectReference, ObjectName, SecretKey

_DOTTED = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*"

Interface = Annotated[
    str,
    StringConstraints(max_length=512),
    Matching(
        rf"^([A-Za-z_][A-Za-z0-9_]*|{_DOTTED}:{_DOTTED})$",
        "write DatabaseService, CacheService, ExternalAPIService, or one of your own as package.module:Name",
    ),
]
"""An interface by name, or of one's own by import path."""
Implementation = Annotated[
    str,
    StringConstraints(max_length=512),
    Matching(
        rf"^([a-z][a-z0-9-]*|{_DOTTED}:{_DOTTED})$",
        "write postgres, sqlite, redis, memory, http, or one of your own as package.module:Name",
    ),
]
"""An implementation by name, or of one's own by import path."""
SettingsField = Annotated[
    str,
    StringConstraints(max_length=253),
    Matching(r"^[A-Za-z_][A-Za-z0-9_]*$", "write the field's name, that of a field inside another as outer__inner"),
]

Required = Literal["AtStart", "Always", "Never"]
"""When a service must be healthy: before the first request and before a reload takes effect; all the time, or the pod
is not ready; never."""
Scope = Literal["singleton", "request", "transient"]
"""One for the process; one for each run; one for each place that asks."""


class KeyToField(ApiModel):
    """One key of a Secret, and the field of the settings that it fills."""

    key: SecretKey
    """Key in the Secret."""
    field: SettingsField | None = None
    """Field of the settings; the one with the key's own name without it."""

    @property
    def file(self) -> str:
        """Name of the file that holds the value in the pod."""
        return self.field or self.key


class SettingsSecret(ApiModel):
    """A Secret of the same namespace that holds settings."""

    name: ObjectName
    """Name of the Secret."""
    keys: Annotated[tuple[KeyToField, ...], Field(min_length=1, max_length=64)] | None = None
    """Keys that are used, where they do not all concern this service; every key without it."""

    @model_validator(mode="after")
    def _fills_each_field_once(self) -> Self:
        counts = Counter(item.file for item in self.keys or ())
        repeated = sorted(name for name, count in counts.items() if count > 1)
        if repeated:
            raise ValueError(f"several keys fill the field {', '.join(map(repr, repeated))}: leave one of them")
        return self


REQUIRED_OF_A_SINGLETON = (
    "required is for a service with scope singleton, which is pinged; leave it out of one that runs make anew"
)
BREAKER_OF_A_SINGLETON = (
    "breaker is for a service with scope singleton, of which there is one to be known; leave it out of one that runs "
    "make anew"
)


class ServiceSpec(ApiModel):
    """One service that the agent gets injected."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                {"rule": "!has(self.required) || self.scope == 'singleton'", "message": REQUIRED_OF_A_SINGLETON},
                {"rule": "!has(self.breaker) || self.scope == 'singleton'", "message": BREAKER_OF_A_SINGLETON},
            ]
        }
    }

    name: LocalName
    """What it is called among the agent's services, such as `database`."""
    interface: Interface
    """What the agent knows it as: DatabaseService, CacheService, ExternalAPIService, or an interface of one's own as
    `package.module:Name`."""
    implementation: Implementation
    """What it is: postgres, sqlite, redis, memory, http, or a class or factory of one's own as
    `package.module:Name`."""
    settings: PreservedObject | None = None
    """Settings that belong to the revision: a change rolls the pods. Never a secret."""
    config_map_ref: LocalObjectReference | None = None
    """A ConfigMap with settings, one key a field, `outer__inner` for a field inside another. Its changes are taken up
    without a restart."""
    secret_ref: SettingsSecret | None = None
    """A Secret with settings, likewise."""
    required: Required | None = None
    """For scope singleton. AtStart, which it is without it: it must be healthy before the first request; when it fails
    later, its callers are told. Always: a pod whose service is not healthy gets no requests. Never: the agent does
    without."""
    scope: Scope = "singleton"
    """singleton: one for the process. request: one for each run. transient: one for each place that asks."""
    breaker: BreakerSpec | None = None
    """For scope singleton and an interface that is a Protocol. When it is not asked for a while because its calls fail
    with ServiceUnavailableError, or are slow; it is always asked without this."""

    @model_validator(mode="after")
    def _is_required_and_guarded_only_if_it_lasts(self) -> Self:
        if self.scope != "singleton":
            if self.required is not None:
                raise ValueError(REQUIRED_OF_A_SINGLETON)
            if self.breaker is not None:
                raise ValueError(BREAKER_OF_A_SINGLETON)
        return self
