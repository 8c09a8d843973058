"""The status of an AgentDeployment, computed from what was observed."""

from mizzen_api.agentdeployment import AgentDeployment, AgentDeploymentStatus
from mizzen_operator.desired import owned_selector
from mizzen_operator.desired.service import service_url
from mizzen_operator.status.conditions import Situation, conditions, judge


def compute_status(
    agent: AgentDeployment, situation: Situation, before: AgentDeploymentStatus, now: str
) -> AgentDeploymentStatus:
    """Give the status of an agent whose spec could be read.

    Args:
        agent: The resource.
        situation: What was observed.
        before: The status that the resource has.
        now: The time, RFC 3339; it appears where a condition's status changed, nowhere else.
    """
    return _observed(situation, before, now).model_copy(
        update={
            "model": agent.spec.first_model,
            "url": service_url(agent),
            "selector": owned_selector(agent.metadata.name),
        }
    )


def compute_invalid_status(situation: Situation, before: AgentDeploymentStatus, now: str) -> AgentDeploymentStatus:
    """Give the status of an agent whose spec could not be read: what ran before goes on, and so does its address."""
    return _observed(situation, before, now).model_copy(
        update={"model": before.model, "url": before.url, "selector": before.selector}
    )


def _observed(situation: Situation, before: AgentDeploymentStatus, now: str) -> AgentDeploymentStatus:
    rolled_out = situation.is_rolled_out()
    rollout = situation.rollout
    return AgentDeploymentStatus(
        observed_generation=situation.generation,
        conditions=conditions(judge(situation), before.conditions, situation.generation, now),
        stable_revision=situation.revision if rolled_out else before.stable_revision,
        candidate_revision=_candidate(situation, before),
        runtime_image=situation.runtime_image,
        replicas=rollout.replicas if rollout else 0,
        ready_replicas=rollout.ready if rollout else 0,
    )


def _candidate(situation: Situation, before: AgentDeploymentStatus) -> str | None:
    """Give the revision that is being rolled out: the Deployment has it, and it was not complete before."""
    rollout = situation.rollout
    if situation.revision is None:
        return before.candidate_revision
    deployed = rollout is not None and rollout.revision == situation.revision
    known = situation.is_rolled_out() or situation.revision == before.stable_revision
    return situation.revision if deployed and not known else None
