"""`spec.pod.env` on a laptop."""

import textwrap

from mizzen_runtime.cli.environment import PLACEHOLDER, variables_of
from tests.unit.runtime.cli.documents import lines, objects_in

SECRET = """
---
apiVersion: v1
kind: Secret
metadata: {name: shop, namespace: support}
stringData: {token: t0k3n}
"""


def variables(env: str, more: str = SECRET) -> tuple[dict[str, str], list[str]]:
    text = f"""\
apiVersion: mizzen.dev/v1alpha1
kind: AgentDeployment
metadata: {{name: triage, namespace: support}}
spec:
  entrypoint: acme.agents:triage
  pod:
    labels: {{team: blue}}
    env:
{textwrap.indent(textwrap.dedent(env), "      ")}{more}"""
    objects, findings = objects_in(text)
    assert findings == []
    found, told = variables_of(objects.agents[0], objects)
    return found, lines(told)


def test_literals_secrets_and_fields_of_the_pod_are_filled_in() -> None:
    found, told = variables("""\
        - {name: HOST, value: shop.example}
        - {name: URL, value: "http://$(HOST)/$$(HOST)/$(NONE)"}
        - {name: TOKEN, valueFrom: {secretKeyRef: {name: shop, key: token}}}
        - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: TEAM, valueFrom: {fieldRef: {fieldPath: "metadata.labels['team']"}}}
    """)
    assert told == []
    assert found == {
        "HOST": "shop.example",
        "URL": "http://shop.example/$(HOST)/$(NONE)",
        "TOKEN": "t0k3n",
        "POD": "triage",
        "TEAM": "blue",
    }


def test_what_is_missing_is_told_with_the_way_to_write_it() -> None:
    found, told = variables("- {name: TOKEN, valueFrom: {secretKeyRef: {name: shop, key: token}}}\n", "")
    assert found == {"TOKEN": PLACEHOLDER}
    assert told == [
        (
            "agent.yaml:9: warning: spec.pod.env[0].valueFrom.secretKeyRef: Secret 'shop' is not in the files; add it "
            "to them: {apiVersion: v1, kind: Secret, metadata: {name: shop, namespace: support}, "
            "stringData: {token: <value>}}"
        )
    ]


def test_a_key_that_a_secret_of_the_files_lacks_is_an_error() -> None:
    _, told = variables("- {name: TOKEN, valueFrom: {secretKeyRef: {name: shop, key: tokn}}}\n")
    assert told == [
        (
            "agent.yaml:9: spec.pod.env[0].valueFrom.secretKeyRef: Secret 'shop' at agent.yaml:12 has no key 'tokn'; "
            "add the key 'tokn' to it; it has 'token'"
        )
    ]


def test_a_secret_of_another_namespace_is_named() -> None:
    env = "- {name: TOKEN, valueFrom: {secretKeyRef: {name: shop, key: token}}}\n"
    _, (told,) = variables(env, SECRET.replace(", namespace: support", ""))
    assert "'shop' is not in the files for namespace 'support'; the one at agent.yaml:12 is of 'default'; add" in told


def test_a_field_that_only_a_pod_has_is_an_error() -> None:
    _, told = variables("- {name: X, valueFrom: {fieldRef: {fieldPath: status.startTime}}}\n", "")
    assert told == [
        (
            "agent.yaml:9: spec.pod.env[0].valueFrom.fieldRef.fieldPath: status.startTime is a field that only a pod "
            "has; give the variable another value for use on a laptop, or remove it"
        )
    ]


def test_a_value_that_no_process_can_have_is_an_error() -> None:
    found, told = variables('- {name: TOKEN, value: "a\\0b"}\n', "")
    assert found == {"TOKEN": PLACEHOLDER}
    assert told == [
        "agent.yaml:9: spec.pod.env[0]: the value has a NUL character, which no variable can have; take another value"
    ]
