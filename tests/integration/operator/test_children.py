"""Four children for each resource: made, changed, put back, removed."""

import time
from typing import Any

import pytest

from devcluster.api import ApiClient
from tests.integration.operator.process import OperatorProcess
from tests.support.namespace import Namespace, agent_deployment
from tests.support.waiting import wait_for
from tests.unit.operator.test_by_hand import SCALED_BY_HAND

PATHS = {
    "serviceaccounts": "api/v1",
    "configmaps": "api/v1",
    "services": "api/v1",
    "deployments": "apis/apps/v1",
}


def path_of(namespace: Namespace, plural: str, name: str = "") -> str:
    return f"/{PATHS[plural]}/namespaces/{namespace.name}/{plural}{name and f'/{name}'}"


def children(api: ApiClient, namespace: Namespace) -> dict[str, list[dict[str, Any]]]:
    """Give the objects of each kind that an AgentDeployment owns."""
    found = {}
    for plural in PATHS:
        items = api.get(path_of(namespace, plural))["items"]
        found[plural] = [item for item in items if owner_of(item) == "AgentDeployment"]
    return found


def owner_of(item: dict[str, Any]) -> str | None:
    owners = item["metadata"].get("ownerReferences") or [{}]
    return str(owners[0].get("kind"))


def apply_and_wait(api: ApiClient, namespace: Namespace, name: str = "hello", **spec: Any) -> dict[str, Any]:
    """Apply a resource, wait until its generation is reported, and give its Deployment."""
    namespace.apply(agent_deployment(name, **spec))

    def reported() -> bool:
        agent = namespace.get("agd", name)
        return bool(agent.get("status", {}).get("observedGeneration") == agent["metadata"]["generation"])

    wait_for(reported, f"a status of {name}", seconds=10)
    deployment: dict[str, Any] = api.get(path_of(namespace, "deployments", name))
    return deployment


def revision_of(deployment: dict[str, Any]) -> str:
    return str(deployment["spec"]["template"]["metadata"]["labels"]["mizzen.dev/revision"])


