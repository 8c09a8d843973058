"""Two operators share one Lease: one writes, the other is ready; whatever happens to the one, the other goes on."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from devcluster import DevCluster
from devcluster.api import ApiClient
from mizzen_operator.kinds import WATCHED
from mizzen_operator.lease import Timing
from mizzen_operator.workers import WORKERS
from tests.conftest import FULL_SIZE
from tests.integration.operator.audit import WRITES, AuditLog, resource, time_of
from tests.integration.operator.conftest import StartCandidate
from tests.integration.operator.process import LEASE_SECONDS, OperatorProcess
from tests.integration.operator.proxy import Proxy
from tests.integration.operator.test_writes import wait_quiet
from tests.support.namespace import Namespace, Object, agent_deployment
from tests.support.waiting import wait_for

TIMING = Timing(LEASE_SECONDS)
SLACK_SECONDS = 3.0
"""What a busy machine may add to a time that the contract gives."""
TIMES = 10 if FULL_SIZE else 1
MANY = 40
LEADS = 'leader_election_master_status{name="operator"}'


@pytest.fixture
def pair(audit: AuditLog, start_candidate: StartCandidate) -> tuple[OperatorProcess, OperatorProcess]:
    """The one that works, and the one that waits."""
    leader = start_candidate().wait_working()
    return leader, start_candidate().wait_standing_by()


def create(api: ApiClient, namespace: Namespace, name: str, **spec: Any) -> None:
    """Create a resource without kubectl, which takes longer than the operator."""
    api.create(collection(namespace), agent_deployment(name, replicas=0, **spec))


def collection(namespace: Namespace) -> str:
    return f"/apis/mizzen.dev/v1alpha1/namespaces/{namespace.name}/agentdeployments"


def wait_done(api: ApiClient, namespace: Namespace, *, seconds: float = 90) -> list[Object]:
    """Wait until every resource is reported complete, at its newest generation, and give them."""

    def done() -> list[Object]:
        agents: list[Object] = api.get(collection(namespace))["items"]
        behind = [agent["metadata"]["name"] for agent in agents if not is_done(agent)]
        assert not behind, behind
        return agents

    return wait_for(done, "a complete rollout of each", seconds=seconds)


def is_done(agent: Object) -> bool:
    status = agent.get("status", {})
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", [])}
    return bool(status.get("observedGeneration") == agent["metadata"]["generation"] and conditions["Ready"] == "True")


def work_of(audit: AuditLog, namespace: Namespace, operator: OperatorProcess) -> list[Object]:
    """Give an operator's writes on anything but the Lease, in the order in which they came."""
    events = [
        event for event in audit.requests(namespace.name, user_agent=operator.user_agent()) if event["verb"] in WRITES
    ]
    return sorted((event for event in events if resource(event) != "leases"), key=time_of)


def first_work(audit: AuditLog, namespace: Namespace, operator: OperatorProcess, *, seconds: float) -> float:
    """Wait for an operator's first write and give its time."""

    def found() -> list[Object] | None:
        return work_of(audit, namespace, operator) or None

    return time_of(wait_for(found, "a write of the operator that took over", seconds=seconds, interval=0.01)[0])


def last_renewal(audit: AuditLog, namespace: Namespace, operator: OperatorProcess) -> float:
    events = audit.requests(namespace.name, user_agent=operator.user_agent())
    return max(time_of(event) for event in events if resource(event) == "leases" and event["verb"] in WRITES)


def test_one_writes_and_the_other_knows_all_that_there_is_to_know(
    api: ApiClient, namespace: Namespace, pair: tuple[OperatorProcess, OperatorProcess], audit: AuditLog
) -> None:
    leader, standby = pair
    for name in ("one", "two", "three"):
        create(api, namespace, name)
    wait_done(api, namespace)
    assert (leader.metric(LEADS), standby.metric(LEADS)) == (1, 0)
    for operator in pair:
        assert (operator.call("/healthz").status, operator.call("/readyz").status) == (200, 200)
    assert len(work_of(audit, namespace, leader)) >= 15
    assert audit.writes(namespace.name, standby.user_agent()) == []
    for verb in ("list", "watch"):
        wait_for(partial(has_asked, audit, namespace, standby, verb), f"a {verb} of each kind by the standby")
    assert standby.metric('workqueue_depth{name="agentdeployment"}') == 0


