"""What the operator remembers of its own work on one agent, and the API server does not tell. A restart forgets it."""

from dataclasses import dataclass, field

from mizzen_operator.plan import Overruled


@dataclass
class Memory:
    """What was learnt about the children of one resource."""

    agent_uid: str
    """The resource; one that is made again under the same name starts with an empty memory."""
    ours: set[str] = field(default_factory=set)
    """Uids of the children that it was seen to own: one of them that loses its owner gets it back."""
    overruled: dict[str, Overruled] = field(default_factory=dict)
    """By uid of the child: what came of an apply that admission changed. It is not applied again to the same end."""
    restarts: dict[str, str | None] = field(default_factory=dict)
    """By uid of the Deployment: the `kubectl rollout restart` that was seen last. What came before is not told."""
