"""What helm makes of the chart, without a cluster: rights, namespaces, refused values."""

import subprocess
from typing import Any

import pytest
import yaml

from devcluster.build import require_binaries
from manifests.chart_files import as_manifest
from manifests.chart_values import CHECKOUT
from manifests.install import CHART, NAMESPACE
from mizzen_operator.permissions import RULES, lease_rules

Object = dict[str, Any]
EXPECTED_RULES = [as_manifest(rule) for rule in RULES]


def helm_template(*arguments: str, release: str = "mizzen") -> subprocess.CompletedProcess[str]:
    command = [str(require_binaries().helm), "template", release, str(CHART), "--namespace", NAMESPACE]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def render(*arguments: str, release: str = "mizzen") -> list[Object]:
    done = helm_template(*arguments, release=release)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(documents: list[Object], kind: str) -> list[Object]:
    return [document for document in documents if document["kind"] == kind]


def rules_by_namespace(documents: list[Object]) -> dict[str, list[Object]]:
    """Give the rights on what agents are made of, by namespace; not those on the Lease."""
    roles = [role for role in of_kind(documents, "Role") if role["metadata"]["name"] == "mizzen-operator"]
    return {role["metadata"]["namespace"]: role["rules"] for role in roles}


def operators_cluster_rights(documents: list[Object]) -> list[Object]:
    """Give the operator's ClusterRole and its binding; the roles of users are not bound here."""
    documents = [*of_kind(documents, "ClusterRole"), *of_kind(documents, "ClusterRoleBinding")]
    return [document for document in documents if document["metadata"]["name"] == "mizzen-operator"]


def test_the_charts_rights_are_those_that_the_operator_needs() -> None:
    role, binding = operators_cluster_rights(render())
    assert role["rules"] == EXPECTED_RULES
    assert binding["roleRef"]["name"] == role["metadata"]["name"]


def test_the_plain_installs_rights_are_the_same() -> None:
    documents = list(yaml.safe_load_all((CHECKOUT / "manifests" / "install.yaml").read_text()))
    role, _ = operators_cluster_rights(documents)
    assert role["rules"] == EXPECTED_RULES


@pytest.mark.parametrize("release", ["mizzen", "blue"])
def test_the_right_to_the_lease_is_in_the_releases_namespace_and_about_the_lease_that_the_operator_is_told(
    release: str,
) -> None:
    documents = render("--set", "watchNamespaces={team-a}", release=release)
    (deployment,) = of_kind(documents, "Deployment")
    name = deployment["metadata"]["name"]
    assert f"--lease={NAMESPACE}/{name}" in deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    (role,) = [role for role in of_kind(documents, "Role") if role["metadata"]["namespace"] == NAMESPACE]
    (binding,) = [role for role in of_kind(documents, "RoleBinding") if role["metadata"]["namespace"] == NAMESPACE]
    assert role["rules"] == [as_manifest(rule) for rule in lease_rules(name)]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}]


@pytest.mark.parametrize(("replicas", "budgets"), [(1, 0), (2, 1), (3, 1)])
def test_of_several_operators_a_drain_takes_one_at_a_time_and_a_single_one_is_in_nobodys_way(
    replicas: int, budgets: int
) -> None:
    documents = render("--set", f"replicas={replicas}")
    (deployment,) = of_kind(documents, "Deployment")
    assert deployment["spec"]["replicas"] == replicas
    found = of_kind(documents, "PodDisruptionBudget")
    assert len(found) == budgets
    for budget in found:
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["selector"] == deployment["spec"]["selector"]


def test_operators_prefer_different_nodes_unless_the_user_wants_something_else() -> None:
    def affinity(*arguments: str) -> Any:
        (deployment,) = of_kind(render(*arguments), "Deployment")
        return deployment["spec"]["template"]["spec"]["affinity"]

    (preferred,) = affinity()["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    (deployment,) = of_kind(render(), "Deployment")
    assert preferred["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert preferred["podAffinityTerm"]["labelSelector"] == deployment["spec"]["selector"]
    assert affinity("--set-json", 'affinity={"nodeAffinity": {}}') == {"nodeAffinity": {}}


def test_the_operator_has_no_right_to_secrets_and_none_without_a_name() -> None:
    for rule in RULES:
        assert "*" not in rule.api_groups + rule.resources + rule.verbs
        assert not any(resource.startswith("secrets") for resource in rule.resources)
        assert not {"impersonate", "bind", "escalate"} & set(rule.verbs)


def test_some_namespaces_get_roles_and_the_cluster_gets_none() -> None:
    documents = render("--set", "watchNamespaces={team-a,team-b}")
    assert not operators_cluster_rights(documents)
    assert not of_kind(documents, "ClusterRoleBinding")
    assert rules_by_namespace(documents) == {"team-a": EXPECTED_RULES, "team-b": EXPECTED_RULES}
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
    assert len(operators_cluster_rights(documents)) == 2
    assert not rules_by_namespace(documents)
    assert "--namespace" not in helm_template().stdout


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("replica=2", "additional properties 'replica' not allowed"),
        ("replicas=0", "minimum: got 0, want 1"),
        ("replicas=6", "maximum: got 6, want 5"),
        ("replicas=two", "got string, want integer"),
        ("replicas=null", "missing property 'replicas'"),
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
        ("runtimeImage=null", "missing property 'runtimeImage'"),
        ("logLevel=null", "missing property 'logLevel'"),
        ("image=null", "missing property 'image'"),
        ("image.repository=null", "missing property 'repository'"),
        ("image.pullPolicy=null", "missing property 'pullPolicy'"),
        ("crds=null", "missing property 'crds'"),
        ("crds.enabled=null", "missing property 'enabled'"),
        ("enabled=false", "value must be true"),
    ],
)
def test_a_value_that_the_chart_does_not_take_is_refused(value: str, message: str) -> None:
    done = helm_template("--set", value)
    assert done.returncode != 0
    assert message in done.stderr


def test_an_umbrella_charts_globals_and_condition_are_taken() -> None:
    assert helm_template("--set", "global.team=a,enabled=true").returncode == 0


@pytest.mark.parametrize("value", ["resources", "podAnnotations", "imagePullSecrets", "watchNamespaces", "tolerations"])
def test_what_the_operator_can_do_without_may_be_taken_away(value: str) -> None:
    assert helm_template("--set", f"{value}=null").returncode == 0


def test_an_annotation_that_the_chart_has_too_is_there_once_as_the_user_wrote_it() -> None:
    text = helm_template("--set-string", r"podAnnotations.prometheus\.io/scrape=false").stdout
    assert text.count("prometheus.io/scrape") == 1
    (deployment,) = of_kind([document for document in yaml.safe_load_all(text) if document], "Deployment")
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "false"
    assert annotations["prometheus.io/port"] == "8080"


def test_the_clusters_own_roles_get_rights_on_agents_with_the_crd() -> None:
    roles = {
        label.rpartition("-")[2]: role["rules"]
        for role in of_kind(render(), "ClusterRole")
        for label in role["metadata"]["labels"]
        if label.startswith("rbac.authorization.k8s.io/aggregate-to-")
    }
    assert set(roles) == {"admin", "edit", "view"}
    assert {verb for rule in roles["view"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert not of_kind(render("--set", "crds.enabled=false,watchNamespaces={a}"), "ClusterRole")


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
