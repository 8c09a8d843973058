"""What people, policies and webhooks do to children, and what is told of it: the reconciler on a cluster in memory."""

from collections.abc import Mapping
from typing import Any

import pytest

from mizzen_operator.cluster.errors import ClusterError, ForbiddenError, NamespaceTerminatingError, RejectedError
from mizzen_operator.cluster.port import RawObject
from mizzen_operator.converge import REFUSED_SECONDS, REJECTED_SECONDS
from mizzen_operator.errors import WaitForError
from mizzen_operator.kinds import Kind
from tests.unit.operator.builders import KEY, Object
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.test_reconcile import DEPLOYMENT, STATUS, Setup

SCALED_BY_HAND = (
    "Deployment hello: spec.replicas was changed, and put back. "
    "Scale the agent instead: kubectl scale agd/hello --replicas=N"
)


def notes(setup: Setup, reason: str) -> list[str]:
    """Give what the events of a reason say."""
    return [event["note"] for event in setup.cluster.events if event["reason"] == reason]


def at_rest() -> Setup:
    """Give a cluster in which the agent has all its children."""
    setup = Setup()
    setup.work()
    setup.see_all()
    setup.work()
    return setup


DENIALS = [
    (
        RejectedError('admission webhook "images.example.com" denied the request: unsigned'),
        "PodRefused",
        REFUSED_SECONDS,
    ),
    (RejectedError("ValidatingAdmissionPolicy 'x' with binding 'y' denied request: no"), "PodRefused", REFUSED_SECONDS),
    (ForbiddenError("exceeded quota"), "PodRefused", REFUSED_SECONDS),
    (RejectedError("spec.template.spec.tolerations: invalid"), "InvalidSpec", REJECTED_SECONDS),
]


@pytest.mark.parametrize(("error", "reason", "seconds"), DENIALS, ids=[str(error) for error, *_ in DENIALS])
def test_what_is_denied_is_tried_again(error: ClusterError, reason: str, seconds: float) -> None:
    setup = Setup()
    setup.cluster.failures[DEPLOYMENT] = error
    with pytest.raises(WaitForError) as caught:
        setup.reconcile()
    assert (caught.value.reason, caught.value.seconds) == (reason, seconds)
    assert str(error) in caught.value.message


def test_nothing_is_said_about_an_agent_whose_namespace_is_being_deleted() -> None:
    setup = at_rest()
    setup.intake.gone(setup.cluster.take_away(Kind.SERVICE, "hello"))
    setup.cluster.failures["apply Service/hello"] = NamespaceTerminatingError("team is being terminated")
    writes, events = len(setup.cluster.writes), len(setup.cluster.events)
    assert setup.work() == 1
    assert (len(setup.cluster.writes), len(setup.cluster.events)) == (writes, events)


@pytest.mark.parametrize("kind", [Kind.SERVICE_ACCOUNT, Kind.CONFIG_MAP, Kind.SERVICE, Kind.DEPLOYMENT])
def test_a_child_that_was_taken_away_is_made_again_and_told(kind: Kind) -> None:
    setup = at_rest()
    (name,) = setup.cluster.names(kind)
    setup.intake.gone(setup.cluster.take_away(kind, name))
    setup.work()
    assert notes(setup, "PutBack") == [f"{kind.kind_name} {name} was missing, and made again."]


def test_a_child_that_could_not_be_made_before_was_not_missing() -> None:
    setup = Setup()
    setup.cluster.failures[DEPLOYMENT] = ForbiddenError("exceeded quota")
    with pytest.raises(WaitForError):
        setup.reconcile()
    setup.cluster.failures.clear()
    setup.reconcile()
    assert setup.cluster.names(Kind.DEPLOYMENT) == ["hello"]
    assert notes(setup, "PutBack") == []


def test_a_rollout_that_is_undone_by_hand_is_put_back_and_told() -> None:
    setup = at_rest()
    before = setup.cluster.objects[Kind.DEPLOYMENT, "team", "hello"]
    setup.edit()
    setup.see_all()
    setup.work()
    assert notes(setup, "PutBack") == []
    revision = setup.status()["candidateRevision"]

    def undo(raw: Object) -> None:
        raw["spec"]["template"] = before["spec"]["template"]
        raw["metadata"]["annotations"] = before["metadata"]["annotations"]

    setup.intake.seen(Kind.DEPLOYMENT, setup.cluster.change(Kind.DEPLOYMENT, "hello", undo))
    setup.work()
    after = setup.cluster.objects[Kind.DEPLOYMENT, "team", "hello"]
    assert after["spec"]["template"]["metadata"]["labels"]["mizzen.dev/revision"] == revision
    (note,) = notes(setup, "PutBack")
    assert note.startswith("Deployment hello: spec.template.")
    assert note.endswith("put back. What runs is what the agent's spec says: kubectl edit agd/hello")


