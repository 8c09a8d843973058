"""Whatever is wrong with a resource is told in words, where its author looks."""

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from devcluster import Cluster, CommandFailedError
from tests.conftest import Platform
from tests.support.namespace import Namespace, Object, agent_deployment
from tests.support.waiting import wait_for

ONE_MODEL_SOURCE = "give the model either in spec.agent.model or in spec.models, exactly one of the two"


def post(namespace: Namespace, manifest: Object) -> str:
    """Create an object by plain REST, as a client without field validation does."""
    path = f"/apis/mizzen.dev/v1alpha1/namespaces/{namespace.name}/agentdeployments"
    return namespace.cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(manifest)).stdout


def with_typo() -> Object:
    return agent_deployment("triage", replica=2)


def with_typo_in_agent() -> Object:
    return agent_deployment("triage", agent={"intsructions": "Be brief."})


@pytest.mark.parametrize("arguments", [(), ("--server-side",)], ids=["apply", "server-side"])
@pytest.mark.parametrize(
    ("manifest", "field"),
    [(with_typo(), "spec.replica"), (with_typo_in_agent(), "spec.agent.intsructions")],
    ids=["spec", "agent"],
)
def test_kubectl_apply_refuses_an_unknown_field(
    platform: Platform, namespace: Namespace, manifest: Object, field: str, arguments: tuple[str, ...]
) -> None:
    said = namespace.refusal(manifest, *arguments)
    if arguments:  # the server's own words for an apply on its side
        assert f".{field}: field not declared in schema" in said
    else:
        assert f'unknown field "{field}"' in said
    assert namespace.find("agd", "triage") is None


def test_helm_refuses_an_unknown_field(platform: Platform, namespace: Namespace, tmp_path: Path) -> None:
    chart = tmp_path / "team"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: team\nversion: 0.1.0\n")
    (chart / "templates" / "agent.yaml").write_text(json.dumps(with_typo()))
    with pytest.raises(CommandFailedError) as refused:
        platform.cluster.helm("install", "team", str(chart), "--namespace", namespace.name)
    assert "spec.replica: field not declared in schema" in refused.value.output


def test_plain_rest_prunes_an_unknown_field_and_the_api_server_keeps_nothing_of_it(
    platform: Platform, namespace: Namespace
) -> None:
    created = json.loads(post(namespace, with_typo()))
    assert "replica" not in created["spec"]
    created = json.loads(post(namespace, {**with_typo_in_agent(), "metadata": {"name": "other"}}))
    assert created["spec"]["agent"] == {"end_strategy": "graceful"}


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        (
            {"capabilities": [{"Thinkin": {}}]},
            "spec.agent.capabilities: unknown capability 'Thinkin'; known are",
        ),
        (
            {"capabilities": [{"LocalWorkspace": {}}]},
            "capability 'LocalWorkspace' is not allowed: it gives the model a shell",
        ),
        ({"retries": {"tool": 3}}, "spec.agent.retries.tool: unknown field"),
        ({"instructions": {"text": "Be brief."}}, "spec.agent.instructions"),
    ],
    ids=["unknown capability", "refused capability", "unknown key of retries", "wrong type of instructions"],
)
def test_what_no_schema_can_express_is_answered_by_the_operator_whatever_the_client(
    platform: Platform, namespace: Namespace, agent: dict[str, Any], message: str
) -> None:
    post(namespace, agent_deployment("triage", agent=agent))
    said = namespace.wait_condition("triage", "Ready", "False", "InvalidSpec")
    assert message in said
    assert namespace.find("deployment", "triage") is None


def test_an_edit_that_makes_the_spec_invalid_leaves_the_pods_alone(platform: Platform, namespace: Namespace) -> None:
    namespace.apply(agent_deployment("triage"))
    namespace.wait_ready("triage")
    deployment = namespace.get("deployment", "triage")
    namespace.apply(agent_deployment("triage", agent={"instructions": "x", "capabilities": ["Nonsense"]}))
    namespace.wait_condition("triage", "Ready", "False", "InvalidSpec")
    assert namespace.condition("triage", "Available")["status"] == "True"
    assert namespace.get("deployment", "triage")["spec"] == deployment["spec"]
    assert namespace.ask("triage", "Hello").status == 200


@pytest.mark.parametrize(
    "change",
    [{"agent": {"model": "test"}}, {"models": None}],
    ids=["both", "none"],
)
def test_both_or_none_of_the_model_sources_is_refused_at_apply(
    platform: Platform, namespace: Namespace, change: dict[str, Any]
) -> None:
    assert ONE_MODEL_SOURCE in namespace.refusal(agent_deployment("triage", **change))


@pytest.mark.parametrize("name", ["team.triage", "x" * 60, "1st"])
def test_a_name_that_cannot_name_a_service_is_refused_at_apply(
    platform: Platform, namespace: Namespace, name: str
) -> None:
    said = namespace.refusal(agent_deployment(name))
    assert "the name must be at most 52 characters of a-z, 0-9 and '-', starting with a letter, without dots" in said