def test_idle_the_one_asks_only_to_renew_and_the_other_nothing(
    namespace: Namespace, pair: tuple[OperatorProcess, OperatorProcess], audit: AuditLog
) -> None:
    leader, standby = pair
    kinds = {kind.plural for kind in WATCHED}
    wait_for(lambda: kinds <= watching(audit, namespace, leader), "the leader's watch of each kind")
    wait_for(lambda: kinds | {"leases"} <= watching(audit, namespace, standby), "the standby's, and of the Lease")
    idle = AuditLog.from_now(audit.path)
    wait_for(lambda: asked(idle, namespace, leader).total() >= 3, "three renewals")
    assert set(asked(idle, namespace, leader)) == {"update leases"}
    assert asked(idle, namespace, standby) == {}


def asked(audit: AuditLog, namespace: Namespace, operator: OperatorProcess) -> Counter[str]:
    """Give how often an operator asked for what."""
    events = audit.requests(namespace.name, user_agent=operator.user_agent())
    return Counter(f"{event['verb']} {resource(event)}" for event in events)


def watching(audit: AuditLog, namespace: Namespace, operator: OperatorProcess) -> set[str]:
    """Give what an operator watches at the moment.

    That it once began to is not enough: on a busy machine a first watch may be refused or end early, and the next one
    is asked for when all seems quiet.
    """
    under_way: dict[str, str] = {}
    for event in audit.requests(namespace.name, user_agent=operator.user_agent()):
        if event["verb"] == "watch" and event["stage"] == "ResponseStarted":
            under_way[event["auditID"]] = resource(event)
        elif event["verb"] == "watch":
            under_way.pop(event["auditID"], None)
    return set(under_way.values())


def has_asked(audit: AuditLog, namespace: Namespace, operator: OperatorProcess, verb: str) -> bool:
    """Tell whether an operator asked for all kinds that it has to know of."""
    events = audit.requests(namespace.name, user_agent=operator.user_agent())
    return {kind.plural for kind in WATCHED} <= {resource(event) for event in events if event["verb"] == verb}


def test_a_leader_that_ends_in_order_is_followed_at_once(
    api: ApiClient, namespace: Namespace, pair: tuple[OperatorProcess, OperatorProcess], audit: AuditLog
) -> None:
    leader, standby = pair
    for name in ("one", "two"):
        create(api, namespace, name)
    wait_done(api, namespace)
    wait_quiet(leader)
    later = AuditLog.from_now(audit.path)
    ended = time.time()
    assert leader.terminate() == 0
    create(api, namespace, "three")
    followed = first_work(later, namespace, standby, seconds=LEASE_SECONDS)
    assert followed - ended < LEASE_SECONDS - TIMING.renewal, "it waited for the Lease to run out"
    wait_done(api, namespace)
    assert all(event["objectRef"]["name"].startswith("three") for event in work_of(later, namespace, standby))


@pytest.mark.parametrize("_", range(TIMES))
def test_a_leader_that_is_killed_is_followed_when_its_lease_has_run_out(
    api: ApiClient, namespace: Namespace, pair: tuple[OperatorProcess, OperatorProcess], audit: AuditLog, _: int
) -> None:
    leader, standby = pair
    killed = time.time()
    leader.send(signal.SIGKILL)
    create(api, namespace, "one")
    followed = first_work(audit, namespace, standby, seconds=LEASE_SECONDS + SLACK_SECONDS)
    assert followed - last_renewal(audit, namespace, leader) >= LEASE_SECONDS
    assert followed - killed <= LEASE_SECONDS + SLACK_SECONDS
    wait_done(api, namespace)
    print(f"killed, and followed after {followed - killed:.2f} s of a Lease of {LEASE_SECONDS} s")  # noqa: T201