def test_a_deployment_that_is_scaled_is_put_back_with_the_way_to_scale_the_agent() -> None:
    setup = at_rest()

    def scale(raw: Object) -> None:
        raw["spec"]["replicas"] = 7

    setup.intake.seen(Kind.DEPLOYMENT, setup.cluster.change(Kind.DEPLOYMENT, "hello", scale))
    setup.work()
    assert notes(setup, "PutBack") == [SCALED_BY_HAND]


def test_a_rollout_restart_is_left_alone_and_told_once() -> None:
    setup = at_rest()

    def restart_at(time: str) -> None:
        def restart(raw: Object) -> None:
            raw["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": time}

        setup.intake.seen(Kind.DEPLOYMENT, setup.cluster.change(Kind.DEPLOYMENT, "hello", restart))

    writes = setup.cluster.writes.count(DEPLOYMENT)
    for time in ("2026-11-27T10:00:00Z", "2026-11-27T10:00:00Z", "2026-11-27T11:00:00Z"):
        restart_at(time)
        setup.work()
    setup.reconcile()
    assert setup.cluster.writes.count(DEPLOYMENT) == writes
    told = "Deployment hello: new pods of the same revision replace the old ones, as asked at 2026-11-27T{}:00:00Z."
    assert notes(setup, "Restarted") == [told.format(10), told.format(11)]


def test_a_rollout_restart_before_the_operators_own_start_is_not_told() -> None:
    before = at_rest()

    def restart(raw: Object) -> None:
        raw["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": "yesterday"}

    before.cluster.change(Kind.DEPLOYMENT, "hello", restart)
    setup = Setup(before.cluster)
    setup.see_all()
    setup.work()
    assert notes(setup, "Restarted") == []


def test_an_owner_that_was_taken_from_a_child_is_put_back() -> None:
    setup = at_rest()
    setup.intake.seen(Kind.SERVICE, setup.cluster.change(Kind.SERVICE, "hello", without_owner))
    setup.work()
    (owner,) = setup.cluster.objects[Kind.SERVICE, "team", "hello"]["metadata"]["ownerReferences"]
    assert owner["name"] == KEY.name


def test_an_object_without_an_owner_that_was_never_seen_as_ours_is_left_with_the_remedy() -> None:
    before = at_rest()
    orphan = before.cluster.change(Kind.SERVICE, "hello", without_owner)
    setup = Setup()
    setup.cluster.store(Kind.SERVICE, orphan)
    with pytest.raises(WaitForError, match="--cascade=orphan"):
        setup.reconcile()
    assert setup.cluster.writes == [STATUS]


def without_owner(raw: Object) -> None:
    raw["metadata"]["ownerReferences"] = []


class RewritingCluster(FakeCluster):
    """Has a webhook that fetches every image from a mirror."""

    async def apply(self, kind: Kind, manifest: Mapping[str, Any], *, force: bool) -> RawObject:
        """See `Cluster.apply`."""
        answer = await super().apply(kind, manifest, force=force)
        return self.change(kind, manifest["metadata"]["name"], self._mirrored) if kind is Kind.DEPLOYMENT else answer

    @staticmethod
    def _mirrored(raw: Object) -> None:
        raw["spec"]["template"]["spec"]["containers"][0]["image"] = "mirror.example/runtime:1"


def test_what_a_webhook_changes_is_written_once_and_told_once() -> None:
    setup = Setup(RewritingCluster())
    for _ in range(3):
        setup.work()
        setup.see_all()
        setup.reconcile()
    assert setup.cluster.writes.count(DEPLOYMENT) == 1
    assert notes(setup, "Overruled") == [
        "Deployment hello: a policy or webhook changes spec.template.spec.containers[agent].image; it is left as it is."
    ]


def test_what_somebody_changes_beside_a_webhook_is_put_back_by_one_write() -> None:
    setup = Setup(RewritingCluster())
    setup.work()

    def paused(raw: Object) -> None:
        raw["spec"]["paused"] = True

    setup.intake.seen(Kind.DEPLOYMENT, setup.cluster.change(Kind.DEPLOYMENT, "hello", paused))
    setup.work()
    setup.see_all()
    setup.work()
    setup.reconcile()
    assert setup.cluster.writes.count(DEPLOYMENT) == 2
    assert setup.cluster.objects[Kind.DEPLOYMENT, "team", "hello"]["spec"]["paused"] is False
