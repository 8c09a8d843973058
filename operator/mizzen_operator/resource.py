"""Reading an AgentDeployment back from its record."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mizzen_api.agentdeployment import AgentDeployment, AgentDeploymentStatus
from mizzen_api.conditions import Condition, ConditionType
from mizzen_api.problems import problems_of
from mizzen_operator.desired import InvalidSpecError
from mizzen_operator.records import AgentRecord

_TYPES = frozenset(kind.value for kind in ConditionType)


@dataclass(frozen=True)
class StoredResource:
    """What the API server holds, before anybody has judged the spec."""

    generation: int
    replicas: int | None
    """How many pods it asks for; None if it says nothing about it."""
    status: AgentDeploymentStatus
    """As it was written last; without what this version cannot read."""


def stored_resource(record: AgentRecord) -> StoredResource:
    """Read what can be read whatever the spec is like."""
    raw = json.loads(record.content)
    return StoredResource(raw["metadata"].get("generation", 0), raw["spec"].get("replicas"), _status(raw["status"]))


def _status(raw: Mapping[str, Any]) -> AgentDeploymentStatus:
    """Read what this version knows of a status: what a newer one has added stays on the server, untouched."""
    conditions = tuple(known for entry in raw.get("conditions") or () if (known := _condition(entry)) is not None)
    try:
        status = AgentDeploymentStatus.model_validate({**raw, "conditions": ()}, extra="ignore")
    except ValidationError:
        status = AgentDeploymentStatus()
    return status.model_copy(update={"conditions": conditions})


def _condition(raw: object) -> Condition | None:
    try:
        condition = Condition.model_validate(raw, extra="ignore")
    except ValidationError:
        return None
    return condition if condition.type in _TYPES else None


def is_behind(record: AgentRecord) -> bool:
    """Tell whether the status speaks of another generation of the spec than there is."""
    stored = stored_resource(record)
    return stored.status.observed_generation != stored.generation


def parse_agent(record: AgentRecord) -> AgentDeployment:
    """Read the resource strictly.

    The API server has checked the schema; what a structural schema cannot express is checked here.

    Raises:
        InvalidSpecError: The spec has problems; the error has all of them.
    """
    raw = json.loads(record.content)
    raw.pop("status")
    try:
        return AgentDeployment.model_validate(raw)
    except ValidationError as error:
        raise InvalidSpecError(problems_of(error)) from error
