"""Objects of the files: which are taken, and what is told about the others."""

import pytest

from mizzen_api.agentdeployment import NAME_MESSAGE
from tests.unit.runtime.cli.documents import lines, objects_in

AGENT = """
apiVersion: mizzen.dev/v1alpha1
kind: AgentDeployment
metadata: {name: triage}
spec:
  agent: {instructions: Sort., model: test}
"""


def test_data_of_each_kind_is_read_and_the_plain_text_wins() -> None:
    objects, findings = objects_in("""
        apiVersion: v1
        kind: Secret
        metadata: {name: llm, namespace: support}
        data: {token: YWJj, other: eHl6}
        stringData: {token: abd}
        type: Opaque
        ---
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: llm}
        data: {a: "1"}
        binaryData: {b: /w==}
    """)
    assert findings == []
    secret, config_map = objects.find("Secret", "support", "llm"), objects.find("ConfigMap", "default", "llm")
    assert secret is not None
    assert secret.values == {"token": b"abd", "other": b"xyz"}
    assert [secret.place_of(key).line for key in ("token", "other", "none", None)] == [6, 5, 2, 2]
    assert config_map is not None
    assert config_map.values == {"a": b"1", "b": b"\xff"}
    assert objects.find("Secret", "default", "llm") is None


def test_a_secrets_values_are_in_no_message_and_no_repr() -> None:
    objects, findings = objects_in("""
        apiVersion: v1
        kind: Secret
        metadata: {name: a}
        stringData: hunter2
        ---
        apiVersion: v1
        kind: Secret
        metadata: {name: b}
        stringData: {token: 31337}
        data: {other: "hunter2!"}
        ---
        apiVersion: v1
        kind: Secret
        metadata: {name: c}
        stringData: {token: hunter2}
    """)
    assert lines(findings) == [
        "agent.yaml:5: stringData: is no object with keys; write `key: value` for each key, below it",
        "agent.yaml:11: data.other: the value is no base64; encode it, or write it as it is into stringData",
        "agent.yaml:10: stringData.token: the value is no text; write it as text, in quotes",
    ]
    told = repr(objects) + repr(findings)
    assert "hunter2" not in told
    assert "31337" not in told


NO_KIND = "this is no object of Kubernetes: it has no kind"
REFUSED = {
    "a kind that is no text": (
        "kind: [Secret]",
        f"agent.yaml:1: kind: {NO_KIND}; write an AgentDeployment, a ConfigMap or a Secret",
    ),
    "a name that is too long": (
        AGENT.replace("triage", "a" * 53),
        f"agent.yaml:4: metadata: {NAME_MESSAGE}; correct the value",
    ),
    "a key where the reference to it belongs: it is not repeated": (
        AGENT.replace("model: test}", "model: test}\n  models: [{model: 'vllm:x', apiKey: hunter2}]"),
        "agent.yaml:7: spec.models[0].apiKey: write an object, with fields of its own; correct the value",
    ),
    "a field of another name": (
        AGENT.replace("model: test}", "model: test}\n  models: [{model: 'vllm:x', base_url: 'http://x'}]"),
        "agent.yaml:7: spec.models[0].base_url: unknown field; remove it, or correct its spelling",
    ),
    "another version": (
        AGENT.replace("v1alpha1", "v1"),
        "agent.yaml:2: apiVersion: input should be 'mizzen.dev/v1alpha1' (it is 'mizzen.dev/v1'); correct the value",
    ),
    "another kind": (
        AGENT.replace("kind: Agent", "kind: Agents"),
        "agent.yaml:3: kind: input should be 'AgentDeployment' (it is 'AgentsDeployment'); correct the value",
    ),
    "a label of the operator": (
        AGENT + "  pod: {labels: {mizzen.dev/revision: x}}\n",
        (
            "agent.yaml:7: spec.pod.labels['mizzen.dev/revision']: the operator finds the pods by this label and sets "
            "it itself; remove it"
        ),
    ),
    "no number in data": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  a: 1\n",
        "agent.yaml:5: data.a: the value is no text; write it as text, in quotes",
    ),
    "no such field of a ConfigMap": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nstringData: {a: b}\n",
        "agent.yaml:4: stringData: unknown field; remove it, or correct its spelling",
    ),
    "no name": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n",
        "agent.yaml:3: metadata.name: field required; add it",
    ),
    "no key": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a b: c}\n",
        "agent.yaml:4: data.a b: is no key; use letters, digits, '-', '_' and '.'",
    ),
    "no object": ("just text", "agent.yaml:1: kind: this is no object of Kubernetes: it has no kind"),
    "no kind": ("a: 1", "agent.yaml:1: kind: this is no object of Kubernetes: it has no kind"),
    "another object": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n",
        (
            "agent.yaml:2: note: kind: Deployment 'x' is not looked at; only objects of AgentDeployment, ConfigMap and "
            "Secret are needed to run an agent"
        ),
    ),
    "twice": (
        f"{AGENT}---{AGENT}",
        (
            "agent.yaml:10: metadata.name: AgentDeployment 'triage' of namespace 'default' is also at agent.yaml:2; "
            "leave one of the two"
        ),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_with_an_object_is_told_with_its_line(case: str) -> None:
    text, told = REFUSED[case]
    _, findings = objects_in(text)
    assert told in [line[: len(told)] for line in lines(findings)]


def test_one_name_in_two_namespaces_or_kinds_is_no_repetition() -> None:
    other = AGENT.replace("triage}", "triage, namespace: support}")
    secret = "\napiVersion: v1\nkind: Secret\nmetadata: {name: triage}\n"
    objects, findings = objects_in(f"{AGENT}---{other}---{secret}")
    assert findings == []
    assert [each.full_name for each in objects.agents] == ["default/triage", "support/triage"]
