"""What helm makes of the chart, without a cluster: rights, namespaces, refused values."""

import subprocess
from typing import Any

import pytest
import yaml

from devcluster.build import require_binaries
from manifests.chart_values import CHECKOUT
from manifests.install import CHART, NAMESPACE
from mizzen_operator.permissions import RULES

Object = dict[str, Any]
CLUSTER_SCOPED_RIGHTS = {"ClusterRole", "ClusterRoleBinding"}
EXPECTED_RULES = [
    {"apiGroups": list(rule.api_groups), "resources": list(rule.resources), "verbs": list(rule.verbs)} for rule in RULES
]


def helm_template(*arguments: str, release: str = "mizzen") -> subprocess.CompletedProcess[str]:
    command = [str(require_binaries().helm), "template", release, str(CHART), "--namespace", NAMESPACE]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def render(*arguments: str, release: str = "mizzen") -> list[Object]:
    done = helm_template(*arguments, release=release)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(documents: list[Object], kind: str) -> list[Object]:
    return [document for document in documents if document["kind"] == kind]


def test_the_charts_rights_are_those_that_the_operator_needs() -> None:
    (role,) = of_kind(render(), "ClusterRole")
    assert role["rules"] == EXPECTED_RULES


def test_the_plain_installs_rights_are_the_same() -> None:
    documents = list(yaml.safe_load_all((CHECKOUT / "manifests" / "install.yaml").read_text()))
    (role,) = of_kind(documents, "ClusterRole")
    assert role["rules"] == EXPECTED_RULES


def test_the_operator_has_no_right_to_secrets_and_none_without_a_name() -> None:
    for rule in RULES:
        assert "*" not in rule.api_groups + rule.resources + rule.verbs
        assert not any(resource.startswith("secrets") for resource in rule.resources)
        assert not {"impersonate", "bind", "escalate"} & set(rule.verbs)


def test_some_namespaces_get_roles_and_the_cluster_gets_none() -> None:
    documents = render("--set", "watchNamespaces={team-a,team-b}")
    assert not [document for document in documents if document["kind"] in CLUSTER_SCOPED_RIGHTS]
    roles = {role["metadata"]["namespace"]: role["rules"] for role in of_kind(documents, "Role")}
    assert roles == {"team-a": EXPECTED_RULES, "team-b": EXPECTED_RULES}
    for binding in of_kind(documents, "RoleBinding"):
        assert binding["roleRef"]["kind"] == "Role"
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "mizzen-operator", "namespace": NAMESPACE}]
    (deployment,) = of_kind(documents, "Deployment")
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert [argument for argument in arguments if argument.startswith("--namespace")] == [
        "--namespace=team-a",
        "--namespace=team-b",
    ]


def test_all_namespaces_is_one_cluster_role_and_no_namespace_argument() -> None:
    documents = render()
    assert {document["kind"] for document in documents} >= CLUSTER_SCOPED_RIGHTS
    assert not of_kind(documents, "Role")
    assert "--namespace" not in helm_template().stdout


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("replicas=2", "additional properties 'replicas' not allowed"),
        ("image.name=x", "additional properties 'name' not allowed"),
        ("crds.enable=true", "additional properties 'enable' not allowed"),
        ("image.tag=a b", "does not match pattern"),
        ("image.digest=sha256:12", "does not match pattern"),
        ("image.pullPolicy=Sometimes", "value must be one of 'Always', 'IfNotPresent', 'Never'"),
        ("runtimeImage=", "minLength: got 0, want 1"),
        ("watchNamespaces={Team_A}", "does not match pattern"),
        ("watchNamespaces={a,a}", "items at 0 and 1 are equal"),
        ("crds.keep=maybe", "got string, want boolean"),
        ("logLevel=loud", "value must be one of"),
    ],
)
def test_a_value_that_the_chart_does_not_take_is_refused(value: str, message: str) -> None:
    done = helm_template("--set", value)
    assert done.returncode != 0
    assert message in done.stderr


def test_an_umbrella_charts_globals_are_taken() -> None:
    assert helm_template("--set", "global.team=a").returncode == 0


@pytest.mark.parametrize(
    ("values", "image"),
    [
        ({}, "localhost/mizzen-operator:0.1.0"),
        ({"image.tag": "abc"}, "localhost/mizzen-operator:abc"),
        ({"image.repository": "r.example/o", "image.tag": "1"}, "r.example/o:1"),
        ({"image.tag": "1", "image.digest": f"sha256:{'0' * 64}"}, f"localhost/mizzen-operator@sha256:{'0' * 64}"),
    ],
)
def test_the_operators_image_is_named_by_digest_before_tag_before_version(values: dict[str, str], image: str) -> None:
    arguments = [part for key, value in values.items() for part in ("--set-string", f"{key}={value}")]
    (deployment,) = of_kind(render(*arguments), "Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == image


@pytest.mark.parametrize(("enabled", "keep"), [("true", "true"), ("true", "false"), ("false", "true")])
def test_the_crd_is_there_if_enabled_and_kept_if_asked(enabled: str, keep: str) -> None:
    crds = of_kind(render("--set", f"crds.enabled={enabled},crds.keep={keep}"), "CustomResourceDefinition")
    assert len(crds) == (enabled == "true")
    for crd in crds:
        kept = crd["metadata"].get("annotations", {}).get("helm.sh/resource-policy")
        assert kept == ("keep" if keep == "true" else None)


def test_a_release_of_another_name_has_names_of_its_own() -> None:
    names = {document["metadata"]["name"] for document in render(release="blue")}
    assert "blue-mizzen-operator" in names
    assert "mizzen-operator" not in names


def test_the_plain_install_does_not_claim_to_be_helms() -> None:
    text = (CHECKOUT / "manifests" / "install.yaml").read_text()
    assert "Helm" not in text
    assert "helm.sh/" not in text
