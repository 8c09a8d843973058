"""What pods say, as kubelet writes it, and what becomes of it."""

import json
from typing import Any

import pytest

from mizzen_api.conditions import Reason
from mizzen_api.contract import StartFailure, fit_start_failure
from mizzen_api.problems import Problem
from mizzen_operator.records import Rollout
from mizzen_operator.status.trouble import Trouble, find_trouble
from tests.unit.operator.builders import container, pod

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
    return find_trouble([pod("r", status)], None)


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
                'RunContainerError: exec: "python": executable file not found in $PATH '
                "(Does the image build on Mizzen's runtime?)"
            ),
        ),
        (
            ended(reason="OOMKilled", exitCode=137),
            Reason.POD_FAILING,
            "OOMKilled: the container took more memory than it may. (Raise spec.pod.resources.limits.memory.)",
        ),
        (
            ended("Traceback …\nImportError: no module named acme"),
            Reason.POD_FAILING,
            (
                "The container ended with exit code 1: Traceback … ImportError: no module named acme "
                "(See `kubectl logs --previous`.)"
            ),
        ),
        (
            ended(exitCode=137),
            Reason.POD_FAILING,
            (
                "The container ended with exit code 137, killed from outside: most often since a startup or "
                "liveness probe failed (See `kubectl logs --previous`.)"
            ),
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
                "No node can take the pod: 0/1 nodes are available: 1 Insufficient cpu. (Add nodes, or correct "
                "spec.pod.resources, spec.pod.nodeSelector, spec.pod.tolerations or spec.pod.affinity.)"
            ),
        ),
    ],
)
def test_the_pods_reason_is_told_with_a_remedy(status: dict[str, Any], reason: Reason, message: str) -> None:
    assert trouble_of(status) == Trouble(reason, message)


def test_a_pull_that_waits_says_the_same_as_the_pull_that_failed() -> None:
    failed = 'failed to pull and unpack image "x:1": not found'
    backing_off = f'Back-off pulling image "x:1": ErrImagePull: {failed}'
    assert trouble_of(waiting("ImagePullBackOff", backing_off)) == trouble_of(waiting("ErrImagePull", failed))


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_a_pod_that_is_being_made_has_no_trouble(reason: str) -> None:
    assert trouble_of(waiting(reason)) is None


def test_what_the_author_can_mend_is_told_before_what_the_cluster_can() -> None:
    pods = [pod("r", ended("boom")), pod("r", ended(fit_start_failure(PROBLEMS)), name="other")]
    trouble = find_trouble(pods, None)
    assert trouble is not None
    assert trouble.reason is Reason.CONFIG_INVALID


def test_a_refusal_is_told_without_the_name_that_changes_with_each_attempt() -> None:
    def refused(name: str) -> Rollout:
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
            refusal=f'pods "{name}" is forbidden: exceeded quota: none, requested: pods=1',
        )

    first, second = find_trouble([], refused("hello-1-abc")), find_trouble([], refused("hello-1-xyz"))
    assert first == second
    assert first is not None
    assert first.message.startswith("Pods: forbidden: exceeded quota: none, requested: pods=1 (Raise the quota")


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
    assert "read udp 10.0.0.1:53: refused" in str(told)


@pytest.mark.parametrize(
    ("refusal", "remedy"),
    [
        ('pods "x-1" is forbidden: exceeded quota: small, requested: pods=1', "Raise the quota"),
        ('pods "x-1" is forbidden: error looking up service account a/b: serviceaccount "b" not found', "Create the"),
        ('pods "x-1" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true', "Correct spec.pod"),
    ],
)
def test_a_refused_pod_is_told_with_the_remedy_that_fits(refusal: str, remedy: str) -> None:
    rollout = Rollout(
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
    trouble = find_trouble([], rollout)
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
