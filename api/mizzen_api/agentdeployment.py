"""The custom resource `AgentDeployment`: the only definition of the CRD."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from mizzen_api.agent_spec import AgentSpec, ModelName, PreservedObject
from mizzen_api.base import ApiModel, Matching
from mizzen_api.breakers import BreakerSpec
from mizzen_api.capabilities import secrets_named_in
from mizzen_api.conditions import Condition
from mizzen_api.duration import Duration
from mizzen_api.health import HealthSpec
from mizzen_api.limits import Limits
from mizzen_api.monitoring import LoggingSettings, MonitoringSettings
from mizzen_api.names import API_VERSION, KIND, MAX_NAME_LENGTH
from mizzen_api.pod import ConfigMapKeyRef, LocalName, PodSettings, SecretKeyRef
from mizzen_api.price import ModelPrice
from mizzen_api.services import ServiceSpec

ApiAddress = Annotated[
    str,
    StringConstraints(max_length=2048),
    Matching(
        r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        "write it as http://host:port/path, without user, password or query: a key belongs in apiKey",
        may_be_secret=True,
    ),
]
_DOTTED = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*"
Entrypoint = Annotated[
    str,
    StringConstraints(max_length=512),
    Matching(
        rf"^{_DOTTED}:{_DOTTED}$",
        "write it as package.module:name, such as acme_triage.agents:triage",
    ),
]
"""An object in Python code: a module's dotted name, a colon, and the object's name in it."""
NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"


class ModelKey(ApiModel):
    """Where the key of a model's provider comes from."""

    secret_key_ref: SecretKeyRef
    """A key of a Secret of the same namespace."""


class AuthorityBundle(ApiModel):
    """Where certificates of authorities come from."""

    config_map_key_ref: ConfigMapKeyRef
    """A key of a ConfigMap of the same namespace, with one or more certificates in PEM."""


class ModelEndpoint(ApiModel):
    """One model of the chain."""

    model: ModelName
    """`provider:name` as pydantic-ai writes it, such as `vllm:qwen3-32b`; `test` answers without a model."""
    base_url: ApiAddress | None = None
    """Address of the provider's API, such as `http://vllm.models:8000/v1`; the provider's own without it."""
    api_key: ModelKey | None = None
    """The provider's key. A new one is taken up without a restart, unless the provider refuses it."""
    ca_bundle: AuthorityBundle | None = None
    """The authorities that the address's certificate is checked against, in place of the system's. Its changes are
    taken up without a restart."""
    request_timeout: Duration | None = None
    """How long one request to the model may take, such as `30s`."""
    breaker: BreakerSpec | None = None
    """When it is not asked for a while because it fails or is slow. Each model has a breaker, with the defaults if this
    is left out."""
    price: ModelPrice | None = None
    """What it costs, for the metric `mizzen_cost_usd_total`; the price that genai-prices lists without it, if any."""


LIST_MAP_BY_NAME = Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]})
"""A list in which each name is there once: the API server refuses another one, and server-side apply merges by it."""


class NamedSecret(ApiModel):
    """A value for capabilities, by the name that `{secret: NAME}` in an argument's place refers to."""

    name: LocalName
    """Its name in this resource."""
    secret_key_ref: SecretKeyRef
    """A key of a Secret of the same namespace."""


ONE_AGENT_SOURCE = "give the agent either in spec.agent or as own code in spec.entrypoint, exactly one of the two"
SECRETS_OF_AN_AGENT = (
    "spec.secrets are for the capabilities of spec.agent; own code in spec.entrypoint gets its secrets by spec.pod.env"
)
VARS_OF_AN_AGENT = "spec.vars fills the templates in spec.agent; own code in spec.entrypoint has no use for it"
ONE_MODEL_SOURCE = "give the model either in spec.agent.model or in spec.models, exactly one of the two"


