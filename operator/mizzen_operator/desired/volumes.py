"""What is mounted into an agent's pods: its configuration, and the ConfigMaps and Secrets that it refers to.

What the user refers to is optional to kubelet, so that the pod starts without it and the runtime can name everything
that is missing at once; kubelet would name one object, in an event. A whole folder is mounted, never a single file of
it (`subPath`): only then do changes arrive.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.contract import (
    API_KEY_FILE,
    AUTHORITIES_DIRECTORY,
    AUTHORITIES_FILE,
    CONFIG_DIRECTORY,
    CONFIG_FILE,
    LIVE_DIRECTORY,
    LIVE_FILE,
    MODELS_DIRECTORY,
    SECRETS_DIRECTORY,
    VALUE_FILE,
    settings_path,
)
from mizzen_api.pod import SecretKeyRef
from mizzen_api.services import ServiceSpec
from mizzen_operator.desired.config_map import config_map_name
from mizzen_operator.desired.live_config_map import live_config_map_name

LIVE_VOLUME = "live"
"""Of what the operator itself changes while a revision runs."""
_OWN = frozenset({"config", "tmp", LIVE_VOLUME})
"""The volumes that every pod has, and only the operator changes."""
_READABLE = 0o444
_SECRET = 0o440
"""For the pod's own group."""


@dataclass(frozen=True)
class Volume:
    """One volume, and where it is mounted."""

    name: str
    path: str
    source: Mapping[str, Any]
    read_only: bool = True

    @property
    def manifest(self) -> dict[str, Any]:
        """The entry of the pod's `volumes`."""
        return {"name": self.name, **self.source}

    @property
    def mount(self) -> dict[str, Any]:
        """The entry of the container's `volumeMounts`."""
        mount = {"name": self.name, "mountPath": self.path}
        return {**mount, "readOnly": True} if self.read_only else mount


def changes_by_itself(agent: AgentDeployment) -> bool:
    """Tell whether something may change in an agent's pods while its revision stays: a service, or a mounted object."""
    return bool(agent.spec.services) or any(volume.name not in _OWN for volume in volumes_of(agent, ""))


def volumes_of(agent: AgentDeployment, revision: str) -> Iterator[Volume]:
    """Give the volumes of a revision's pods.

    Args:
        agent: The resource.
        revision: Name of the revision; empty while the name is being computed.
    """
    own = {"name": config_map_name(agent.metadata.name, revision), "defaultMode": _READABLE}
    yield Volume(
        "config", CONFIG_DIRECTORY, {"configMap": {**own, "items": [{"key": CONFIG_FILE, "path": CONFIG_FILE}]}}
    )
    yield Volume("tmp", "/tmp", {"emptyDir": {}}, read_only=False)  # noqa: S108 - a path in the pod
    live = _config_map(live_config_map_name(agent.metadata.name), {LIVE_FILE: LIVE_FILE})
    yield Volume(LIVE_VOLUME, LIVE_DIRECTORY, live)
    for index, model in enumerate(agent.spec.models or ()):
        if model.api_key is not None:
            source = _key(model.api_key.secret_key_ref, API_KEY_FILE)
            yield Volume(f"model-{index}", f"{MODELS_DIRECTORY}/{index}", source)
        if model.ca_bundle is not None:
            reference = model.ca_bundle.config_map_key_ref
            source = _config_map(reference.name, {reference.key: AUTHORITIES_FILE})
            yield Volume(f"model-{index}-ca", f"{AUTHORITIES_DIRECTORY}/{index}", source)
    for secret in agent.spec.secrets or ():
        source = _key(secret.secret_key_ref, VALUE_FILE)
        yield Volume(f"secret-{secret.name}", f"{SECRETS_DIRECTORY}/{secret.name}", source)
    for service in agent.spec.services or ():
        yield from _settings_of(service)


def _key(reference: SecretKeyRef, file: str) -> dict[str, Any]:
    """Mount the one key of the Secret that is needed."""
    return _secret(reference.name, {reference.key: file})


def _settings_of(service: ServiceSpec) -> Iterator[Volume]:
    if service.config_map_ref is not None:
        source = _config_map(service.config_map_ref.name, None)
        yield Volume(f"service-{service.name}-config", settings_path(service.name, "ConfigMap"), source)
    if service.secret_ref is not None:
        listed = service.secret_ref.keys
        keys = {item.key: item.file for item in listed} if listed is not None else None
        source = _secret(service.secret_ref.name, keys)
        yield Volume(f"service-{service.name}-secret", settings_path(service.name, "Secret"), source)


def _secret(name: str, files: Mapping[str, str] | None) -> dict[str, Any]:
    return {"secret": {"secretName": name, "optional": True, "defaultMode": _SECRET, **_items(files)}}


def _config_map(name: str, files: Mapping[str, str] | None) -> dict[str, Any]:
    return {"configMap": {"name": name, "optional": True, "defaultMode": _READABLE, **_items(files)}}


def _items(files: Mapping[str, str] | None) -> dict[str, Any]:
    """Name the files by key; all keys are mounted, under their own names, without."""
    return {"items": [{"key": key, "path": file} for key, file in files.items()]} if files is not None else {}