@pytest.mark.parametrize("_", range(TIMES))
def test_a_leader_that_freezes_in_the_middle_of_its_work_is_followed_and_does_no_harm_when_it_thaws(
    api: ApiClient,
    namespace: Namespace,
    pair: tuple[OperatorProcess, OperatorProcess],
    start_candidate: StartCandidate,
    audit: AuditLog,
    _: int,
) -> None:
    leader, standby = pair
    for number in range(MANY):
        create(api, namespace, f"agent-{number}")
    wait_for(lambda: len(work_of(audit, namespace, leader)) > MANY // 4, "a leader at work", interval=0.01)
    leader.send(signal.SIGSTOP)
    for number in range(0, MANY, 4):
        api.request("DELETE", f"{collection(namespace)}/agent-{number}")
    for number in range(MANY // 4):
        create(api, namespace, f"late-{number}")
    begun = len(work_of(audit, namespace, leader))
    assert begun < 5 * MANY, "the leader was to be frozen in the middle"
    standby.wait_working()
    wait_done(api, namespace)
    wait_quiet(standby)
    thawed = time.time()
    leader.send(signal.SIGCONT)
    assert leader.exit_status() == 1
    leader.said_at("lost the Lease")
    late = [event for event in work_of(audit, namespace, leader) if time_of(event) > thawed]
    assert len(late) <= WORKERS
    print(f"frozen after {begun} writes, {len(late)} came after the thaw")  # noqa: T201
    wait_quiet(standby)
    assert standby.terminate() == 0
    assert_nothing_is_left_to_do(namespace, start_candidate, audit)


def assert_nothing_is_left_to_do(namespace: Namespace, start_candidate: StartCandidate, audit: AuditLog) -> None:
    """Let an operator that knows nothing of what happened look at everything: it finds all as it should be."""
    later = AuditLog.from_now(audit.path)
    fresh = start_candidate().wait_working()
    wait_quiet(fresh)
    assert set(later.writes(namespace.name)) == {"update leases/operator"}


@dataclass(frozen=True)
class Proxied:
    """What stands between an operator and the API server, and the way through it."""

    proxy: Proxy
    kubeconfig: Path


@pytest.fixture
def proxied(cluster: DevCluster, tmp_path: Path) -> Iterator[Proxied]:
    with Proxy(cluster.kubeconfig) as proxy:
        yield Proxied(proxy, proxy.write_kubeconfig(tmp_path / "kubeconfig"))


def test_a_leader_that_is_cut_off_stops_by_itself_and_work_goes_on_without_it(
    api: ApiClient, namespace: Namespace, audit: AuditLog, proxied: Proxied, start_candidate: StartCandidate
) -> None:
    leader = start_candidate(proxied.kubeconfig).wait_working()
    standby = start_candidate().wait_standing_by()
    for number in range(MANY // 2):
        create(api, namespace, f"agent-{number}")
    proxied.proxy.cut()
    cut = time.time()
    assert leader.exit_status() == 1
    lost = leader.said_at("lost the Lease")
    assert lost - cut <= TIMING.deadline + SLACK_SECONDS
    wait_done(api, namespace)
    assert first_work(audit, namespace, standby, seconds=1) >= last_renewal(audit, namespace, leader) + LEASE_SECONDS
    proxied.proxy.mend()
    late = [event for event in work_of(audit, namespace, leader) if time_of(event) > lost]
    assert len(late) <= WORKERS
    print(f"stopped {lost - cut:.2f} s after it was cut off, {len(late)} writes came later")  # noqa: T201
    again = start_candidate(proxied.kubeconfig).wait_standing_by()
    assert standby.terminate() == 0
    create(api, namespace, "late")
    again.wait_working()
    wait_done(api, namespace)


def test_who_follows_works_from_what_is_there_and_not_from_what_its_watches_told_last(
    api: ApiClient, namespace: Namespace, audit: AuditLog, proxied: Proxied, start_candidate: StartCandidate
) -> None:
    leader = start_candidate().wait_working()
    standby = start_candidate(proxied.kubeconfig).wait_standing_by()
    create(api, namespace, "one")
    wait_done(api, namespace)
    wait_for(partial(has_asked, audit, namespace, standby, "watch"), "a watch of each kind by the standby")
    proxied.proxy.stall()
    namespace.apply(agent_deployment("one", replicas=0, agent={"instructions": "Be kind."}))
    (agent,) = wait_done(api, namespace)
    assert leader.terminate() == 0
    standby.wait_working()
    wait_quiet(standby)
    assert work_of(audit, namespace, standby) == []
    (after,) = wait_done(api, namespace)
    assert after["status"] == agent["status"]
    proxied.proxy.mend()
