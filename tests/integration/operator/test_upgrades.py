"""An upgrade of the operator on a real API server: what runs stays, until an edit or until its turn has come."""

from typing import Any

from devcluster.api import ApiClient
from tests.conftest import FULL_SIZE
from tests.integration.operator.audit import AuditLog
from tests.integration.operator.conftest import StartOperator
from tests.integration.operator.process import RUNTIME_IMAGE
from tests.integration.operator.test_children import apply_and_wait, path_of, revision_of
from tests.integration.operator.test_writes import wait_quiet
from tests.support.namespace import Namespace, agent_deployment
from tests.support.waiting import wait_for

NEW_IMAGE = "localhost/mizzen-runtime:newer"
AGENTS = 20 if FULL_SIZE else 5


def image_of(deployment: dict[str, Any]) -> str:
    """Give what a Deployment runs."""
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def test_a_new_runtime_image_leaves_what_runs_alone_and_is_taken_up_with_an_edit(
    api: ApiClient, namespace: Namespace, start_operator: StartOperator, audit: AuditLog
) -> None:
    before = start_operator()
    apply_and_wait(api, namespace, replicas=0)
    namespace.wait_condition("hello", "Ready", "True", "ScaledToZero")
    wait_quiet(before)
    deployment = api.get(path_of(namespace, "deployments", "hello"))
    assert before.terminate() == 0
    later = AuditLog.from_now(audit.path)
    after = start_operator(runtime_image=NEW_IMAGE)
    wait_quiet(after)
    assert later.writes(namespace.name) == []
    assert after.metric('mizzen_operator_runtime_updates{state="waiting"}') == 1
    assert namespace.get("agd", "hello")["status"]["runtimeImage"] == RUNTIME_IMAGE
    namespace.kubectl("delete", "deployment", "hello")

    def back() -> bool:
        found = api.get(path_of(namespace, "deployments", "hello"))
        return found is not None and found["metadata"]["uid"] != deployment["metadata"]["uid"]

    wait_for(back, "the Deployment again", seconds=10)
    again = api.get(path_of(namespace, "deployments", "hello"))
    assert (image_of(again), revision_of(again)) == (RUNTIME_IMAGE, revision_of(deployment))
    edited = apply_and_wait(api, namespace, replicas=0, agent={"instructions": "Be kind."})
    assert image_of(edited) == NEW_IMAGE
    wait_for(
        lambda: namespace.get("agd", "hello")["status"]["runtimeImage"] == NEW_IMAGE, "the image in status", seconds=10
    )


def test_agents_are_moved_to_a_new_runtime_image_where_the_operator_is_told_to(
    api: ApiClient, namespace: Namespace, start_operator: StartOperator
) -> None:
    before = start_operator()
    for number in range(AGENTS):
        namespace.apply(agent_deployment(f"agent-{number}", replicas=0))

    def images() -> set[str]:
        return {agent.get("status", {}).get("runtimeImage", "") for agent in namespace.list("agd")}

    def complete() -> bool:
        return all(agent.get("status", {}).get("stableRevision") for agent in namespace.list("agd"))

    wait_for(complete, "a complete rollout of each", seconds=30)
    assert images() == {RUNTIME_IMAGE}
    assert before.terminate() == 0
    after = start_operator(runtime_image=NEW_IMAGE, flags=("--max-concurrent-runtime-updates", "1"))
    wait_for(lambda: images() == {NEW_IMAGE}, "the new image everywhere", seconds=60)
    wait_quiet(after)
    assert after.metric('mizzen_operator_runtime_updates{state="waiting"}') == 0
    assert after.metric('mizzen_operator_runtime_updates{state="moving"}') == 0
