"""What pods say in their own status, as kubelet writes it, and what becomes of it."""

import json
from typing import Any

import pytest

from mizzen_api.conditions import MEANINGS, REMEDIES, SENTENCES, ConditionType, Reason
from mizzen_api.contract import StartFailure, fit_start_failure
from mizzen_api.problems import Problem
from mizzen_operator.records import Rollout
from mizzen_operator.status.pod_status import Trouble
from mizzen_operator.status.trouble import EVICTION_SECONDS, ORDER, find_trouble, seconds_until_news
from tests.unit.operator.builders import NOON, Object, at, container, pod

NOW = NOON.timestamp()
SEE_LOGS = (
    "(See `kubectl logs --previous` of the pod. Does the image build on Mizzen's runtime, for the node's platform?)"
)

PROBLEMS = (
    Problem(field="spec.models[0].apiKey", message="Secret 'llm' has no key 'token'", remedy="add the key"),
    Problem(field="spec.agent.model", message="no extra 'groq'", remedy="use an image with it"),
)


def ended(message: str = "", **terminated: Any) -> dict[str, Any]:
    """Give a container that waits to be started again after it ended."""
    return container(
        state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}},
        lastState={"terminated": {"exitCode": 1, "reason": "Error", "message": message, **terminated}},
    )


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return container(state={"waiting": {"reason": reason, "message": message}})


def trouble_of(status: dict[str, Any]) -> Trouble | None:
    return find_trouble([pod("r", status)], None, {}, NOW)


def refused(refusal: str | None) -> Rollout:
    return Rollout(
        generation=1,
        observed_generation=1,
        revision="r",
        wanted=1,
        autoscaled=False,
        replicas=0,
        updated=0,
        ready=0,
        available=0,
        refusal=refusal,
    )


def test_the_runtimes_last_words_are_repeated_with_every_problem_and_remedy() -> None:
    assert trouble_of(ended(fit_start_failure(PROBLEMS))) == Trouble(
        Reason.CONFIG_INVALID,
        "spec.models[0].apiKey: Secret 'llm' has no key 'token'; add the key. "
        "spec.agent.model: no extra 'groq'; use an image with it",
    )


def test_problems_that_did_not_fit_are_counted() -> None:
    trouble = trouble_of(ended(fit_start_failure(PROBLEMS, limit=200)))
    assert trouble is not None
    assert trouble.message.endswith(". 1 more: see the pod's log")


def test_a_container_that_is_started_again_after_a_bad_start_says_the_same() -> None:
    running = container(
        state={"running": {}}, lastState={"terminated": {"exitCode": 1, "message": fit_start_failure(PROBLEMS)}}
    )
    assert trouble_of(running) == trouble_of(ended(fit_start_failure(PROBLEMS)))


def test_a_container_that_has_started_is_believed_and_its_past_forgotten() -> None:
    running = container(
        started=True, state={"running": {}}, lastState={"terminated": {"exitCode": 1, "message": "past"}}
    )
    assert trouble_of(running) is None


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (
            waiting("ErrImagePull", 'failed to pull and unpack image "x:1": not found'),
            Reason.IMAGE_UNAVAILABLE,
            (
                'ErrImagePull: failed to pull and unpack image "x:1": not found (Correct spec.pod.image, or give the '
                "registry's credentials in spec.pod.imagePullSecrets.)"
            ),
        ),
        (
            waiting("InvalidImageName", 'Failed to apply default image tag "X:1": invalid reference format'),
            Reason.IMAGE_UNAVAILABLE,
            (
                'InvalidImageName: Failed to apply default image tag "X:1": invalid reference format (Correct '
                "spec.pod.image, or give the registry's credentials in spec.pod.imagePullSecrets.)"
            ),
        ),
        (
            waiting("CreateContainerConfigError", "couldn't find key token in Secret team/crm"),
            Reason.CONFIG_INVALID,
            (
                "CreateContainerConfigError: couldn't find key token in Secret team/crm "
                "(Create it, or correct spec.pod.env.)"
            ),
        ),
        (
            waiting("RunContainerError", 'exec: "python": executable file not found in $PATH'),
            Reason.POD_FAILING,
            (
                'The container cannot be started: exec: "python": executable file not found in $PATH '
                "(Does the image build on Mizzen's runtime?)"
            ),
        ),
        (
            ended(reason="OOMKilled", exitCode=137),
            Reason.OOM_KILLED,
            "The container took more memory than it may, and was killed. (Raise spec.pod.resources.limits.memory.)",
        ),
        (
            ended("Traceback …\nImportError: no module named acme"),
            Reason.POD_FAILING,
            f"The container ended with exit code 1: Traceback … ImportError: no module named acme {SEE_LOGS}",
        ),
        (
            {
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/1 nodes are available: 1 Insufficient cpu.",
                    }
                ],
            },
            Reason.UNSCHEDULABLE,
            (
                "No node can take the pod: Insufficient cpu (Add nodes, or correct "
                "spec.pod.resources, spec.pod.nodeSelector, spec.pod.tolerations or spec.pod.affinity.)"
            ),
        ),
    ],
)
def test_the_pods_reason_is_told_with_a_remedy(status: dict[str, Any], reason: Reason, message: str) -> None:
    assert trouble_of(status) == Trouble(reason, message)


