"""The main job on a real cluster with a real language model: apply, Ready, an answer; edit, roll; delete, gone."""

import re
import time
from typing import Any

import pytest
import yaml

from demo.installation import SAMPLES
from mizzen_operator.desired.deployment import REVISION_HISTORY_LIMIT
from tests.conftest import Platform
from tests.support.http import Answer, call
from tests.support.namespace import Namespace, Object, agent_deployment
from tests.support.waiting import wait_for

OWN = "app.kubernetes.io/instance=triage"


@pytest.fixture
def hello(platform: Platform, namespace: Namespace) -> Object:
    """The sample, with the address of the tests' model server."""
    manifest: Object = yaml.safe_load((SAMPLES / "hello.yaml").read_text())
    for model in manifest["spec"]["models"]:
        model["baseUrl"] = platform.model_url
    return manifest


def counter(exposition: str, name: str) -> float:
    """Give the sum of a metric's samples."""
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", exposition, re.MULTILINE))


def model_tokens(platform: Platform) -> tuple[float, float]:
    """Give llama.cpp's own counters: prompt tokens and predicted tokens."""
    metrics = call(f"{platform.models.address('model-server')}/metrics").text
    return counter(metrics, "llamacpp:prompt_tokens_total"), counter(metrics, "llamacpp:tokens_predicted_total")


def test_an_applied_agent_becomes_ready_and_its_answer_is_the_models(
    platform: Platform, namespace: Namespace, hello: Object
) -> None:
    namespace.apply(hello)
    namespace.wait_ready("hello")
    before = model_tokens(platform)
    answer = namespace.ask("hello", "What is the capital of France?")
    after = model_tokens(platform)
    assert answer.status == 200, answer
    body = answer.json()
    assert "Paris" in body["output"]
    assert body["usage"]["input_tokens"] == after[0] - before[0] > 0
    assert body["usage"]["output_tokens"] == after[1] - before[1] > 0


def test_kubectl_get_shows_what_one_wants_to_know(platform: Platform, namespace: Namespace, hello: Object) -> None:
    namespace.apply(hello)
    namespace.wait_ready("hello")
    header, row = namespace.kubectl("get", "agd").splitlines()
    assert header.split() == ["NAME", "READY", "MODEL", "REPLICAS", "REVISION", "URL", "AGE"]
    status = namespace.get("agd", "hello")["status"]
    model = hello["spec"]["models"][0]["model"]
    url = f"http://hello.{namespace.name}.svc"
    assert row.split()[:6] == ["hello", "True", model, "1", status["stableRevision"], url]


def test_an_edited_agent_rolls_and_answers_with_the_new_revision(platform: Platform, namespace: Namespace) -> None:
    namespace.apply(agent_deployment("triage"))
    namespace.wait_ready("triage")
    first = namespace.ask("triage", "Hello").json()["revision"]
    namespace.apply(agent_deployment("triage", agent={"instructions": "Be kind."}))

    def rolled() -> Answer:
        namespace.wait_ready("triage")
        answer = namespace.ask("triage", "Hello")
        assert answer.json()["revision"] != first
        return answer

    second = wait_for(rolled, "an answer by the new revision").json()["revision"]
    status = namespace.get("agd", "triage")["status"]
    assert status["stableRevision"] == second
    assert "candidateRevision" not in status
    pods = namespace.list("pods", "app.kubernetes.io/instance=triage")
    assert {pod["metadata"]["labels"]["mizzen.dev/revision"] for pod in pods if alive(pod)} == {second}


def alive(pod: Object) -> bool:
    return "deletionTimestamp" not in pod["metadata"]


@pytest.mark.parametrize("kind", ["deployment", "service", "serviceaccount", "configmap"])
def test_a_child_deleted_by_hand_is_back_within_a_second(platform: Platform, namespace: Namespace, kind: str) -> None:
    namespace.apply(agent_deployment("triage"))
    namespace.wait_ready("triage")
    name = child_name(namespace, kind)
    uid = namespace.get(kind, name)["metadata"]["uid"]
    namespace.kubectl("delete", kind, name, "--wait=false")
    deleted_at = time.monotonic()

    def back() -> bool:
        found = namespace.find(kind, name)
        return found is not None and found["metadata"]["uid"] != uid

    wait_for(back, f"{kind} {name} is back", seconds=30)
    created = time.monotonic() - deleted_at
    # A second is what is aimed at; the bound leaves room for kubectl's own start on a busy machine.
    assert created < 5, f"{kind} came back after {created:.2f} s"


def child_name(namespace: Namespace, kind: str) -> str:
    if kind != "configmap":
        return "triage"
    return f"triage-{namespace.get('agd', 'triage')['status']['stableRevision']}"


def test_what_an_agent_no_longer_uses_is_removed(platform: Platform, namespace: Namespace) -> None:
    """The configurations of revisions that cannot be rolled back to any more, and an account that has a successor."""
    revisions = [
        applied_revision(namespace, agent={"instructions": f"Try {number}."})
        for number in range(REVISION_HISTORY_LIMIT + 3)
    ]
    kept = {f"triage-{revision}" for revision in revisions[-1 - REVISION_HISTORY_LIMIT :]}
    wait_for(lambda: names(namespace, "configmap") == kept, "the configurations that may be needed", seconds=60)
    assert names(namespace, "serviceaccount") == {"triage"}

    namespace.kubectl("create", "serviceaccount", "of-the-team")
    applied_revision(namespace, pod={"serviceAccountName": "of-the-team"})
    wait_for(lambda: not names(namespace, "serviceaccount"), "the operator's account is gone", seconds=60)
    assert namespace.find("serviceaccount", "of-the-team") is not None


def applied_revision(namespace: Namespace, **spec: Any) -> str:
    """Apply an agent without pods, and give the revision once its Deployment has it."""
    namespace.apply(agent_deployment("triage", replicas=0, **spec))

    def rolled() -> str:
        agent = namespace.get("agd", "triage")
        assert agent.get("status", {}).get("observedGeneration") == agent["metadata"]["generation"]
        (deployment,) = namespace.list("deployments", OWN)
        revision = str(deployment["spec"]["template"]["metadata"]["labels"]["mizzen.dev/revision"])
        assert deployment["status"].get("observedGeneration") == deployment["metadata"]["generation"]
        return revision

    return wait_for(rolled, "a Deployment of the newest generation")


def names(namespace: Namespace, kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in namespace.list(kind, OWN)}


def test_a_deleted_agent_takes_everything_with_it(platform: Platform, namespace: Namespace) -> None:
    namespace.apply(agent_deployment("triage"))
    namespace.wait_ready("triage")
    namespace.kubectl("delete", "agd", "triage")
    kinds = "deployments,replicasets,pods,services,serviceaccounts,configmaps,endpointslices"

    def gone() -> bool:
        left: list[Any] = namespace.list(kinds, "app.kubernetes.io/instance=triage")
        assert left == [], [f"{item['kind']}/{item['metadata']['name']}" for item in left]
        return True

    wait_for(gone, "everything of the agent is gone", seconds=90, interval=0.5)


def test_an_agent_scaled_by_kubectl_has_that_many_pods(platform: Platform, namespace: Namespace) -> None:
    namespace.apply(agent_deployment("triage"))
    namespace.wait_ready("triage")
    namespace.kubectl("scale", "agd/triage", "--replicas=2")

    def scaled() -> bool:
        status = namespace.get("agd", "triage")["status"]
        assert (status.get("replicas"), status.get("readyReplicas")) == (2, 2)
        return True

    wait_for(scaled, "two ready pods", interval=0.3)
