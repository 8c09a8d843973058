"""Reads what the operator mounted: the rendered configuration and the models' keys. Every problem is told at once."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mizzen_api.agent_spec import AgentSpec
from mizzen_api.contract import (
    CONFIG_DIRECTORY,
    CONFIG_FILE,
    CONTRACT_VERSION,
    FailureKind,
    RuntimeConfig,
    SecretSource,
)
from mizzen_api.problems import Problem, problems_of

DEFAULT_CONFIG = Path(CONFIG_DIRECTORY) / CONFIG_FILE
SPEC_FIELD = "spec.agent"
"""Where the resource has the agent's spec."""
_RENDERED_BY_OPERATOR = "it is written by the operator: roll out operator and runtime of one release"


class ConfigRefused(Exception):  # noqa: N818 - it is a verdict with all its grounds, not one error
    """The configuration cannot be served."""

    def __init__(self, problems: Iterable[Problem], kind: FailureKind = "Configuration") -> None:
        """Keep all that is wrong, and who can mend it."""
        self.problems = tuple(problems)
        self.kind = kind
        super().__init__("; ".join(str(problem) for problem in self.problems))


def read_config(path: Path) -> RuntimeConfig:
    """Read the rendered configuration.

    Raises:
        ConfigRefused: It is missing, is no JSON, has a contract version unknown here, or does not fit the contract.
    """
    try:
        raw = json.loads(path.read_bytes())
    except OSError as error:
        raise _refused(
            str(path),
            f"cannot be read: {error.strerror}",
            "mount the agent's ConfigMap there, or name the file by --config",
        ) from error
    except (ValueError, RecursionError) as error:
        raise _refused(str(path), "is no JSON", _RENDERED_BY_OPERATOR) from error
    if not isinstance(raw, dict):
        raise _refused(str(path), "is no JSON object", _RENDERED_BY_OPERATOR)
    version = raw.get("contractVersion", CONTRACT_VERSION)
    if version != CONTRACT_VERSION:
        problem = Problem(
            field="contractVersion",
            message=f"this runtime does not know version {version!r}, it knows {CONTRACT_VERSION}",
            remedy="use a runtime image of the operator's release",
        )
        raise ConfigRefused([problem], kind="Contract")
    try:
        return RuntimeConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigRefused(problems_of(error)) from error


def check_shape(spec: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Find what is wrong with an agent's spec by its shape: unknown fields, wrong types, refused capabilities."""
    try:
        AgentSpec.model_validate(spec)
    except ValidationError as error:
        return problems_of(error, SPEC_FIELD)
    return ()


def read_keys(config: RuntimeConfig) -> tuple[dict[int, str], tuple[Problem, ...]]:
    """Read the keys of the models.

    Returns:
        The keys by their model's place in the chain, without the newline that ends many a file; and what is wrong with
        the others.
    """
    keys: dict[int, str] = {}
    problems: list[Problem] = []
    for index, model in enumerate(config.models):
        if model.api_key is None:
            continue
        key, fault = _read_key(Path(model.api_key.path))
        if fault is None:
            keys[index] = key
        else:
            problems.append(
                Problem(
                    field=f"spec.models[{index}].apiKey.secretKeyRef",
                    message=fault.format(name=model.api_key.name, key=model.api_key.key),
                    remedy=_create_secret(model.api_key, config.namespace),
                )
            )
    return keys, tuple(problems)


def _read_key(path: Path) -> tuple[str, str | None]:
    try:
        key = path.read_bytes().removesuffix(b"\n").removesuffix(b"\r").decode("ascii")
    except FileNotFoundError:
        return "", "Secret {name!r} or its key {key!r} is missing"
    except OSError as error:
        return "", f"key {{key!r}} of Secret {{name!r}} cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return "", "key {key!r} of Secret {name!r} holds bytes that no provider's key has"
    if not key:
        return "", "key {key!r} of Secret {name!r} is empty"
    if not key.isprintable() or " " in key:
        return "", "key {key!r} of Secret {name!r} holds a blank, a line break or a control character"
    return key, None


def _create_secret(source: SecretSource, namespace: str) -> str:
    return (
        f"kubectl create secret generic {source.name} --namespace {namespace} --from-literal={source.key}=<the key>, "
        "or add the key to it if the Secret is there"
    )


def _refused(field: str, message: str, remedy: str) -> ConfigRefused:
    return ConfigRefused([Problem(field=field, message=message, remedy=remedy)])
