"""Reads the rendered configuration that the operator mounted. Every problem is told at once."""

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


def _refused(field: str, message: str, remedy: str) -> ConfigRefused:
    return ConfigRefused([Problem(field=field, message=message, remedy=remedy)])
