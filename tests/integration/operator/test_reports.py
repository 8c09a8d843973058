"""What pods say of themselves, read by the operator over the cluster's network and told in the conditions."""

import json
from typing import Any

from tests.integration.operator.audit import AuditLog
from tests.integration.operator.conftest import StartOperator
from tests.integration.operator.process import OperatorProcess
from tests.integration.operator.states import HEALTHY, RESOLVED, SECURE, SMALL, STAND_IN
from tests.integration.operator.test_writes import wait_quiet
from tests.support.namespace import Namespace, Object, agent_deployment
from tests.support.waiting import wait_for

WELL = {"services": [{"name": "database", "healthy": True}]}
AWAY = {"services": [{"name": "database", "healthy": False, "reason": "connection refused"}]}
PROBLEM = {
    "field": "spec.services[0]",
    "message": "the changed settings of service 'database' in Secret 'db' are not taken up: wrong password",
    "remedy": "correct Secret 'db'; until then the settings before stay in force",
}
NOT_TAKEN_UP = {**WELL, "reloadFailures": [PROBLEM]}
ASK = "(Have the service looked at, or correct its settings; the pods go on asking it.)"
UNHEALTHY = f"False ServiceUnhealthy: Service 'database' is not healthy in 2 of 2 pods: connection refused. {ASK}"
RELOAD_FAILED = (
    "False ReloadFailed: spec.services[0]: the changed settings of service 'database' in Secret 'db' are not taken up: "
    "wrong password; correct Secret 'db'; until then the settings before stay in force"
)
SECONDS = 75
"""Kubelet takes up to 10 s to mount a change, and the operator reads a pod that was well after up to 36 s."""


def agent(name: str, **env: str) -> Object:
    """Give an agent whose two pods say what its ConfigMap `state` holds."""
    service = {
        "name": "state",
        "interface": "DatabaseService",
        "implementation": "sqlite",
        "configMapRef": {"name": "state"},
    }
    variables = {"STATE": "/etc/mizzen/services/state/config/says", **env}
    pod = {
        "image": STAND_IN,
        "imagePullPolicy": "Never",
        "resources": SMALL,
        "env": [{"name": variable, "value": value} for variable, value in variables.items()],
    }
    return agent_deployment(name, services=[service], pod=pod, replicas=2)


def let_say(namespace: Namespace, state: dict[str, Any]) -> None:
    """Have the pods of the namespace say this of themselves, as soon as kubelet has mounted it."""
    data = {"says": json.dumps(state)[1:-1]}
    namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "state"}, "data": data})


def wait_told(namespace: Namespace, name: str, kind: str, expected: str, *, seconds: float = SECONDS) -> None:
    """Wait until a condition says exactly this."""

    def told() -> bool:
        condition = namespace.condition(name, kind)
        assert condition, f"no {kind}"
        assert f"{condition['status']} {condition['reason']}: {condition['message']}" == expected
        return True

    wait_for(told, f"{kind} of {name}", seconds=seconds, interval=0.2)


def test_a_service_that_is_away_is_told_until_it_is_back(
    namespace: Namespace, stand_in: None, operator: OperatorProcess
) -> None:
    let_say(namespace, AWAY)
    namespace.apply(agent("hello"))
    wait_told(namespace, "hello", "Healthy", UNHEALTHY)
    namespace.wait_ready("hello")
    let_say(namespace, WELL)
    wait_told(namespace, "hello", "Healthy", HEALTHY)
    let_say(namespace, AWAY)
    wait_told(namespace, "hello", "Healthy", UNHEALTHY, seconds=SECONDS)
    assert namespace.condition("hello", "Ready")["status"] == "True"


def test_a_change_that_a_pod_does_not_take_up_is_told_until_it_does(
    namespace: Namespace, stand_in: None, operator: OperatorProcess
) -> None:
    let_say(namespace, NOT_TAKEN_UP)
    namespace.apply(agent("hello"))
    wait_told(namespace, "hello", "ConfigResolved", RELOAD_FAILED)
    namespace.wait_ready("hello")
    let_say(namespace, WELL)
    wait_told(namespace, "hello", "ConfigResolved", RESOLVED)


def test_the_test_profile_is_told_until_it_is_taken_out(
    namespace: Namespace, stand_in: None, operator: OperatorProcess
) -> None:
    let_say(namespace, WELL)
    namespace.apply(agent("hello", MIZZEN_PROFILE="test"))
    doubles = (
        "False TestServices: Test doubles stand in for services in 2 of 2 pods. (Take MIZZEN_PROFILE=test out of "
        "spec.pod.env, or out of the image.)"
    )
    wait_told(namespace, "hello", "Secure", doubles)
    namespace.apply(agent("hello"))
    wait_told(namespace, "hello", "Secure", SECURE)


def test_pods_that_never_answer_harm_nobody(namespace: Namespace, stand_in: None, operator: OperatorProcess) -> None:
    let_say(namespace, WELL)
    namespace.apply(agent("hanging", OTHERWISE="0"))
    unreadable = (
        "Unknown StateUnreadable: The state of 2 of 2 pods cannot be read. (Let the operator reach port 8081 of the "
        "pods: a NetworkPolicy may be in the way. The operator's log says what it got.)"
    )
    wait_told(namespace, "hanging", "Healthy", unreadable)
    namespace.wait_ready("hanging")
    namespace.apply(agent("hello"))
    namespace.wait_ready("hello")
    wait_told(namespace, "hello", "Healthy", HEALTHY, seconds=10)
    assert namespace.condition("hanging", "ConfigResolved")["status"] == "True"
    wait_quiet(operator)


def test_a_restart_writes_nothing_though_nothing_is_known_of_the_pods_at_first(
    namespace: Namespace, stand_in: None, start_operator: StartOperator, audit: AuditLog
) -> None:
    operator = start_operator()
    let_say(namespace, {**AWAY, "reloadFailures": [PROBLEM]})
    for name in ("one", "two"):
        namespace.apply(agent(name, MIZZEN_PROFILE="test"))
    for name in ("one", "two"):
        namespace.wait_ready(name)
        wait_told(namespace, name, "Healthy", UNHEALTHY)
    wait_quiet(operator)
    assert operator.terminate() == 0
    later = AuditLog.from_now(audit.path)
    operator = start_operator()
    wait_for(lambda: operator.metric('mizzen_operator_state_readings_total{outcome="read"}') >= 4, "four readings")
    wait_quiet(operator)
    assert later.requests(namespace.name) != []
    assert later.writes(namespace.name) == []
    assert [namespace.condition("two", kind)["reason"] for kind in ("Healthy", "Secure", "ConfigResolved")] == [
        "ServiceUnhealthy",
        "TestServices",
        "ReloadFailed",
    ]
