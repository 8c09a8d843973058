"""Conditions as a table: what is observed, what is said."""

import pytest

from mizzen_api.agentdeployment import AgentDeploymentStatus
from mizzen_api.conditions import ConditionType, Reason
from mizzen_operator.errors import WaitForError
from mizzen_operator.status.conditions import Situation, judge
from mizzen_operator.status.report import compute_invalid_status, compute_status
from tests.unit.operator.builders import agent, at
from tests.unit.operator.situations import TABLE, rollout, situation

AT_NOON, LATER = at(0), at(3600)


@pytest.mark.parametrize("name", TABLE)
def test_the_conditions_say_what_is_observed(name: str) -> None:
    observed, said = TABLE[name]
    verdicts = {kind.value: f"{verdict.status} {verdict.reason.value}" for kind, verdict in judge(observed).items()}
    assert {kind: verdicts[kind] for kind in said} == said


def test_every_condition_has_a_message_for_people() -> None:
    for observed, _ in TABLE.values():
        assert all(verdict.message for verdict in judge(observed).values())


def status_of(observed: Situation, before: AgentDeploymentStatus, now: str) -> AgentDeploymentStatus:
    return compute_status(agent(), observed, before, now)


def test_the_same_observation_gives_the_same_status_at_any_time() -> None:
    for observed, _ in TABLE.values():
        first = status_of(observed, AgentDeploymentStatus(), AT_NOON)
        assert status_of(observed, first, LATER) == status_of(observed, status_of(observed, first, AT_NOON), AT_NOON)


def test_the_time_of_a_transition_moves_with_the_status_only() -> None:
    first = status_of(TABLE["nothing is there yet"][0], AgentDeploymentStatus(), AT_NOON)
    second = status_of(TABLE["a quota refuses the pods"][0], first, LATER)
    times = {condition.type: condition.last_transition_time for condition in second.conditions}
    assert times == {
        ConditionType.AVAILABLE: AT_NOON,  # False before and after, for another reason
        ConditionType.READY: AT_NOON,
        ConditionType.PROGRESSING: LATER,
        ConditionType.CONFIG_RESOLVED: AT_NOON,
        ConditionType.HEALTHY: AT_NOON,
        ConditionType.SECURE: AT_NOON,
    }


def test_a_rollout_moves_the_candidate_to_stable() -> None:
    before = AgentDeploymentStatus(stable_revision="old")
    rolling = status_of(TABLE["a rollout goes on while the old pods serve"][0], before, AT_NOON)
    assert (rolling.stable_revision, rolling.candidate_revision) == ("old", "new")
    complete = status_of(situation(), rolling, AT_NOON)
    assert (complete.stable_revision, complete.candidate_revision) == ("new", None)


def test_an_invalid_spec_keeps_what_is_known_of_what_runs() -> None:
    before = status_of(situation(), AgentDeploymentStatus(), AT_NOON)
    after = compute_invalid_status(TABLE["the spec is invalid and the old pods serve"][0], before, LATER)
    assert (after.url, after.model, after.selector) == (before.url, before.model, before.selector)
    assert after.stable_revision == "new"
    assert after.ready_replicas == 2


def test_the_selector_finds_the_pods() -> None:
    assert status_of(situation(), AgentDeploymentStatus(), AT_NOON).selector == (
        "app.kubernetes.io/name=mizzen-agent,app.kubernetes.io/instance=hello,app.kubernetes.io/managed-by=mizzen-operator"
    )


def test_a_revision_that_no_deployment_has_taken_is_no_candidate() -> None:
    refused = situation(
        failure=WaitForError(Reason.NAME_CONFLICT, "Service triage is there already", 30.0), rollout=None
    )
    status = status_of(refused, AgentDeploymentStatus(), AT_NOON)
    assert status.candidate_revision is None


def test_pods_that_are_added_to_a_complete_revision_are_no_rollout_of_it() -> None:
    scaling = situation(replicas=3, rollout=rollout(replicas=3, updated=3))
    status = status_of(scaling, AgentDeploymentStatus(stable_revision="new"), AT_NOON)
    assert (status.stable_revision, status.candidate_revision) == ("new", None)