@pytest.mark.parametrize(
    ("exit_code", "message"),
    [
        (0, f"The container ended with exit code 0. {SEE_LOGS}"),
        (
            137,
            (
                "The container ended with exit code 137, killed from outside, most often for lack of memory. (See "
                "`kubectl logs --previous` of the pod. If it was that, raise spec.pod.resources.limits.memory.)"
            ),
        ),
        (139, f"The container ended with exit code 139. {SEE_LOGS}"),
    ],
)
def test_an_end_without_a_word_is_told_after_any_other_trouble(exit_code: int, message: str) -> None:
    silent = ended(exitCode=exit_code, reason="Completed" if exit_code == 0 else "Error")
    assert trouble_of(silent) == Trouble(Reason.POD_FAILING, message, vague=True)
    unschedulable = {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no nodes available"}]}
    both = find_trouble([pod("r", silent), pod("r", unschedulable, name="other")], None, {}, NOW)
    assert both is not None
    assert both.reason is Reason.UNSCHEDULABLE


def test_a_container_whose_first_instructions_lack_memory_is_told_so() -> None:
    why = "unable to start container process: container init was OOM-killed (memory limit too low?): unknown"
    for status in (waiting("RunContainerError", why), ended(why, exitCode=128, reason="StartError")):
        trouble = trouble_of(status)
        assert trouble is not None
        assert trouble.reason is Reason.OOM_KILLED


def test_a_container_that_cannot_be_started_says_the_same_when_it_fails_and_in_the_pause_after_it() -> None:
    why = 'exec: "/python": stat /python: no such file or directory'
    over = container(
        state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
        lastState={"terminated": {"exitCode": 128, "reason": "StartError", "message": why}},
    )
    assert trouble_of(waiting("RunContainerError", why)) == trouble_of(over)


def not_ready(**condition: str) -> Object:
    """Give a pod that is not ready though its container is."""
    conditions = [{"type": "ContainersReady", "status": "True"}, {"type": "Ready", "status": "False", **condition}]
    return {**container(ready=True, started=True, state={"running": {}}), "conditions": conditions}


def test_a_pod_that_is_not_ready_though_its_containers_are_has_lost_its_node() -> None:
    trouble = trouble_of(not_ready())
    assert trouble is not None
    assert trouble.reason is Reason.NODE_NOT_READY


def test_a_pod_that_waits_for_a_readiness_gate_has_not_lost_its_node() -> None:
    assert trouble_of(not_ready(reason="ReadinessGatesNotReady")) is None


def evicted(seconds: float, message: str = "The node was low on resource: memory.") -> Object:
    """Give a pod that was put out so many seconds after noon."""
    condition = {"type": "Ready", "status": "False", "lastTransitionTime": at(seconds)}
    return {"phase": "Failed", "reason": "Evicted", "message": message, "conditions": [condition]}


def test_an_eviction_is_told_without_what_was_used_at_the_moment() -> None:
    message = (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. Container agent was using "
        "90Mi, request is 10Mi, has larger consumption of memory. "
    )
    assert trouble_of(evicted(0, message)) == Trouble(
        Reason.EVICTED,
        ("Evicted: The node was low on resource: memory. (Correct spec.pod.resources, or give the nodes more room.)"),
    )


def test_an_eviction_is_told_until_a_pod_has_become_ready_after_it() -> None:
    def told(ready: float, replacement: Object) -> bool:
        condition = {"type": "Ready", "status": "True", "lastTransitionTime": at(ready)}
        other = pod("r", {"conditions": [condition]}, name="other")
        pods = [pod("r", evicted(60)), other, pod("r", replacement, name="replacement")]
        trouble = find_trouble(pods, None, {}, NOW + 65)
        return trouble is not None and trouble.reason is Reason.EVICTED

    assert told(30, container())
    assert not told(62, container())
    assert not told(30, waiting("ErrImagePull", "not found"))


def test_an_eviction_is_news_for_ten_minutes() -> None:
    pods = [pod("r", evicted(60))]
    assert seconds_until_news(pods, NOW + 61) == EVICTION_SECONDS - 1
    assert find_trouble(pods, None, {}, NOW + 59 + EVICTION_SECONDS) is not None
    assert find_trouble(pods, None, {}, NOW + 60 + EVICTION_SECONDS) is None
    assert seconds_until_news(pods, NOW + 60 + EVICTION_SECONDS) is None


def test_a_pull_that_waits_says_the_same_as_the_pull_that_failed() -> None:
    failed = 'failed to pull and unpack image "x:1": not found'
    backing_off = f'Back-off pulling image "x:1": ErrImagePull: {failed}'
    assert trouble_of(waiting("ImagePullBackOff", backing_off)) == trouble_of(waiting("ErrImagePull", failed))


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_a_pod_that_is_being_made_has_no_trouble(reason: str) -> None:
    assert trouble_of(waiting(reason)) is None


def test_what_the_author_can_mend_is_told_before_what_the_cluster_can() -> None:
    pods = [pod("r", ended("boom")), pod("r", ended(fit_start_failure(PROBLEMS)), name="other")]
    trouble = find_trouble(pods, None, {}, NOW)
    assert trouble is not None
    assert trouble.reason is Reason.CONFIG_INVALID


def test_a_refusal_is_told_without_what_changes_with_each_attempt() -> None:
    def told(name: str, used: int) -> Trouble | None:
        quota = f"exceeded quota: small, requested: cpu=1,pods=1, used: cpu={used},pods={used}, limited: cpu=9,pods=9"
        return find_trouble([], refused(f'pods "{name}" is forbidden: {quota}'), {}, NOW)

    assert told("hello-1-abc", 8) == told("hello-1-xyz", 9)
    assert told("hello-1-abc", 8) == Trouble(
        Reason.POD_REFUSED,
        (
            "Pods: forbidden: exceeded quota: small, requested: cpu=1,pods=1, limited: cpu=9,pods=9 "
            "(Raise the quota, or ask for less in spec.pod.resources and spec.replicas.)"
        ),
    )


def test_a_fault_of_the_runtime_is_not_called_a_wrong_configuration() -> None:
    fault = StartFailure(kind="Fault", problems=PROBLEMS[:1]).model_dump_json()
    trouble = trouble_of(ended(fault))
    assert trouble is not None
    assert trouble.reason is Reason.POD_FAILING


def test_a_failed_pull_says_the_same_whatever_port_it_came_from() -> None:
    told = {
        trouble_of(waiting("ErrImagePull", f"lookup registry.example: read udp 10.0.0.2:{port}->10.0.0.1:53: refused"))
        for port in (54817, 54818)
    }
    assert len(told) == 1
    assert "lookup registry.example: refused" in str(told)


@pytest.mark.parametrize(
    ("refusal", "remedy"),
    [
        ('pods "x-1" is forbidden: exceeded quota: small, requested: pods=1', "Raise the quota"),
        ('pods "x-1" is forbidden: failed quota: small: must specify limits.cpu for: agent', "Give spec.pod.resources"),
        (
            'pods "x-1" is forbidden: error looking up service account a/b: serviceaccount "b" not found',
            "Create the service account",
        ),
        ('pods "x-1" is forbidden: no PriorityClass with name gold was found', "Create the priority class"),
        (
            'pods "x-1" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
            "Correct spec.pod.resources, or have the namespace's LimitRange changed",
        ),
        ('pods "x-1" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true', "Correct spec.pod"),
    ],
)
def test_a_refused_pod_is_told_with_the_remedy_that_fits(refusal: str, remedy: str) -> None:
    trouble = find_trouble([], refused(refusal), {}, NOW)
    assert trouble is not None
    assert trouble.reason is Reason.POD_REFUSED
    assert f"({remedy}" in trouble.message


def test_a_newer_runtime_is_told_whatever_its_last_words_look_like() -> None:
    words = json.dumps({"contractVersion": 2, "aShapeOf": "another release"})
    assert trouble_of(ended(words)) == Trouble(
        Reason.CONTRACT_MISMATCH,
        "The runtime in the image is newer than the operator: it speaks version 2 of the contract between them, the "
        "operator version 1. (Upgrade the operator, or build the image on the runtime of the operator's release.)",
    )


def test_an_older_runtime_is_told_whatever_its_last_words_look_like() -> None:
    assert trouble_of(ended(json.dumps({"contractVersion": 0}))) == Trouble(
        Reason.CONTRACT_MISMATCH,
        "The runtime in the image is older than the operator: it speaks version 0 of the contract between them, the "
        "operator version 1. (Build the image on the runtime of the operator's release.)",
    )


def test_a_configuration_of_another_contract_is_told_in_the_runtimes_words() -> None:
    problem = Problem(field="contractVersion", message="this runtime does not know version 0", remedy="do this")
    words = StartFailure(kind="Contract", problems=(problem,)).model_dump_json()
    assert trouble_of(ended(words)) == Trouble(Reason.CONTRACT_MISMATCH, str(problem))


def test_every_reason_has_its_sentence_and_every_trouble_a_remedy() -> None:
    assert set(SENTENCES) == set(Reason)
    assert set(MEANINGS) == set(ConditionType)
    failures = {Reason.INVALID_SPEC, Reason.POD_REFUSED, Reason.NAME_CONFLICT, Reason.WRITE_FAILED}
    assert set(ORDER) | failures <= set(REMEDIES)