def test_all_that_the_runtime_refuses_is_told_at_once_with_remedies(platform: Platform, namespace: Namespace) -> None:
    key = {"secretKeyRef": {"name": "llm", "key": "token"}}
    namespace.apply(
        agent_deployment(
            "triage",
            agent={"instructions": "Be brief.", "output_schema": {"type": "objekt"}},
            models=[{"model": "openai-chat:gpt-5", "apiKey": key}, {"model": "groq:llama"}],
        )
    )
    said = namespace.wait_condition("triage", "ConfigResolved", "False", "ConfigInvalid")
    assert said == (
        "spec.models[0].apiKey.secretKeyRef: Secret 'llm' or its key 'token' is missing; kubectl create secret "
        f"generic llm --namespace {namespace.name} --from-literal=token=<the key>, or add the key to it if the Secret "
        "is there. "
        "spec.models[1].model: the provider 'groq' is not installed in this image; build an image on the runtime's "
        "with `pip install 'mizzen[groq]'` and name it in spec.pod.image. "
        "spec.agent.output_schema.type: is no valid JSON schema: 'objekt' is not valid under any of the given schemas; "
        "write it as JSON Schema Draft 2020-12 describes"
    )
    assert namespace.condition("triage", "Ready")["message"] == said


def test_a_missing_key_of_a_secret_that_is_there_is_told_and_healed_by_adding_it(
    platform: Platform, namespace: Namespace
) -> None:
    namespace.kubectl("create", "secret", "generic", "llm", "--from-literal=other=x")
    key = {"secretKeyRef": {"name": "llm", "key": "token"}}
    namespace.apply(
        agent_deployment("triage", models=[{"model": "openai-chat:m", "baseUrl": platform.model_url, "apiKey": key}])
    )
    said = namespace.wait_condition("triage", "ConfigResolved", "False", "ConfigInvalid")
    assert said == (
        "spec.models[0].apiKey.secretKeyRef: Secret 'llm' or its key 'token' is missing; kubectl create secret generic "
        f"llm --namespace {namespace.name} --from-literal=token=<the key>, or add the key to it if the Secret is there"
    )
    namespace.kubectl("patch", "secret", "llm", "--type=merge", "-p", '{"stringData": {"token": "sesame"}}')
    namespace.wait_ready("triage")
    assert "sesame" not in json.dumps(namespace.get("agd", "triage"))


def test_an_image_that_cannot_be_pulled_is_told_with_the_pods_reason(platform: Platform, namespace: Namespace) -> None:
    image = "registry.invalid/nobody/nothing:1"
    namespace.apply(agent_deployment("triage", pod={"image": image}))
    said = namespace.wait_condition("triage", "Ready", "False", "ImageUnavailable", seconds=90)
    assert image in said
    assert "ErrImagePull" in said or "ImagePullBackOff" in said


def test_an_image_that_does_not_start_is_told_with_the_pods_reason(platform: Platform, namespace: Namespace) -> None:
    namespace.apply(agent_deployment("triage", pod={"image": platform.images["operator"]}))
    said = namespace.wait_condition("triage", "Ready", "False", "PodFailing", seconds=90)
    assert said == (  # the operator's usage message is in its log
        "The container ended with exit code 2. (See `kubectl logs --previous` of the pod. Does the image build on "
        "Mizzen's runtime, for the node's platform?)"
    )


def test_a_process_that_ends_though_nobody_asked_the_pod_to_is_told_and_started_again(
    platform: Platform, namespace: Namespace
) -> None:
    namespace.apply(agent_deployment("triage"))
    namespace.wait_ready("triage")
    namespace.kubectl("exec", "deployment/triage", "--", "sh", "-c", "kill 1")

    def told() -> str | None:
        messages = (event["message"] for event in namespace.list("events") if event["reason"] == "PodFailing")
        return next(messages, None)

    said = wait_for(told, "an event", seconds=60)
    assert said.startswith("The container ended with exit code 0. (See `kubectl logs --previous` of the pod.")
    namespace.wait_ready("triage")
    assert namespace.ask("triage", "Hello").status == 200


@pytest.mark.parametrize("kind", ["service", "deployment", "serviceaccount"])
def test_an_object_with_a_childs_name_that_is_not_ours_is_never_touched(
    platform: Platform, namespace: Namespace, kind: str
) -> None:
    foreign(namespace.cluster, namespace.name, kind)
    before = namespace.get(kind, "triage")["metadata"]["resourceVersion"]
    namespace.apply(agent_deployment("triage"))
    said = namespace.wait_condition("triage", "Ready", "False", "NameConflict")
    proper = {"service": "Service", "deployment": "Deployment", "serviceaccount": "ServiceAccount"}[kind]
    assert said == (
        f"{proper} triage is there already and does not belong to this AgentDeployment; "
        "delete or rename one of the two "
        "(what `kubectl delete --cascade=orphan` has left of an earlier one is to be deleted)"
    )
    after = namespace.get(kind, "triage")
    assert after["metadata"].get("ownerReferences") is None
    if kind != "deployment":  # its own controller writes its status
        assert after["metadata"]["resourceVersion"] == before


def foreign(cluster: Cluster, namespace: str, kind: str) -> None:
    spec = {
        "service": "spec: {ports: [{port: 80}]}",
        "serviceaccount": "",
        "deployment": textwrap.dedent("""
            spec:
              replicas: 0
              selector: {matchLabels: {app: other}}
              template:
                metadata: {labels: {app: other}}
                spec: {containers: [{name: other, image: "other:1"}]}
        """),
    }[kind]
    version = "apps/v1" if kind == "deployment" else "v1"
    proper = {"service": "Service", "serviceaccount": "ServiceAccount", "deployment": "Deployment"}[kind]
    manifest = f"apiVersion: {version}\nkind: {proper}\nmetadata: {{name: triage, namespace: {namespace}}}\n{spec}"
    cluster.kubectl("apply", "-f", "-", stdin=manifest)
