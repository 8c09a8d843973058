import copy
import dataclasses
import json
from typing import Any

from mizzen_api.names import KIND
from mizzen_operator.cache import Observed
from mizzen_operator.desired import Desired
from mizzen_operator.kinds import Kind
from mizzen_operator.plan import Create, Delete, Update, conflicts, is_left_over, plan
from mizzen_operator.records import ReplicaSetRecord, child_record
from tests.unit.operator.builders import KEY, UID, agent, child, desired_for, live, observed_children

ROLLED_OUT = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}


def desired_of(**spec: Any) -> Desired:
    return desired_for(agent(**spec))


def observed_as_desired(desired: Desired, **status: Any) -> Observed:
    children = [
        child(manifest, status={**ROLLED_OUT, **status} if manifest["kind"] == "Deployment" else None)
        for manifest in desired.children
    ]
    return Observed(agent=None, children=tuple(children))


def with_old_revision(now: Desired, *replica_sets: ReplicaSetRecord, **status: Any) -> Observed:
    """Give what is observed after a rollout from another revision."""
    before = desired_of(agent={"instructions": "Old."})
    observed = observed_as_desired(now, **status)
    old = next(child(manifest) for manifest in before.children if manifest["kind"] == "ConfigMap")
    return Observed(agent=None, children=(*observed.children, old), replica_sets=replica_sets)


def replica_set(revision: str) -> ReplicaSetRecord:
    return ReplicaSetRecord(kind=Kind.REPLICA_SET, name="rs", key=KEY, uid="rs", version=1, revision=revision)


def test_everything_is_created_in_the_order_in_which_pods_need_it() -> None:
    actions = plan(desired_of(), Observed(agent=None), UID)
    assert [(type(action), action.kind) for action in actions if not isinstance(action, Delete)] == [
        (Create, Kind.SERVICE_ACCOUNT),
        (Create, Kind.CONFIG_MAP),
        (Create, Kind.SERVICE),
        (Create, Kind.DEPLOYMENT),
    ]


def test_nothing_is_done_when_all_is_there() -> None:
    desired = desired_of()
    assert plan(desired, observed_as_desired(desired), UID) == ()


def test_a_change_of_the_resource_updates_what_it_changes() -> None:
    actions = plan(desired_of(replicas=2), observed_as_desired(desired_of()), UID)
    (update,) = actions
    assert isinstance(update, Update)
    assert (update.kind, update.put_back) == (Kind.DEPLOYMENT, None)
    assert update.manifest["metadata"]["uid"] == "child"


def test_a_field_that_is_no_longer_desired_is_noticed_though_all_that_is_desired_is_there() -> None:
    before, after = desired_of(pod={"annotations": {"a": "b"}}), desired_of()
    (manifest,) = [item for item in after.children if item["kind"] == "Deployment"]
    had_more = copy.deepcopy(manifest)
    had_more["spec"]["template"]["metadata"]["annotations"] = {"a": "b"}
    (applied,) = [item for item in before.children if item["kind"] == "Deployment"]
    raw = {**live(had_more), "metadata": live(applied)["metadata"]}
    others = [child(item) for item in after.children if item["kind"] != "Deployment"]
    observed = Observed(agent=None, children=(*others, child_record(Kind.DEPLOYMENT, KEY, raw)))
    (update,) = plan(after, observed, UID)
    assert isinstance(update, Update)
    assert update.put_back is None


def test_what_somebody_changed_is_put_back_and_named() -> None:
    desired = desired_of()
    changed = []
    for manifest in desired.children:
        raw = copy.deepcopy(live(manifest))
        if manifest["kind"] == "Service":
            raw["spec"]["ports"][0]["port"] = 81
        changed.append(child_record(Kind[KINDS[manifest["kind"]]], KEY, raw))
    (update,) = plan(desired, Observed(agent=None, children=tuple(changed)), UID)
    assert isinstance(update, Update)
    assert update.put_back == "spec.ports[http].port"


KINDS = {
    "ServiceAccount": "SERVICE_ACCOUNT",
    "ConfigMap": "CONFIG_MAP",
    "Service": "SERVICE",
    "Deployment": "DEPLOYMENT",
}


