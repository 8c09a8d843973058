"""What pods' reports come to in the conditions, and what is said while they are not there."""

from collections.abc import Mapping

import pytest

from mizzen_api.agentdeployment import AgentDeploymentStatus
from mizzen_api.conditions import ConditionType, Reason
from mizzen_api.health import HealthCode
from mizzen_api.problems import Problem
from mizzen_operator.errors import UserMustActError
from mizzen_operator.status.conditions import Situation, judge, verdicts_of
from mizzen_operator.status.pod_report import Heard, PodReason, PodReport
from mizzen_operator.status.report import compute_status
from mizzen_operator.status.verdict import Verdict
from tests.unit.operator.builders import agent, at, not_healthy, pod
from tests.unit.operator.situations import READY_POD, rollout, situation

STARTED = {**READY_POD, "podIP": "10.0.0.7"}
WELL = Heard(PodReport())
REFUSED = Heard(PodReport((not_healthy("database", "connection refused"),)))
LATE = Heard(PodReport((not_healthy("cache", "no answer"), not_healthy("database", "no answer within 3 s"))))
BREAKER = PodReason(
    HealthCode.BREAKER_OPEN, "The circuit breaker of 'model:a' is open", "60 % failed", "Have the model looked at."
)
ERRORS = PodReason(HealthCode.ERROR_RATE, "Too many requests fail", "more than 10 % have", "See the pods' log.")
FAILING = Heard(PodReport((BREAKER, ERRORS)))
STARTING = Heard(PodReport(is_settled=False))
DOUBLES = Heard(PodReport(test_services=True))
SILENT = Heard(is_silent=True)
NEWER = Heard(contract_version=2)
NOT_TAKEN = Problem(
    field="spec.services[0]",
    message="the changed settings of service 'database' in Secret 'db' are not taken up: wrong password",
    remedy="correct Secret 'db'; until then the settings before stay in force",
)
FAILED_RELOAD = Heard(PodReport(reload_failures=(NOT_TAKEN,)))
SAID = {
    "Healthy": "True Healthy: Every pod says that it is well.",
    "Secure": "True AsConfigured: The pods say that nothing in them is for tests only.",
    "ConfigResolved": (
        "True Resolved: The runtime accepted the configuration, and every referenced object and key is there."
    ),
}
ASK = "(Have the service looked at, or correct its settings; the pods go on asking it.)"
UNHEALTHY = f"False ServiceUnhealthy: Service 'database' is not healthy in 1 of 2 pods: connection refused. {ASK}"
NOT_READ = "Unknown NoReport: No pod has said yet how it is."
RELOAD = f"False ReloadFailed: {NOT_TAKEN}"
DOUBLED = (
    "False TestServices: Test doubles stand in for services in 1 of 2 pods. (Take MIZZEN_PROFILE=test out of "
    "spec.pod.env, or out of the image.)"
)
UNREADABLE = (
    "Unknown StateUnreadable: The state of 1 of 2 pods cannot be read. (Let the operator reach port 8081 of the pods: "
    "a NetworkPolicy may be in the way. The operator's log says what it got.)"
)


def of_two(
    first: Heard | None, second: Heard | None, before: Mapping[ConditionType, Verdict] | None = None
) -> Situation:
    """Give the situation in which two pods run and have said this; None for one that was not read yet."""
    heard = {name: each for name, each in (("a", first), ("b", second)) if each is not None}
    pods = (pod("new", STARTED, name="a"), pod("new", STARTED, name="b"))
    return situation(pods=pods, heard=heard, before=before or {})


def told(observed: Situation) -> dict[str, str]:
    """Give what the three conditions say that rest on reports."""
    return {
        kind.value: f"{verdict.status} {verdict.reason.value}: {verdict.message}"
        for kind, verdict in judge(observed).items()
        if kind in {ConditionType.HEALTHY, ConditionType.SECURE, ConditionType.CONFIG_RESOLVED}
    }


