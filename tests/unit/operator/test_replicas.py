"""How many pods an agent gets, whoever says so."""

from mizzen_operator.kinds import Kind
from tests.unit.operator.builders import Object
from tests.unit.operator.test_by_hand import at_rest, notes
from tests.unit.operator.test_reconcile import Setup


def asked_for(setup: Setup) -> int | None:
    found: int | None = setup.cluster.objects[Kind.AGENT, "team", "hello"]["spec"].get("replicas")
    return found


def wanted(setup: Setup) -> int:
    found: int = setup.cluster.objects[Kind.DEPLOYMENT, "team", "hello"]["spec"]["replicas"]
    return found


def scaled(setup: Setup, replicas: int) -> None:
    """Have the resource ask for so many pods."""
    setup.cluster.change(Kind.AGENT, "hello", lambda raw: raw["spec"].update(replicas=replicas))
    setup.see_all()
    setup.work()


def left_out(raw: Object) -> None:
    del raw["spec"]["replicas"]


def by_autoscaler(raw: Object) -> None:
    """Scale the Deployment as the controller of HorizontalPodAutoscalers does."""
    raw["spec"]["replicas"] = 4
    fields: Object = {"f:spec": {"f:replicas": {}}}
    entry = {"manager": "kube-controller-manager", "operation": "Update", "subresource": "scale", "fieldsV1": fields}
    raw["metadata"]["managedFields"] = [entry]


def by_hand(raw: Object) -> None:
    """Scale the Deployment as `kubectl scale` does."""
    by_autoscaler(raw)
    raw["metadata"]["managedFields"][0]["manager"] = "kubectl"


def test_a_number_that_is_left_out_is_filled_in_with_one() -> None:
    setup = Setup()
    setup.cluster.change(Kind.AGENT, "hello", left_out)
    setup.see_all()
    setup.work()
    assert setup.cluster.writes[0] == "scale AgentDeployment/hello to 1"
    assert (asked_for(setup), wanted(setup)) == (1, 1)


def test_a_number_that_is_taken_out_leaves_the_pods_that_there_are() -> None:
    setup = at_rest()
    scaled(setup, 5)
    setup.cluster.change(Kind.AGENT, "hello", left_out)
    setup.see_all()
    writes = len(setup.cluster.writes)
    setup.work()
    assert (asked_for(setup), wanted(setup)) == (5, 5)
    assert "apply Deployment/hello" not in setup.cluster.writes[writes:]


def test_no_pods_at_all_stay_no_pods_when_the_number_is_taken_out() -> None:
    setup = at_rest()
    scaled(setup, 0)
    setup.cluster.change(Kind.AGENT, "hello", left_out)
    setup.see_all()
    setup.work()
    assert (asked_for(setup), wanted(setup)) == (0, 0)


def test_an_edit_in_the_same_moment_is_not_overwritten() -> None:
    setup = Setup()
    setup.cluster.change(Kind.AGENT, "hello", left_out)
    setup.see_all()
    setup.cluster.change(Kind.AGENT, "hello", lambda raw: raw["spec"].update(replicas=7))
    setup.work()
    assert (asked_for(setup), wanted(setup)) == (7, 7)
    assert not [write for write in setup.cluster.writes if write.startswith("scale")]


def test_an_autoscaler_of_the_deployment_is_followed_and_told_where_it_belongs() -> None:
    setup = at_rest()
    setup.intake.seen(Kind.DEPLOYMENT, setup.cluster.change(Kind.DEPLOYMENT, "hello", by_autoscaler))
    setup.work()
    assert (asked_for(setup), wanted(setup)) == (4, 4)
    (note,) = notes(setup, "WrongScaleTarget")
    assert note == (
        "A HorizontalPodAutoscaler scales Deployment hello; its number is taken over into spec.replicas. "
        "Let it target AgentDeployment hello instead."
    )
    assert notes(setup, "PutBack") == []


def test_a_person_who_scales_the_deployment_is_put_right() -> None:
    setup = at_rest()
    setup.intake.seen(Kind.DEPLOYMENT, setup.cluster.change(Kind.DEPLOYMENT, "hello", by_hand))
    setup.work()
    assert (asked_for(setup), wanted(setup)) == (1, 1)
    assert len(notes(setup, "PutBack")) == 1


def test_an_edit_of_the_number_wins_over_an_autoscaler_of_the_deployment() -> None:
    setup = at_rest()
    setup.cluster.change(Kind.AGENT, "hello", lambda raw: raw["spec"].update(replicas=2))
    setup.cluster.change(Kind.DEPLOYMENT, "hello", by_autoscaler)
    setup.see_all()
    setup.work()
    assert (asked_for(setup), wanted(setup)) == (2, 2)