def test_another_level_of_the_log_is_one_write() -> None:
    before, after = (desired_of(logging={"level": level}) for level in ("info", "debug"))

    assert plan(before, observed_as_desired(before), UID) == ()
    (update,) = plan(after, observed_as_desired(before), UID)
    assert isinstance(update, Update)
    assert update.manifest["metadata"]["name"] == "hello-live"
    assert update.put_back is None


def test_what_says_nothing_any_more_is_taken_away() -> None:
    (delete,) = plan(desired_of(), observed_as_desired(desired_of(logging={})), UID)

    assert isinstance(delete, Delete)
    assert delete.child.name == "hello-live"


def test_an_immutable_configuration_with_other_content_is_deleted_and_not_updated() -> None:
    desired = desired_of()
    tampered = []
    for manifest in desired.children:
        raw = copy.deepcopy(live(manifest))
        if manifest["kind"] == "ConfigMap":
            raw["data"]["agent.json"] = "{}"
        tampered.append(child_record(Kind[KINDS[manifest["kind"]]], KEY, raw))
    (delete,) = plan(desired, Observed(agent=None, children=tuple(tampered)), UID)
    assert isinstance(delete, Delete)
    assert delete.child.kind is Kind.CONFIG_MAP


def test_the_configuration_of_a_revision_that_nothing_names_goes() -> None:
    now = desired_of()
    (delete,) = plan(now, with_old_revision(now), UID)
    assert isinstance(delete, Delete)
    assert delete.child.kind is Kind.CONFIG_MAP


def test_the_configuration_of_a_revision_that_can_be_rolled_back_to_stays() -> None:
    now, before = desired_of(), desired_of(agent={"instructions": "Old."})
    assert plan(now, with_old_revision(now, replica_set(before.revision.name)), UID) == ()


def test_nothing_goes_while_a_rollout_goes_on() -> None:
    now = desired_of()
    assert plan(now, with_old_revision(now, updatedReplicas=0), UID) == ()
    assert plan(now, with_old_revision(now, observedGeneration=0), UID) == ()


def test_where_nothing_runs_an_earlier_configuration_goes_before_anything_is_applied() -> None:
    now, before = desired_of(), desired_of(agent={"instructions": "Old."})
    left = observed_children(*(manifest for manifest in before.children if manifest["kind"] != "Deployment"))
    deletes = [action for action in plan(now, left, UID) if isinstance(action, Delete)]
    assert [action.child.name for action in deletes] == [f"hello-{before.revision.name}"]
    assert plan(now, left, UID)[0] == deletes[0]
    needed = dataclasses.replace(left, replica_sets=(replica_set(before.revision.name),))
    assert not any(isinstance(action, Delete) for action in plan(now, needed, UID))


def test_an_object_of_another_owner_is_a_conflict() -> None:
    desired = desired_of()
    observed = observed_children(*desired.children)
    assert conflicts(desired, observed, UID) == ()
    assert len(conflicts(desired, observed, "somebody else")) == 4


def test_an_object_without_an_owner_is_a_conflict() -> None:
    desired = desired_of()
    raw = live(next(item for item in desired.children if item["kind"] == "Service"))
    raw["metadata"] = {**raw["metadata"], "ownerReferences": []}
    foreign = child_record(Kind.SERVICE, KEY, raw)
    assert conflicts(desired, Observed(agent=None, children=(foreign,)), UID) == (foreign,)
    assert not is_left_over(foreign)


def test_what_an_earlier_resource_of_the_name_left_is_known_as_such() -> None:
    left = child(desired_of().children[0])
    assert left.owner is not None
    assert left.owner.kind == KIND
    assert is_left_over(left)


def test_what_the_plan_does_not_desire_and_does_not_own_stays() -> None:
    now = desired_of()
    observed = with_old_revision(now)
    old = observed.children[-1]
    foreign = {**json.loads(old.content), "metadata": {"name": old.name, "uid": "x", "resourceVersion": "1"}}
    stranger = child_record(Kind.CONFIG_MAP, KEY, foreign)
    assert plan(now, Observed(agent=None, children=(*observed.children[:-1], stranger)), UID) == ()
