"""Two operators as the chart installs them: the one that works goes, the other goes on; and an upgrade to two."""

import pytest

from demo.installation import OPERATOR_NAMESPACE, install_operator
from tests.conftest import Platform
from tests.support.namespace import Namespace, Object, agent_deployment
from tests.support.waiting import wait_for

NAME = "mizzen-operator"


@pytest.fixture
def system(platform: Platform) -> Namespace:
    """Where the operators run."""
    return Namespace(platform.cluster, OPERATOR_NAMESPACE)


def holder(system: Namespace) -> str:
    """Give the pod that works; empty if none does."""
    identity: str = system.get("lease", NAME)["spec"].get("holderIdentity", "")
    return identity.partition("_")[0]


def pods(system: Namespace) -> list[str]:
    """Give the operators' pods that are not about to end."""
    found = system.list("pods", "app.kubernetes.io/name=mizzen")
    return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]


def revision(namespace: Namespace) -> str:
    return str(namespace.get("agd", "triage")["status"].get("stableRevision"))


def test_the_operator_that_works_is_deleted_and_the_other_goes_on(system: Namespace, namespace: Namespace) -> None:
    namespace.apply(agent_deployment("triage"))
    namespace.wait_ready("triage")
    before, worked = revision(namespace), holder(system)
    assert worked in pods(system)
    assert len(pods(system)) == 2
    system.kubectl("delete", "pod", worked, "--wait=false")
    namespace.apply(agent_deployment("triage", agent={"instructions": "Be kind."}))
    wait_for(lambda: revision(namespace) != before, "the edited revision, by the other operator", interval=0.2)
    assert holder(system) in set(pods(system)) - {worked}
    system.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=60s")


def test_an_upgrade_from_one_operator_to_two_leaves_the_one_that_works_and_the_agents(
    platform: Platform, system: Namespace, namespace: Namespace
) -> None:
    install_operator(platform.cluster, platform.images, extra=["--set", "replicas=1"])
    assert system.find("poddisruptionbudget", NAME) is None
    namespace.apply(agent_deployment("triage"))
    namespace.wait_ready("triage")
    (alone,) = wait_for(lambda: one(pods(system)), "a single operator")
    wait_for(lambda: holder(system) == alone, "the operator that is left to work", interval=0.2)
    before = deployment_of(namespace)
    install_operator(platform.cluster, platform.images)
    assert len(pods(system)) == 2
    assert holder(system) == alone
    assert system.get("poddisruptionbudget", NAME)["spec"]["maxUnavailable"] == 1
    assert deployment_of(namespace) == before


def one(names: list[str]) -> list[str] | None:
    return names if len(names) == 1 else None


def deployment_of(namespace: Namespace) -> Object:
    metadata = namespace.get("deployment", "triage")["metadata"]
    return {key: metadata[key] for key in ("uid", "generation")}
