"""What an upgrade of the operator does to agents: nothing by itself, whatever the new release renders."""

import json
from collections.abc import Callable
from typing import Any

from mizzen_api.names import LABEL_REVISION
from mizzen_operator.desired.revision import name_of
from mizzen_operator.kinds import Kind
from tests.unit.operator.builders import IMAGE, Object
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.test_by_hand import notes
from tests.unit.operator.test_reconcile import Setup

NEW_IMAGE = "localhost/mizzen-runtime:2"


def rolled_out() -> Setup:
    """Give a cluster in which the agent runs, all of it."""
    setup = Setup()
    settle(setup)
    return setup


def settle(setup: Setup) -> None:
    """Let the operator work, its pods come up, and the watches tell."""
    for _ in range(3):
        setup.work()
        if Kind.DEPLOYMENT in {kind for kind, _, _ in setup.cluster.objects}:
            setup.cluster.change(Kind.DEPLOYMENT, "hello", complete)
        setup.see_all()
    setup.work()


def complete(raw: Object) -> None:
    count = raw["spec"]["replicas"]
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    raw["status"] = {"observedGeneration": raw["metadata"]["generation"], **dict.fromkeys(counts, count)}


def upgraded(cluster: FakeCluster, *, updates: int = 0) -> Setup:
    """Give an operator whose default image is a newer one, on a cluster that another one has left."""
    setup = Setup(cluster, image=NEW_IMAGE, updates=updates)
    settle(setup)
    return setup


def template(cluster: FakeCluster) -> Any:
    return cluster.objects[Kind.DEPLOYMENT, "team", "hello"]["spec"]["template"]


def image(cluster: FakeCluster) -> str:
    found: str = template(cluster)["spec"]["containers"][0]["image"]
    return found


def test_a_new_default_image_leaves_a_running_agent_alone() -> None:
    before = rolled_out()
    writes = len(before.cluster.writes)
    after = upgraded(before.cluster)
    assert after.cluster.writes[writes:] == []
    assert image(after.cluster) == after.status()["runtimeImage"] == IMAGE
    assert after.updates.behind == 1


def test_an_edit_takes_up_the_new_image() -> None:
    setup = upgraded(rolled_out().cluster)
    setup.edit()
    setup.see_all()
    settle(setup)
    assert image(setup.cluster) == setup.status()["runtimeImage"] == NEW_IMAGE
    assert setup.updates.behind == 0


def test_another_number_of_pods_does_not_take_up_the_new_image() -> None:
    setup = upgraded(rolled_out().cluster)
    setup.cluster.change(Kind.AGENT, "hello", lambda raw: raw["spec"].update(replicas=3))
    setup.see_all()
    settle(setup)
    assert setup.cluster.objects[Kind.DEPLOYMENT, "team", "hello"]["spec"]["replicas"] == 3
    assert image(setup.cluster) == IMAGE


def log_from(setup: Setup, level: str) -> None:
    setup.cluster.change(Kind.AGENT, "hello", lambda raw: raw["spec"].update(logging={"level": level}))
    setup.see_all()
    settle(setup)


def test_another_level_of_the_log_is_taken_up_without_the_new_image() -> None:
    setup = upgraded(rolled_out().cluster)
    before = template(setup.cluster)

    log_from(setup, "debug")

    assert template(setup.cluster) == before
    assert "debug" in setup.cluster.objects[Kind.CONFIG_MAP, "team", "hello-live"]["data"]["live.json"]
    assert setup.status()["observedGeneration"] == 2
    writes = len(setup.cluster.writes)
    settle(setup)
    assert setup.cluster.writes[writes:] == []


def test_a_level_that_pods_of_an_earlier_release_could_not_take_up_has_new_ones_made() -> None:
    setup = upgraded(with_older_rendering(rolled_out().cluster, without_live))
    assert image(setup.cluster) == IMAGE

    log_from(setup, "debug")

    assert image(setup.cluster) == NEW_IMAGE
    assert "live" in [volume["name"] for volume in template(setup.cluster)["spec"]["volumes"]]


def without_live(older: Object) -> None:
    older["spec"]["volumes"] = [volume for volume in older["spec"]["volumes"] if volume["name"] != "live"]


def impatient_release(older: Object) -> None:
    older["spec"]["terminationGracePeriodSeconds"] = 7


