"""What the operator writes for the runtime, and what the runtime reports back."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mizzen_api.base import ApiModel
from mizzen_api.breakers import RuntimeBreaker
from mizzen_api.duration import MAX_DURATION_SECONDS
from mizzen_api.health import HealthState, RuntimeHealth
from mizzen_api.limits import RuntimeLimits
from mizzen_api.monitoring import LogLevel
from mizzen_api.price import ModelPrice
from mizzen_api.problems import Problem, shortened
from mizzen_api.services import Required, Scope

CONTRACT_VERSION: Literal[1] = 1
"""Raised when the shape of what follows changes in a way that the other side must know."""

MOUNT_ROOT = "/etc/mizzen"
"""Where everything is mounted, in a pod; a laptop has a folder of its own for it."""
CONFIG_DIRECTORY = f"{MOUNT_ROOT}/agent"
"""Where a revision's immutable ConfigMap is mounted."""
CONFIG_FILE = "agent.json"
"""Key of the ConfigMap that holds the `RuntimeConfig`."""
MODELS_DIRECTORY = f"{MOUNT_ROOT}/models"
"""Below it one folder for each model with a key, named by the model's place in the chain."""
API_KEY_FILE = "api-key"
"""Name of the file in a model's folder."""
AUTHORITIES_DIRECTORY = f"{MOUNT_ROOT}/model-authorities"
"""Below it one folder for each model with a bundle of authorities, named by the model's place in the chain."""
AUTHORITIES_FILE = "ca.crt"
"""Name of the file in such a folder."""
SECRETS_DIRECTORY = f"{MOUNT_ROOT}/secrets"
"""Below it one folder for each secret that capabilities refer to, by its name."""
VALUE_FILE = "value"
"""Name of the file in a secret's folder."""
SERVICES_DIRECTORY = f"{MOUNT_ROOT}/services"
"""Below it one folder for each service with settings in a ConfigMap or a Secret, named by the service; in it a folder
`config` or `secret`, with a file for each field."""
LIVE_DIRECTORY = f"{MOUNT_ROOT}/live"
"""Where the ConfigMap with what may change while a revision runs is mounted, if there is one."""
LIVE_FILE = "live.json"
"""Key of that ConfigMap, and name of the file, that holds the `LiveSettings`."""
TERMINATION_LOG = "/dev/termination-log"
"""Where kubelet reads a container's last words."""
TERMINATION_LOG_BYTES = 4096
"""What kubelet keeps of them."""


def api_key_path(index: int, root: str = MOUNT_ROOT) -> str:
    """Give the path of the key of the model at `index` of the chain, where `root` takes the place of a pod's folder."""
    return f"{_below(root, MODELS_DIRECTORY)}/{index}/{API_KEY_FILE}"


def authorities_path(index: int, root: str = MOUNT_ROOT) -> str:
    """Give the path of the authorities of the model at `index`, where `root` takes the place of a pod's folder."""
    return f"{_below(root, AUTHORITIES_DIRECTORY)}/{index}/{AUTHORITIES_FILE}"


def secret_path(name: str, root: str = MOUNT_ROOT) -> str:
    """Give the path of a secret that capabilities refer to, where `root` takes the place of a pod's folder."""
    return f"{_below(root, SECRETS_DIRECTORY)}/{name}/{VALUE_FILE}"


def settings_path(service: str, kind: str, root: str = MOUNT_ROOT) -> str:
    """Give the folder of a service's settings.

    Args:
        service: Name of the service.
        kind: `ConfigMap` or `Secret`.
        root: What takes the place of a pod's folder.
    """
    return f"{_below(root, SERVICES_DIRECTORY)}/{service}/{'config' if kind == 'ConfigMap' else 'secret'}"


def _below(root: str, directory: str) -> str:
    return root + directory.removeprefix(MOUNT_ROOT)


class SecretSource(ApiModel):
    """Which key of which Secret a mounted file comes from: for messages, never for reading it by the API."""

    name: str
    """Name of the Secret."""
    key: str
    """Key in it."""
    path: str
    """Path of the file in the pod."""


class ConfigMapSource(ApiModel):
    """Which key of which ConfigMap a mounted file comes from."""

    name: str
    """Name of the ConfigMap."""
    key: str
    """Key in it."""
    path: str
    """Path of the file in the pod."""