TABLE = {
    "both are well": (WELL, WELL, {}),
    "a service of one is away": (WELL, REFUSED, {"Healthy": UNHEALTHY}),
    "services of both are away, for different reasons": (
        REFUSED,
        LATE,
        {
            "Healthy": (
                f"False ServiceUnhealthy: Service 'cache' is not healthy in 1 of 2 pods: no answer. {ASK} Service "
                f"'database' is not healthy in 2 of 2 pods: connection refused; no answer within 3 s. {ASK}"
            )
        },
    ),
    "requests fail in one": (
        WELL,
        Heard(PodReport((ERRORS,))),
        {
            "Healthy": (
                "False ErrorRate: Too many requests fail in 1 of 2 pods: more than 10 % have. (See the pods' log.)"
            )
        },
    ),
    "requests fail in one, and in the other too, whose breaker is open and whose service is away": (
        Heard(PodReport((ERRORS,))),
        Heard(PodReport((not_healthy("database", "connection refused"), BREAKER, ERRORS))),
        {
            "Healthy": (
                f"{UNHEALTHY} The circuit breaker of 'model:a' is open in 1 of 2 pods: 60 % failed. (Have the model "
                "looked at.) Too many requests fail in 2 of 2 pods: more than 10 % have. (See the pods' log.)"
            )
        },
    ),
    "a service is away in one and the other does not answer": (
        REFUSED,
        SILENT,
        {"Healthy": UNHEALTHY, "Secure": NOT_READ},
    ),
    "one does not answer": (WELL, SILENT, {"Healthy": UNREADABLE, "Secure": NOT_READ}),
    "one no longer answers": (
        WELL,
        Heard(PodReport((not_healthy("database", "old"),)), is_silent=True),
        {"Healthy": UNREADABLE},
    ),
    "one was not read yet": (REFUSED, None, {"Healthy": NOT_READ, "Secure": NOT_READ}),
    "one has not asked its services yet": (WELL, STARTING, {"Healthy": NOT_READ}),
    "a service is away in one and the other has not asked yet": (REFUSED, STARTING, {"Healthy": UNHEALTHY}),
    "a change is not in force in one": (WELL, FAILED_RELOAD, {"ConfigResolved": RELOAD}),
    "a change is not in force in both": (FAILED_RELOAD, FAILED_RELOAD, {"ConfigResolved": RELOAD}),
    "a change was not in force in one that no longer answers": (
        WELL,
        Heard(FAILED_RELOAD.report, is_silent=True),
        {"ConfigResolved": RELOAD, "Healthy": UNREADABLE},
    ),
    "doubles stand in in one": (DOUBLES, WELL, {"Secure": DOUBLED}),
    "doubles stand in in one and the other does not answer": (
        DOUBLES,
        SILENT,
        {"Secure": DOUBLED, "Healthy": UNREADABLE},
    ),
    "one speaks a newer version of the contract": (
        WELL,
        NEWER,
        {
            "Healthy": (
                "Unknown ContractMismatch: The runtime in the image is newer than the operator: it speaks version 2 of "
                "the contract between them, the operator version 1. (Upgrade the operator, or build the image on the "
                "runtime of the operator's release.)"
            ),
            "Secure": NOT_READ,
        },
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_two_pods_say_comes_to_one_sentence(name: str) -> None:
    first, second, different = TABLE[name]
    assert told(of_two(first, second)) == {**SAID, **different}
    assert told(of_two(second, first)) == {**SAID, **different}


STAYS = {
    "a pod was not read yet": (WELL, None),
    "no pod was read yet": (None, None),
}


@pytest.mark.parametrize("name", STAYS)
@pytest.mark.parametrize(
    "heard",
    [WELL, REFUSED, FAILING, FAILED_RELOAD, DOUBLES, SILENT],
    ids=["well", "service away", "requests fail", "reload failed", "doubles", "silent"],
)
def test_until_every_pod_is_read_the_status_stays_as_it_is(heard: Heard, name: str) -> None:
    before = compute_status(agent(), of_two(heard, heard), AgentDeploymentStatus(), at(0))
    restarted = of_two(*STAYS[name], verdicts_of(before.conditions))
    assert compute_status(agent(), restarted, before, at(60)) == before


def test_a_pod_that_cannot_be_read_takes_nothing_back() -> None:
    before = judge(of_two(FAILED_RELOAD, DOUBLES))
    after = told(of_two(SILENT, SILENT, before))
    assert (after["ConfigResolved"], after["Secure"]) == (RELOAD, DOUBLED)


def test_what_is_mended_is_told_as_soon_as_every_pod_says_so() -> None:
    before = judge(of_two(Heard(PodReport((not_healthy("database", "away"),), reload_failures=(NOT_TAKEN,))), DOUBLES))
    assert told(of_two(WELL, WELL, before)) == SAID


def test_a_worse_trouble_of_the_configuration_is_told_before_a_change_that_is_not_in_force() -> None:
    two = of_two(FAILED_RELOAD, WELL)
    failing = situation(
        pods=two.pods, heard=two.heard, revision=None, failure=UserMustActError(Reason.INVALID_SPEC, "spec.x: unknown")
    )
    assert told(failing)["ConfigResolved"] == "False InvalidSpec: spec.x: unknown"


def test_of_many_different_details_a_few_are_told() -> None:
    names = [f"{number:03}" for number in range(200)]
    pods = tuple(pod("new", STARTED, name=name) for name in names)
    heard = {name: Heard(PodReport((not_healthy("database", f"fault {name}"),))) for name in names}
    assert told(situation(pods=pods, heard=heard))["Healthy"] == (
        "False ServiceUnhealthy: Service 'database' is not healthy in 200 of 200 pods: fault 000; fault 001; "
        f"fault 002; fault 003; others. {ASK}"
    )


def test_pods_of_another_revision_count_while_they_serve() -> None:
    pods = (pod("old", STARTED, name="a"), pod("new", {}, name="b"))
    observed = situation(pods=pods, heard={"a": FAILED_RELOAD}, rollout=rollout(updated=1, replicas=2))
    assert told(observed)["ConfigResolved"] == RELOAD


NOBODY = {
    "no pod is there": (situation(pods=()), NOT_READ),
    "no pod has started": (situation(pods=(pod("new", {"podIP": "10.0.0.7"}),)), NOT_READ),
    "the only pod leaves": (
        situation(pods=(pod("new", STARTED, name="a", deletionTimestamp=at(0)),), heard={"a": DOUBLES}),
        NOT_READ,
    ),
    "no pod is asked for": (
        situation(pods=(), replicas=0),
        "Unknown ScaledToZero: No pod is asked for (replicas is 0).",
    ),
}


@pytest.mark.parametrize("name", NOBODY)
def test_where_no_pod_can_be_asked_nothing_is_known(name: str) -> None:
    observed, expected = NOBODY[name]
    verdicts = told(observed)
    assert (verdicts["Healthy"], verdicts["Secure"]) == (expected, expected)


def test_words_of_another_release_are_no_verdict_of_this_one() -> None:
    status = compute_status(agent(), of_two(WELL, WELL), AgentDeploymentStatus(), at(0))
    known = {condition.type: condition for condition in status.conditions}
    changed = (
        known["Healthy"].model_copy(update={"reason": "FromTheFuture"}),
        known["Secure"].model_copy(update={"type": "FromTheFuture"}),
        known["Ready"],
    )
    assert set(verdicts_of(changed)) == {ConditionType.READY}