def test_a_resource_gets_its_children_and_a_status(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    deployment = apply_and_wait(api, namespace, replicas=2)
    found = children(api, namespace)
    assert {plural: [item["metadata"]["name"] for item in items] for plural, items in found.items()} == {
        "serviceaccounts": ["hello"],
        "configmaps": [f"hello-{revision_of(deployment)}"],
        "services": ["hello"],
        "deployments": ["hello"],
    }
    status = namespace.get("agd", "hello")["status"]
    assert status["url"] == f"http://hello.{namespace.name}.svc"
    assert status["model"] == "test"
    assert status["candidateRevision"] == revision_of(deployment)
    assert [condition["type"] for condition in status["conditions"]] == [
        "Available",
        "Ready",
        "Progressing",
        "ConfigResolved",
        "Healthy",
        "Secure",
    ]


def test_the_pods_are_allowed_under_the_restricted_standard(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    apply_and_wait(api, namespace)
    pods = wait_for(lambda: namespace.list("pods"), "a pod", seconds=20)
    assert pods[0]["metadata"]["labels"]["app.kubernetes.io/instance"] == "hello"


def test_an_edit_makes_a_new_revision_and_keeps_the_configuration_of_the_old_one(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    before = revision_of(apply_and_wait(api, namespace))
    after = revision_of(apply_and_wait(api, namespace, agent={"instructions": "Be kind."}))
    assert after != before
    names = {item["metadata"]["name"] for item in children(api, namespace)["configmaps"]}
    assert names == {f"hello-{before}", f"hello-{after}"}


def test_the_configuration_of_a_forgotten_revision_is_removed(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    revisions = [
        revision_of(apply_and_wait(api, namespace, replicas=0, agent={"instructions": f"Try {number}."}))
        for number in range(6)
    ]
    kept = {f"hello-{revision}" for revision in revisions[-4:]}  # the newest and the three that can be rolled back to

    def only_kept() -> bool:
        names = {item["metadata"]["name"] for item in children(api, namespace)["configmaps"]}
        assert names == kept
        return True

    wait_for(only_kept, "only the configurations that a ReplicaSet names", seconds=20)


def test_an_account_that_the_user_replaces_is_removed(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    apply_and_wait(api, namespace, replicas=0)
    assert len(children(api, namespace)["serviceaccounts"]) == 1
    apply_and_wait(api, namespace, replicas=0, pod={"serviceAccountName": "default"})
    wait_for(lambda: not children(api, namespace)["serviceaccounts"], "no account of the operator's", seconds=10)


def test_a_setting_that_is_taken_out_of_the_resource_leaves_the_deployment(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    deployment = apply_and_wait(api, namespace, pod={"nodeSelector": {"disk": "ssd"}, "labels": {"team": "a"}})
    assert deployment["spec"]["template"]["spec"]["nodeSelector"] == {"disk": "ssd"}
    namespace.apply(agent_deployment("hello", replicas=2))
    template = wait_for(
        lambda: template_without_selector(api, namespace), "a template without the node selector", seconds=10
    )
    assert "team" not in template["metadata"]["labels"]


def template_without_selector(api: ApiClient, namespace: Namespace) -> dict[str, Any] | None:
    template: dict[str, Any] = api.get(path_of(namespace, "deployments", "hello"))["spec"]["template"]
    return None if "nodeSelector" in template["spec"] else template


@pytest.mark.parametrize("plural", PATHS)
def test_a_child_that_is_deleted_by_hand_is_back_within_a_second(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess, plural: str
) -> None:
    apply_and_wait(api, namespace)
    (child,) = children(api, namespace)[plural]
    path = path_of(namespace, plural, child["metadata"]["name"])
    assert api.request("DELETE", path)[0] == 200
    deleted = time.monotonic()

    def back() -> bool:
        found = api.get(path)
        return found is not None and found["metadata"]["uid"] != child["metadata"]["uid"]

    wait_for(back, f"{plural} back", seconds=5, interval=0.01)
    assert time.monotonic() - deleted < 1.0


def test_a_field_that_is_edited_by_hand_is_put_back_and_an_event_names_it(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    apply_and_wait(api, namespace, replicas=1)
    namespace.kubectl("scale", "deployment/hello", "--replicas=3")
    wait_for(
        lambda: api.get(path_of(namespace, "deployments", "hello"))["spec"]["replicas"] == 1,
        "one replica again",
        seconds=5,
    )
    events = wait_for(lambda: events_about(namespace, "PutBack"), "an event", seconds=5)
    assert events == [SCALED_BY_HAND]


def events_about(namespace: Namespace, reason: str) -> list[str]:
    return [event["message"] for event in namespace.list("events") if event["reason"] == reason]


def test_what_others_add_to_a_child_stays(api: ApiClient, namespace: Namespace, operator: OperatorProcess) -> None:
    apply_and_wait(api, namespace)
    namespace.kubectl("rollout", "restart", "deployment/hello")
    apply_and_wait(api, namespace, replicas=2)
    template = api.get(path_of(namespace, "deployments", "hello"))["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]


def test_a_label_that_is_taken_from_a_child_comes_back(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    apply_and_wait(api, namespace)
    namespace.kubectl("label", "service/hello", "app.kubernetes.io/managed-by-")

    def labelled() -> bool:
        labels = api.get(path_of(namespace, "services", "hello"))["metadata"]["labels"]
        return bool(labels.get("app.kubernetes.io/managed-by") == "mizzen-operator")

    wait_for(labelled, "the label again", seconds=5)


def test_everything_goes_with_the_resource(api: ApiClient, namespace: Namespace, operator: OperatorProcess) -> None:
    apply_and_wait(api, namespace)
    namespace.kubectl("delete", "agd", "hello")
    wait_for(lambda: not any(children(api, namespace).values()), "no child", seconds=30)
    assert namespace.list("pods", "app.kubernetes.io/instance=hello") == [] or wait_for(
        lambda: not namespace.list("pods"), "no pod", seconds=60
    )


def test_a_resource_that_is_made_again_at_once_gets_children_of_its_own(
    api: ApiClient, namespace: Namespace, operator: OperatorProcess
) -> None:
    apply_and_wait(api, namespace, replicas=0)
    namespace.kubectl("delete", "agd", "hello")
    namespace.apply(agent_deployment("hello", replicas=0))
    uid = namespace.get("agd", "hello")["metadata"]["uid"]

    def all_ours() -> bool:
        found = children(api, namespace)
        owners = [item["metadata"]["ownerReferences"][0]["uid"] for items in found.values() for item in items]
        assert owners == [uid] * 4
        return True

    wait_for(all_ours, "four children of the new resource", seconds=30)
    namespace.wait_condition("hello", "Ready", "True", "ScaledToZero", seconds=20)