class AgentDeploymentSpec(ApiModel):
    """What the agent is and how it runs."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                {"rule": "has(self.agent) != has(self.entrypoint)", "message": ONE_AGENT_SOURCE},
                {
                    "rule": "!has(self.agent) || has(self.models) != has(self.agent.model)",
                    "message": ONE_MODEL_SOURCE,
                },
                {"rule": "!has(self.vars) || has(self.agent)", "message": VARS_OF_AN_AGENT},
                {"rule": "!has(self.secrets) || has(self.agent)", "message": SECRETS_OF_AN_AGENT},
            ]
        }
    }

    agent: AgentSpec | None = None
    """The agent in pydantic-ai's own AgentSpec, in its own snake_case. Give it here, or own code in `entrypoint`."""
    entrypoint: Entrypoint | None = None
    """The agent in own code, as `package.module:name`: an Agent of pydantic-ai, or a function that gives one."""
    models: Annotated[tuple[ModelEndpoint, ...], Field(min_length=1, max_length=8)] | None = None
    """The chain of models, in order of preference: the next answers when one fails. It replaces own code's model."""
    services: Annotated[tuple[ServiceSpec, ...], Field(min_length=1, max_length=32), LIST_MAP_BY_NAME] | None = None
    """What the agent gets injected."""
    vars: PreservedObject | None = None
    """Values for `{{…}}` in the agent's instructions and description, by name; they belong to the revision."""
    secrets: Annotated[tuple[NamedSecret, ...], Field(min_length=1, max_length=32), LIST_MAP_BY_NAME] | None = None
    """Values for the arguments of capabilities, such as an MCP server's token: `{secret: NAME}` stands for one. A new
    value is taken up without a restart."""
    limits: Limits | None = None
    """How much each pod does at once, and how long that may take."""
    logging: LoggingSettings | None = None
    """What the pods log. It is no part of the revision: nothing rolls when it changes."""
    monitoring: MonitoringSettings | None = None
    """What the pods tell others of their work."""
    replicas: Annotated[int, Field(ge=0, le=1000)] | None = None
    """How many pods. Left out, the operator fills in how many there are (1 at first) and then leaves it alone: what
    `kubectl scale` or an autoscaler that targets this resource sets stays."""
    health: HealthSpec | None = None
    """When the agent counts as not well."""
    pod: PodSettings = PodSettings()
    """How the pods run."""

    @property
    def first_model(self) -> str | None:
        """The model that is asked first; None where own code names it."""
        if self.models:
            return self.models[0].model
        return self.agent.model if self.agent else None

    @model_validator(mode="after")
    def _fields_that_fit_each_other(self) -> Self:
        problems = []
        if (self.agent is None) == (self.entrypoint is None):
            problems.append(ONE_AGENT_SOURCE)
        if self.agent is not None and (self.models is None) == (self.agent.model is None):
            problems.append(ONE_MODEL_SOURCE)
        if self.vars is not None and self.agent is None:
            problems.append(VARS_OF_AN_AGENT)
        if self.secrets is not None and self.agent is None:
            problems.append(SECRETS_OF_AN_AGENT)
        elif self.agent is not None:
            problems.extend(self._secret_problems(self.agent))
        problems.extend(_repetitions("spec.services", self.services or ()))
        problems.extend(_repetitions("spec.secrets", self.secrets or ()))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _secret_problems(self, agent: AgentSpec) -> Iterator[str]:
        names = [secret.name for secret in self.secrets or ()]
        used = set(secrets_named_in(agent.capabilities))
        for name in sorted(used.difference(names)):
            yield f"a capability refers to the secret {name!r}: give it in spec.secrets"
        for name in sorted(set(names) - used):
            yield f"no capability refers to the secret {name!r}: remove it from spec.secrets"


def _repetitions(field: str, items: Iterable[ServiceSpec | NamedSecret]) -> Iterator[str]:
    counts = Counter(item.name for item in items)
    for name in sorted(name for name, count in counts.items() if count > 1):
        yield f"the name {name!r} is given more than once in {field}: leave one of them"


class AgentDeploymentStatus(ApiModel):
    """What the operator observed."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """Generation of the spec that the status speaks of."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    """Available, Ready, Progressing, ConfigResolved, Healthy, Secure."""
    stable_revision: Annotated[str, StringConstraints(max_length=63)] | None = None
    """Revision that was last rolled out fully."""
    candidate_revision: Annotated[str, StringConstraints(max_length=63)] | None = None
    """Revision that is being rolled out; absent when there is none."""
    runtime_image: Annotated[str, StringConstraints(max_length=1024)] | None = None
    """Image that the pods run. The operator's default is taken up when it is first applied and with each edit; a later
    default waits for the next edit, unless the operator is set to move agents by itself."""
    model: Annotated[str, StringConstraints(max_length=256)] | None = None
    """The first model of the chain; absent where own code names its model."""
    url: Annotated[str, StringConstraints(max_length=2048)] | None = None
    """Address inside the cluster."""
    replicas: Annotated[int, Field(ge=0)] | None = None
    """How many pods there are."""
    ready_replicas: Annotated[int, Field(ge=0)] | None = None
    """How many of them are ready."""
    selector: Annotated[str, StringConstraints(max_length=1024)] | None = None
    """Label selector of the pods, for the scale subresource."""


class Metadata(ApiModel):
    """The part of Kubernetes' object metadata that Mizzen reads."""

    model_config = {"extra": "ignore"}

    name: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    """Name of the object."""
    namespace: Annotated[str, StringConstraints(min_length=1, max_length=63)] = "default"
    """Namespace of the object."""
    uid: str = ""
    """Identity given by the API server; empty in a file."""
    generation: int = 0
    """Counts changes of the spec; 0 in a file."""


NAME_MESSAGE = (
    f"the name must be at most {MAX_NAME_LENGTH} characters of a-z, 0-9 and '-', starting with a letter, without dots: "
    "the operator's objects add a suffix to it and the Service needs a DNS label"
)


class AgentDeployment(ApiModel):
    """Runs a PydanticAI agent as a hardened, observed HTTP service."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                {
                    "rule": f"self.metadata.name.size() <= {MAX_NAME_LENGTH} && "
                    f"self.metadata.name.matches('{NAME_PATTERN}')",
                    "message": NAME_MESSAGE,
                }
            ]
        }
    }

    api_version: Literal["mizzen.dev/v1alpha1"] = API_VERSION
    """`mizzen.dev/v1alpha1`."""
    kind: Literal["AgentDeployment"] = KIND
    """`AgentDeployment`."""
    metadata: Metadata
    """Name and namespace."""
    spec: AgentDeploymentSpec
    """What the agent is and how it runs."""
    status: AgentDeploymentStatus = AgentDeploymentStatus()
    """What the operator observed."""

    @field_validator("metadata")
    @classmethod
    def _short_plain_name(cls, metadata: Metadata) -> Metadata:
        if len(metadata.name) > MAX_NAME_LENGTH or re.fullmatch(NAME_PATTERN, metadata.name) is None:
            raise ValueError(NAME_MESSAGE)
        return metadata
