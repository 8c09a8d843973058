"""What is wrong with a resource or stands in its way, told in the conditions; of its pods `states` tells."""

from typing import Any

from devcluster.api import ApiClient
from tests.integration.operator.audit import AuditLog
from tests.integration.operator.process import OperatorProcess
from tests.integration.operator.test_children import apply_and_wait, path_of, revision_of
from tests.integration.operator.test_writes import wait_quiet
from tests.support.namespace import Namespace, agent_deployment
from tests.support.waiting import wait_for


def post(api: ApiClient, namespace: Namespace, manifest: dict[str, Any]) -> None:
    """Create a resource as a client does that knows no schema: unknown fields are dropped, or kept where allowed."""
    status, answer = api.request("POST", path_of_agents(namespace), manifest)
    assert status == 201, answer


def path_of_agents(namespace: Namespace) -> str:
    return f"/apis/mizzen.dev/v1alpha1/namespaces/{namespace.name}/agentdeployments"


def test_an_unknown_capability_is_told_with_the_known_ones(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    post(api, namespace, agent_deployment("hello", agent={"capabilities": ["Teleport", {"LocalWorkspace": {}}]}))
    message = namespace.wait_condition("hello", "Ready", "False", "InvalidSpec", seconds=10)
    assert message.startswith("spec.agent.capabilities: unknown capability 'Teleport'; known are Caching, Citations")
    assert "capability 'LocalWorkspace' is not allowed: it gives the model a shell" in message
    assert namespace.condition("hello", "ConfigResolved")["message"] == message


def test_an_unknown_key_in_a_part_that_the_schema_cannot_check_is_told(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    post(api, namespace, agent_deployment("hello", agent={"retries": {"tool": 1}}))
    message = namespace.wait_condition("hello", "Ready", "False", "InvalidSpec", seconds=10)
    assert "tool: unknown field; remove it, or correct its spelling" in message
    assert namespace.find("deployment", "hello") is None


def test_all_problems_of_a_spec_are_told_at_once(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    labels = {"mizzen.dev/revision": "mine"}
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    post(api, namespace, agent_deployment("hello", pod={"labels": labels, "env": env}))
    message = namespace.wait_condition("hello", "Ready", "False", "InvalidSpec", seconds=10)
    assert message == (
        "spec.pod.labels['mizzen.dev/revision']: the operator finds the pods by this label and sets it itself; "
        "remove it. spec.pod.env[1]: 'A' is there before; leave one of them"
    )


def test_an_invalid_spec_leaves_what_ran_before(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    before = apply_and_wait(api, namespace)
    namespace.apply(agent_deployment("hello", agent={"capabilities": ["Teleport"]}))
    namespace.wait_condition("hello", "Ready", "False", "InvalidSpec", seconds=10)
    after = api.get(path_of(namespace, "deployments", "hello"))
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert namespace.get("agd", "hello")["status"]["url"] == f"http://hello.{namespace.name}.svc"
    wait_quiet(operator)
    namespace.apply(agent_deployment("hello"))
    namespace.wait_condition("hello", "ConfigResolved", "Unknown", "NotYetKnown", seconds=10)


def test_a_field_that_only_the_api_server_can_judge_is_told_in_its_words(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    terms: dict[str, Any] = {"nodeSelectorTerms": []}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    namespace.apply(agent_deployment("hello", pod={"affinity": affinity}))
    message = namespace.wait_condition("hello", "Ready", "False", "InvalidSpec", seconds=10)
    assert message.startswith("Deployment hello was rejected: ")
    assert "nodeSelectorTerms: Required value" in message
    wait_quiet(operator)
    assert operator.metric('workqueue_retries_total{name="agentdeployment"}') == 0


def test_an_unknown_field_in_an_object_that_is_handed_on_is_told(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    namespace.apply(agent_deployment("hello", pod={"affinity": {"nodeAfinity": {}}}))
    message = namespace.wait_condition("hello", "Ready", "False", "InvalidSpec", seconds=10)
    assert "nodeAfinity: field not declared in schema" in message


def test_an_object_of_somebody_else_is_named_and_never_touched(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess, audit: AuditLog
) -> None:
    namespace.kubectl("create", "service", "clusterip", "hello", "--tcp=80")
    before = api.get(path_of(namespace, "services", "hello"))
    namespace.apply(agent_deployment("hello", replicas=1))
    message = namespace.wait_condition("hello", "Ready", "False", "NameConflict", seconds=10)
    assert message == (
        "Service hello is there already and does not belong to this AgentDeployment; delete or rename one of the two "
        "(what `kubectl delete --cascade=orphan` has left of an earlier one is to be deleted)"
    )
    assert api.get(path_of(namespace, "services", "hello")) == before
    written = {write for write in audit.writes(namespace.name) if "events" not in write}
    assert written == {"patch agentdeployments/status/hello"}
    namespace.kubectl("delete", "service", "hello")
    apply_and_wait(api, namespace, replicas=2)  # any event of the resource makes the operator look again
    wait_for(lambda: api.get(path_of(namespace, "deployments", "hello")), "a Deployment", seconds=10)


def test_an_object_that_takes_a_childs_place_is_not_taken_over(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    apply_and_wait(api, namespace, replicas=0)
    assert operator.terminate() == 0
    namespace.kubectl("delete", "service", "hello")
    namespace.kubectl("create", "service", "clusterip", "hello", "--tcp=81")
    namespace.kubectl(
        "label", "service/hello", "app.kubernetes.io/managed-by=mizzen-operator", "app.kubernetes.io/instance=hello"
    )
    before = api.get(path_of(namespace, "services", "hello"))
    again = OperatorProcess(namespace.cluster.kubeconfig, namespace.name)
    try:
        namespace.wait_condition("hello", "Ready", "False", "NameConflict", seconds=15)
        assert api.get(path_of(namespace, "services", "hello")) == before
    finally:
        assert again.terminate() == 0


def test_no_pods_asked_for_is_ready_and_not_available(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    deployment = apply_and_wait(api, namespace, replicas=0)
    namespace.wait_condition("hello", "Ready", "True", "ScaledToZero", seconds=10)
    assert namespace.condition("hello", "Available")["reason"] == "ScaledToZero"
    status = namespace.get("agd", "hello")["status"]
    assert status["stableRevision"] == revision_of(deployment)
    assert "candidateRevision" not in status


def test_a_transition_has_the_time_of_the_first_sight(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    apply_and_wait(api, namespace, replicas=0)
    namespace.wait_condition("hello", "Ready", "True", "ScaledToZero", seconds=10)
    before = namespace.condition("hello", "Available")
    namespace.apply(agent_deployment("hello", replicas=0, agent={"instructions": "Be kind."}))

    def seen() -> bool:
        return bool(namespace.condition("hello", "Available")["observedGeneration"] == 2)

    wait_for(seen, "the second generation", seconds=10)
    after = namespace.condition("hello", "Available")
    assert after["lastTransitionTime"] == before["lastTransitionTime"]