class RuntimeModel(ApiModel):
    """One model of the chain."""

    model: str
    """`provider:name` in pydantic-ai's notation, or `test`."""
    base_url: str | None = None
    """Address of the provider's API; the provider's own default without it."""
    api_key: SecretSource | None = None
    """Where the key is mounted."""
    ca_bundle: ConfigMapSource | None = None
    """Where the authorities are mounted that its certificate is checked against; the system's own without it."""
    request_timeout_seconds: Annotated[float, Field(gt=0, le=MAX_DURATION_SECONDS)] | None = None
    """Bound on one request to the model."""
    breaker: RuntimeBreaker | None = None
    """When it is not asked for a while; by the defaults without it."""
    price: ModelPrice | None = None
    """What it costs; absent where the resource does not say it."""


class RuntimeSecret(ApiModel):
    """One value that capabilities refer to."""

    name: str
    """By which they do."""
    source: SecretSource
    """Where it is mounted."""


class SettingsSource(ApiModel):
    """A mounted ConfigMap or Secret with settings of a service."""

    kind: Literal["ConfigMap", "Secret"]
    """Kind of the object."""
    name: str
    """Its name."""
    path: str
    """Folder in the pod, with a file for each field."""
    keys: dict[str, str] | None = None
    """The object's keys by the file that each one is mounted as; all keys, under their own names, without it."""

    def key_of(self, file: str) -> str:
        """Give the key that a file comes from."""
        return file if self.keys is None else self.keys.get(file, file)


class RuntimeService(ApiModel):
    """One service that the agent gets injected."""

    name: str
    """What it is called."""
    interface: str
    """A name, or an import path."""
    implementation: str
    """A name, or an import path."""
    settings: dict[str, Any] | None = None
    """Settings of the resource itself."""
    sources: tuple[SettingsSource, ...] = ()
    """Where further settings are mounted."""
    required: Required = "AtStart"
    """When it must be healthy."""
    scope: Scope = "singleton"
    """Who shares it."""
    breaker: RuntimeBreaker | None = None
    """When it is not asked for a while; it is always asked without it."""


class RuntimeTracing(ApiModel):
    """Where spans go, and which of them."""

    endpoint: str
    """Address of a collector that takes OTLP over HTTP; spans go to `/v1/traces` below it."""
    sampling_ratio: Annotated[float, Field(ge=0, le=1)]
    """Which part of the traces that begin here is recorded."""
    include_content: bool
    """Whether spans hold what users ask, what models answer, and what tools are given and return."""


class LiveSettings(ApiModel):
    """What is taken up while a revision runs, as the operator writes it into a ConfigMap that is no revision's."""

    contract_version: Literal[1] = CONTRACT_VERSION
    """Version of this very shape."""
    log_level: LogLevel = "info"
    """From which level on lines are logged."""


class RuntimeConfig(ApiModel):
    """All that a runtime needs to know about its agent, as written into the revision's ConfigMap."""

    contract_version: Literal[1] = CONTRACT_VERSION
    """Version of this very shape."""
    namespace: str
    """Namespace of the AgentDeployment."""
    name: str
    """Name of the AgentDeployment."""
    revision: str
    """Hash that names this configuration."""
    agent: dict[str, Any] | None = None
    """The agent in pydantic-ai's own AgentSpec, as the user wrote it; absent where `entrypoint` names it."""
    entrypoint: str | None = None
    """The agent in own code, as `package.module:name`; absent where `agent` describes it."""
    models: tuple[RuntimeModel, ...]
    """The chain in order of preference; empty where `agent.model` or own code names the model."""
    vars: dict[str, Any] | None = None
    """Values for the templates in the agent's instructions and description; absent where there are none."""
    secrets: tuple[RuntimeSecret, ...] | None = None
    """Values that the capabilities' arguments refer to; absent where there are none."""
    services: tuple[RuntimeService, ...] | None = None
    """What the agent gets injected; absent where it gets nothing."""
    health: RuntimeHealth | None = None
    """When the agent counts as not well; absent where the resource leaves all of it to the defaults."""
    limits: RuntimeLimits | None = None
    """How much at once and how long; absent where the resource leaves all of it to the defaults."""
    secret_variables: tuple[str, ...] | None = None
    """Environment variables of the pod that come from Secrets, by name: what own code says when it fails at start is
    told without their values. Absent where there are none, or no own code."""
    tracing: RuntimeTracing | None = None
    """Where spans go; absent where nothing is traced."""

    @model_validator(mode="after")
    def _one_agent(self) -> Self:
        if (self.agent is None) == (self.entrypoint is None):
            raise ValueError("exactly one of agent and entrypoint is given")
        return self


