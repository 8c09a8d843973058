"""YAML and JSON with the lines of their values."""

import json

import pytest

from mizzen_runtime.cli.documents import read_documents
from tests.unit.runtime.cli.documents import lines, parsed

AGENT = """\
kind: AgentDeployment
metadata:
  annotations:
    acme.example/owner: team
spec:
  models:
    - model: test
      baseUrl: http://x
    - {model: other,
       apiKey: {name: x}}
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("kind", 1),
        ("metadata.annotations", 3),
        ("metadata.annotations.acme.example/owner", 4),
        ("metadata.annotations['acme.example/owner']", 4),
        ('metadata.annotations["acme.example/owner"]', 4),
        ("spec.models[0]", 7),
        ("spec.models[0].baseUrl", 8),
        ("spec.models[1].apiKey.name", 10),
        ("spec.models[1].nothing.at.all", 9),
        ("spec.models[7]", 6),
        ("spec.model", 5),
        ("nothing", 1),
    ],
)
def test_a_field_has_its_line_or_that_of_what_is_around_it(path: str, line: int) -> None:
    (document,) = parsed(AGENT)
    assert document.place_of(path).line == line


def test_several_documents_each_have_their_lines_and_empty_ones_are_none() -> None:
    documents = parsed("---\n---\na: 1\n---\n# nothing\n---\nb:\n  c: 2\n")
    assert [(each.place.line, each.content) for each in documents] == [(3, {"a": 1}), (7, {"b": {"c": 2}})]
    assert documents[1].place_of("b.c").line == 8


def test_a_list_of_objects_is_read_as_its_objects() -> None:
    documents = parsed("kind: List\nitems:\n  - kind: Secret\n  - kind: ConfigMap\n    data: {a: b}\n")
    assert [(each.place.line, each.content["kind"]) for each in documents] == [(3, "Secret"), (4, "ConfigMap")]
    assert documents[1].place_of("data.a").line == 5


def test_json_is_read_too() -> None:
    content = {"kind": "ConfigMap", "data": {"a": "1"}}
    assert parsed(json.dumps(content, indent=2))[0].content == content


def test_values_are_those_that_kubernetes_sees() -> None:
    (document,) = parsed(
        "date: 2026-01-02\ntime: 12:30\nsmall: 1e-3\n8080: port\nbase: &base {a: 1, b: 2}\nmerged: {<<: *base, b: 3}\n"
    )
    assert document.content == {
        "date": "2026-01-02",
        "time": "12:30",
        "small": 0.001,
        "8080": "port",
        "base": {"a": 1, "b": 2},
        "merged": {"a": 1, "b": 3},
    }


WRONG = {
    "no end of a list": ("a: [1, 2\nb: 3\n", "agent.yaml:2: YAML: expected ',' or ']', but got ':'"),
    "a tab": ("a:\n\tb: 1\n", "agent.yaml:2: YAML: found character '\\t' that cannot start any token"),
    "twice": (
        "a: 1\nb:\n  c: 1\n  c: 2\n",
        "agent.yaml:4: b.c: is written twice, first in line 3; leave one of the two",
    ),
    "twice in a line": ("{a: 1, a: 2}", "agent.yaml:1: a: is written twice, first in line 1; leave one of the two"),
    "a tag": ("a: 1\nb: !secret x\n", "agent.yaml:2: YAML: could not determine a constructor for the tag '!secret'"),
    "a list as a name": ("? [1]\n: 2\n", "agent.yaml:1: YAML: the name of a field must be a text"),
    "a value of another type than its tag's": ("a: !!bool x\n", "agent.yaml:1: YAML: a value is not of the type"),
    "no end": ("a: &a\n  b: *a\n", "agent.yaml:1: YAML: is nested deeper than 100 levels"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_with_its_line(case: str) -> None:
    text, told = WRONG[case]
    documents, findings = read_documents("agent.yaml", text)
    assert documents == []
    assert [line[: len(told)] for line in lines(findings)] == [told]


def test_what_is_right_before_the_first_fault_is_read() -> None:
    documents, findings = read_documents("agent.yaml", "a: 1\n---\nb: [\n")
    assert [each.content for each in documents] == [{"a": 1}]
    assert len(findings) == 1