def test_what_another_release_rendered_is_kept_whole_and_put_back_if_somebody_changes_it() -> None:
    setup = upgraded(with_older_rendering(rolled_out().cluster))
    before = template(setup.cluster)
    assert before["spec"]["terminationGracePeriodSeconds"] == 7

    def impatient(raw: Object) -> None:
        raw["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 1

    setup.intake.seen(Kind.DEPLOYMENT, setup.cluster.change(Kind.DEPLOYMENT, "hello", impatient))
    setup.work()
    assert template(setup.cluster) == before


def with_older_rendering(cluster: FakeCluster, rendered: Callable[[Object], None] = impatient_release) -> FakeCluster:
    """Have an earlier release applied another template for the same spec, under a revision of its own."""
    current = template(cluster)["metadata"]["labels"][LABEL_REVISION]
    data = cluster.objects[Kind.CONFIG_MAP, "team", f"hello-{current}"]["data"]
    older = json.loads(data["pod-template.json"])
    rendered(older)
    data["pod-template.json"] = json.dumps(older)  # with blanks, as another release may write it
    name = name_of({key: text.replace(current, "") for key, text in data.items()})
    text = json.dumps([cluster.objects[kind, "team", name] for kind, _, name in cluster.objects])
    cluster.objects.clear()
    for raw in json.loads(text.replace(current, name)):
        cluster.store(next(kind for kind in Kind if kind.kind_name == raw["kind"]), raw)
    return cluster


def test_an_agent_that_is_admitted_takes_up_the_new_image_and_makes_room_when_it_runs() -> None:
    setup = Setup(rolled_out().cluster, image=NEW_IMAGE, updates=1)
    setup.work()
    assert image(setup.cluster) == NEW_IMAGE
    assert (setup.updates.behind, setup.updates.moving) == (0, 1)
    settle(setup)
    assert (setup.updates.behind, setup.updates.moving) == (0, 0)
    assert setup.status()["stableRevision"] == template(setup.cluster)["metadata"]["labels"][LABEL_REVISION]


def test_an_agent_that_is_being_moved_is_known_as_such_after_a_restart() -> None:
    moving = Setup(rolled_out().cluster, image=NEW_IMAGE, updates=1)
    moving.work()
    setup = Setup(moving.cluster, image=NEW_IMAGE, updates=1)
    setup.work()
    assert (setup.updates.behind, setup.updates.moving) == (0, 1)
    assert image(setup.cluster) == NEW_IMAGE


def test_an_edit_that_does_not_come_up_takes_no_place_of_a_move() -> None:
    setup = rolled_out()
    setup.edit()
    setup.see_all()
    setup.work()
    assert setup.status()["candidateRevision"]
    assert (setup.updates.behind, setup.updates.moving) == (0, 0)


def test_a_release_that_does_not_start_is_led_back_by_the_one_before() -> None:
    bad = Setup(rolled_out().cluster, image=NEW_IMAGE, updates=1)
    bad.work()
    assert image(bad.cluster) == NEW_IMAGE
    setup = Setup(bad.cluster, image=IMAGE, updates=1)
    setup.work()
    assert image(setup.cluster) == IMAGE
    settle(setup)
    assert (setup.updates.behind, setup.updates.moving) == (0, 0)


def broken_edit() -> Setup:
    """Give an agent whose last edit does not come up, in front of what served before."""
    setup = rolled_out()
    setup.edit()
    setup.see_all()
    setup.work()
    return setup


def test_an_edit_that_has_not_come_up_takes_the_new_image_at_once_and_holds_up_nobody() -> None:
    setup = Setup(broken_edit().cluster, image=NEW_IMAGE, updates=1)
    setup.work()
    assert image(setup.cluster) == NEW_IMAGE
    assert (setup.updates.behind, setup.updates.moving) == (0, 0)


def test_a_default_image_that_never_worked_is_mended_by_the_next_release() -> None:
    first = Setup()
    first.work()
    assert first.status().get("stableRevision") is None
    setup = Setup(first.cluster, image=NEW_IMAGE)
    setup.work()
    assert image(setup.cluster) == NEW_IMAGE


def test_an_edit_that_is_undone_brings_back_what_ran_before_and_no_other_image() -> None:
    setup = Setup(rolled_out().cluster, image=NEW_IMAGE)
    setup.work()
    setup.edit()
    setup.see_all()
    setup.work()
    assert image(setup.cluster) == NEW_IMAGE
    setup.instruct("Be brief.")
    setup.see_all()
    setup.work()
    assert image(setup.cluster) == IMAGE
    assert notes(setup, "PutBack") == []


def test_a_rollback_of_the_operator_leads_back_whatever_else_it_is_set_to() -> None:
    bad = Setup(rolled_out().cluster, image=NEW_IMAGE, updates=1)
    bad.work()
    setup = Setup(bad.cluster, image=IMAGE, updates=0)
    setup.work()
    assert image(setup.cluster) == IMAGE
    assert notes(setup, "PutBack") == []


def test_a_configuration_that_somebody_has_replaced_is_not_run() -> None:
    before = rolled_out()
    (name,) = before.cluster.names(Kind.CONFIG_MAP)
    forged = before.cluster.take_away(Kind.CONFIG_MAP, name)
    text = forged["data"]["pod-template.json"]
    forged["data"]["pod-template.json"] = text.replace(IMAGE, "registry.example/mine:1")
    del forged["metadata"]["uid"]
    before.cluster.store(Kind.CONFIG_MAP, forged)
    setup = upgraded(before.cluster)
    assert image(setup.cluster) == NEW_IMAGE


def test_a_configuration_that_lost_its_label_is_found_all_the_same() -> None:
    before = rolled_out()
    setup = Setup(before.cluster, image=NEW_IMAGE)
    (name,) = before.cluster.names(Kind.CONFIG_MAP)
    setup.intake.gone(setup.cluster.objects[Kind.CONFIG_MAP, "team", name])
    setup.work()
    assert image(setup.cluster) == IMAGE


def test_a_revision_whose_configuration_is_gone_is_rendered_anew() -> None:
    before = rolled_out()
    (name,) = before.cluster.names(Kind.CONFIG_MAP)
    before.cluster.take_away(Kind.CONFIG_MAP, name)
    assert image(upgraded(before.cluster).cluster) == NEW_IMAGE