FailureKind = Literal["Configuration", "Contract", "Fault"]


class StartFailure(ApiModel):
    """A runtime's last words when it cannot start: JSON in the container's termination message."""

    contract_version: Literal[1] = CONTRACT_VERSION
    """Version of this very shape."""
    kind: FailureKind = "Configuration"
    """Configuration: the author of the resource can mend it. Contract: the operator writes a version of the rendered
    configuration that the runtime does not know. Fault: the runtime or a library of its image failed."""
    problems: tuple[Problem, ...]
    """Everything that is wrong."""
    omitted: int = 0
    """How many further problems did not fit; the pod's log has them."""


def contract_version_of(text: str) -> int | None:
    """Give the contract version that a report states, whatever else it holds; None if it states none."""
    try:
        report = json.loads(text)
    except (ValueError, RecursionError):  # it may be anything, such as a thousand brackets
        return None
    version = report.get("contractVersion") if isinstance(report, dict) else None
    return version if isinstance(version, int) else None


_TEXT_LENGTHS = (400, 200, 100, 50)
"""Characters that each text of a problem may have: the shorter ones only where not a single problem fits."""


def fit_start_failure(
    problems: tuple[Problem, ...], *, kind: FailureKind = "Configuration", limit: int = TERMINATION_LOG_BYTES
) -> str:
    """Give a `StartFailure` as JSON of at most `limit` bytes, with as many of the problems as fit.

    Long texts are cut, and a problem that does not fit makes room for those after it.

    Raises:
        ValueError: The limit holds no problem, or not even an empty report.
    """
    for length in _TEXT_LENGTHS:
        report = _fitting(problems, kind, length, limit)
        text = report.model_dump_json()
        if len(text.encode()) <= limit and (report.problems or not problems):
            return text
    raise ValueError(f"{limit} bytes cannot hold the report of a failed start")


def _fitting(problems: tuple[Problem, ...], kind: FailureKind, length: int, limit: int) -> StartFailure:
    kept: list[Problem] = []
    size = len(StartFailure(kind=kind, problems=(), omitted=len(problems)).model_dump_json())
    for problem in problems:
        cut = Problem(
            field=shortened(problem.field, length),
            message=shortened(problem.message, length),
            remedy=shortened(problem.remedy, length),
        )
        needed = len(cut.model_dump_json().encode()) + len(",")
        if size + needed <= limit:
            kept.append(cut)
            size += needed
    return StartFailure(kind=kind, problems=tuple(kept), omitted=len(problems) - len(kept))


Phase = Literal["Starting", "Serving", "Draining"]


class ServiceReport(ApiModel):
    """How one service of the agent is."""

    name: str
    """What it is called."""
    healthy: bool | None
    """Absent until it was asked for the first time."""
    reason: str = ""
    """Why it is not healthy."""


class BreakerReport(ApiModel):
    """How one circuit breaker is."""

    name: str
    """Such as `model:vllm:qwen3-32b` or `service:crm`."""
    state: str
    """closed, open or half_open."""


class StateReport(ApiModel):
    """What `GET /state` on the management port answers."""

    contract_version: Literal[1] = CONTRACT_VERSION
    """Version of this very shape."""
    runtime_version: str
    """Version of the mizzen package in the pod."""
    namespace: str
    """Namespace of the AgentDeployment."""
    name: str
    """Name of the AgentDeployment."""
    revision: str
    """Revision in force."""
    phase: Phase
    """Starting until wired, Serving until SIGTERM, then Draining."""
    in_flight: int
    """Requests being answered at this moment."""
    queued: int = 0
    """Requests that wait for their turn."""
    limits: RuntimeLimits | None = None
    """How many may be answered and wait at once, and how long; absent from runtimes that do not say."""
    models: tuple[str, ...]
    """The model chain by name."""
    services: tuple[ServiceReport, ...] = ()
    """The agent's services that live as long as the process."""
    breakers: tuple[BreakerReport, ...] = ()
    """The circuit breakers of models and services."""
    test_services: bool = False
    """Whether test doubles stand in for services."""
    reload_failures: tuple[Problem, ...] = ()
    """Why changed ConfigMaps and Secrets are not in force, one for each service or model chain that stays as it was."""
    health: HealthState | None = None
    """How the pod is; absent from runtimes that do not say."""
