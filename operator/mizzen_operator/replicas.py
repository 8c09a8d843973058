"""How many pods an agent gets, and who says so.

`spec.replicas` does, and whoever scales the resource (`kubectl scale agd/x`, an autoscaler that targets it) writes it
there. Two cases need the operator's hand, and it writes the number into the resource, by its scale subresource:

- The field was left out, or taken out by somebody who hands over to an autoscaler. To leave it out of the Deployment
  would reset that to 1, and without it the scale subresource cannot be read: what is there stays.
- An autoscaler targets the Deployment instead of the resource. To put its number back would be a fight without end.
"""

from dataclasses import dataclass

from mizzen_operator.cache import Observed
from mizzen_operator.records import AgentRecord
from mizzen_operator.resource import StoredResource
from mizzen_operator.status.events import Happening


@dataclass(frozen=True)
class Replicas:
    """How many pods there are to be."""

    count: int
    to_write: bool = False
    """The resource does not say so yet."""
    happening: Happening | None = None
    """What is told when it is written."""


def replicas_of(record: AgentRecord, stored: StoredResource, observed: Observed) -> Replicas:
    """Give how many pods an agent is to have.

    Args:
        record: The resource.
        stored: What it asks for, and what was reported on it last.
        observed: What is known of its children.
    """
    rollout = observed.own_rollout(record)
    if stored.replicas is None:
        return Replicas(rollout.wanted if rollout is not None else 1, to_write=True)
    is_reported = stored.status.observed_generation == stored.generation  # else the resource has the last word
    if rollout is not None and rollout.autoscaled and is_reported and rollout.wanted != stored.replicas:
        return Replicas(rollout.wanted, to_write=True, happening=_wrong_target(record.name))
    return Replicas(stored.replicas)


def _wrong_target(name: str) -> Happening:
    return Happening(
        "Warning",
        "WrongScaleTarget",
        "Scale",
        f"A HorizontalPodAutoscaler scales Deployment {name}; its number is taken over into spec.replicas. "
        f"Let it target AgentDeployment {name} instead.",
    )
