"""The operator is killed at random moments of its work: what it leaves in the end is what it always leaves."""

import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from demo.installation import create_namespace
from devcluster import DevCluster
from devcluster.api import ApiClient
from mizzen_api.conditions import Reason
from mizzen_api.names import LABEL_REVISION
from mizzen_operator.cluster.connection import USER_AGENT
from tests.conftest import FULL_SIZE
from tests.integration.operator.audit import WRITES, AuditLog, is_operators, resource
from tests.integration.operator.end_state import differences, end_state, listed
from tests.integration.operator.process import OperatorProcess
from tests.integration.operator.test_writes import wait_quiet
from tests.support.namespace import Namespace, Object, agent_deployment
from tests.support.waiting import wait_for

AGENTS = 30 if FULL_SIZE else 8
KILLS = 50 if FULL_SIZE else 10
IDLE_SECONDS = 1.0
"""An operator that has not written as often as it was to is killed after so long without a write."""
KILLED_AT_WRITE = 0.7
"""Share of the operators that are killed right behind one of their writes; the others after a time."""
MAX_WRITES = 12
MAX_SECONDS = 3.0
WRITE = re.compile(rb'"verb":"(?:patch|delete)",.*"userAgent":"%b \(' % USER_AGENT.encode())
NOWHERE = {"nodeSelector": {"disk": "gold"}}
"""No node has it: a pod is there and never runs, so that no image is needed."""


@dataclass(frozen=True)
class Step:
    """A change of many resources at once, and what is there when it is done."""

    deleted: tuple[str, ...]
    applied: tuple[Object, ...]
    agents: frozenset[str] | None
    """Names of all that must be there before the next change; None if that is not waited for."""

    def perform(self, namespace: Namespace) -> None:
        """Make the change as a user does; what is deleted is not waited for."""
        if self.deleted:
            namespace.kubectl("delete", "agd", "--wait=false", *self.deleted)
        if self.applied:
            namespace.apply({"apiVersion": "v1", "kind": "List", "items": list(self.applied)})


def steps(count: int) -> Iterator[Step]:
    """Give the script: many are created, edited, scaled, given another account, deleted and made again.

    Of two edits that follow each other at once, an operator may see the second only. Its ReplicaSet and configuration
    then are one less; four edits later they are forgotten.
    """
    names = [f"agent-{number}" for number in range(count)]
    by_kind = [frozenset(names[kind::5]) for kind in range(5)]
    accounts, replaced, remade, scaled, plain = by_kind
    everybody = frozenset(names)
    own_account = {"serviceAccountName": "default"}

    def edited(text: str, who: frozenset[str], replicas: int = 0, **spec: Any) -> tuple[Object, ...]:
        return tuple(
            agent_deployment(name, agent={"instructions": text}, replicas=replicas, **spec) for name in sorted(who)
        )

    def edited_all(text: str) -> tuple[Object, ...]:
        return (*edited(text, everybody - scaled), *edited(text, scaled, pod=NOWHERE))

    yield Step((), edited_all("Be brief."), everybody)
    yield Step((), edited_all("Be kind."), None)  # the next comes while this is worked on
    yield Step((), edited_all("Be polite."), None)
    yield Step(
        tuple(sorted(replaced)),
        (
            *edited("Be clear.", remade | plain),
            *edited("Be clear.", scaled, pod=NOWHERE),
            *edited("Be clear.", accounts, pod=own_account),
        ),
        everybody - replaced,
    )
    yield Step((), edited_all("Be exact."), everybody)
    yield Step(
        tuple(sorted(remade)), (*edited("Be exact.", scaled, 2, pod=NOWHERE), *edited("Be new.", remade)), everybody
    )
    yield Step((), edited("Be exact.", scaled, 0, pod=NOWHERE), everybody)
    yield Step((), edited_all("Be quick."), everybody)
    yield Step((), edited_all("Be calm."), everybody)
    yield Step(tuple(sorted(replaced)), edited("Be calm.", scaled, 1, pod=NOWHERE), everybody - replaced)


def is_done(api: ApiClient, namespace: Namespace, agents: frozenset[str]) -> bool:
    """Tell whether exactly these agents and their Deployments are there, and what was asked for last is complete."""
    found = {item["metadata"]["name"]: item for item in listed(api, namespace.name, "AgentDeployment")}
    deployments = {item["metadata"]["name"]: item for item in listed(api, namespace.name, "Deployment")}
    if not found.keys() == deployments.keys() == agents:
        return False
    return all(is_complete(agent, deployments[name]) for name, agent in found.items())


def is_complete(agent: Object, deployment: Object) -> bool:
    """Tell whether an agent's last edit is reported and rolled out, as far as its pods can be."""
    status = agent.get("status", {})
    revision = deployment["spec"]["template"]["metadata"]["labels"][LABEL_REVISION]
    reasons = {condition["reason"] for condition in status.get("conditions", ())}
    return (
        status.get("observedGeneration") == agent["metadata"]["generation"]
        and status.get("stableRevision") == revision
        and (Reason.UNSCHEDULABLE if agent["spec"]["replicas"] else Reason.SCALED_TO_ZERO) in reasons
    )


class Operators:
    """One operator after the other; all but the last are killed."""

    def __init__(self, namespace: Namespace, audit: AuditLog, rng: random.Random) -> None:
        self._namespace = namespace
        self._audit = audit
        self._rng = rng
        self._current = self._start()
        self.lives: list[list[str]] = []
        """What each of the killed had written."""

    def _start(self) -> OperatorProcess:
        self._life = AuditLog.from_now(self._audit.path)
        return OperatorProcess(self._namespace.cluster.kubeconfig, self._namespace.name)

    def kill_one(self) -> None:
        """Kill the operator at a random moment, and start the next."""
        if self._rng.random() < KILLED_AT_WRITE:
            self._wait_for_writes(self._rng.randint(1, MAX_WRITES))
        else:
            time.sleep(self._rng.uniform(0, MAX_SECONDS))  # the moment of the kill, which is the test's subject
        self._current.kill()
        self.lives.append(self._life.writes(self._namespace.name))
        self._current = self._start()

    def _wait_for_writes(self, number: int) -> None:
        """Wait until so many writes are in the audit log, or none has come for a while."""
        self._current.wait_working()
        written, since = 0, time.monotonic()
        with self._audit.path.open("rb") as log:
            log.seek(self._life.start)
            while written < number and time.monotonic() - since < IDLE_SECONDS:
                new = len(WRITE.findall(log.read()))
                written, since = written + new, time.monotonic() if new else since
                time.sleep(0.001)

    def last(self) -> OperatorProcess:
        """Give the one that is left alive."""
        return self._current.wait_working()


@pytest.fixture
def undisturbed(cluster: DevCluster, namespace: Namespace) -> Iterator[Namespace]:
    """Another namespace for the same script."""
    other = Namespace(cluster, f"{namespace.name}-undisturbed")
    create_namespace(cluster, other.name)
    yield other
    cluster.kubectl("delete", "namespace", other.name, "--wait=false")


def play(api: ApiClient, namespace: Namespace, operators: Operators, kills: list[int]) -> None:
    """Make every change of the script, and wait until it is done before the next, while operators are killed."""
    for step, number in zip(steps(AGENTS), kills, strict=True):
        with ThreadPoolExecutor(1) as pool:
            change = pool.submit(step.perform, namespace)
            for _ in range(number):
                operators.kill_one()
            change.result()
        if step.agents is not None:
            wait_for(partial(is_done, api, namespace, step.agents), f"{step}", seconds=120, interval=0.2)
    wait_quiet(operators.last())


def unfinished(writes: list[str]) -> set[str]:
    """Give the agents whose reconcile was cut off: it ends with the status, and the last write was to a child."""
    last: dict[str, str] = {}
    for write in writes:
        if (agent := re.search(r"agent-\d+", write)) is not None:
            last[agent[0]] = write
    return {agent for agent, write in last.items() if "agentdeployments/status" not in write}


def created_twice(audit: AuditLog, namespace: Namespace) -> list[str]:
    """Give what the operator created while it was there, by the API server's audit log."""
    there: Counter[str] = Counter()
    twice = []
    for event in sorted(audit.everybodys(namespace.name), key=lambda event: str(event["stageTimestamp"])):
        name = f"{resource(event)}/{event['objectRef'].get('name')}"
        code = event["responseStatus"]["code"]
        if is_operators(event) and event["verb"] in WRITES and code == 201:
            there[name] += 1
            twice += [name] if there[name] > 1 else []
        if event["verb"] == "delete" and code == 200:
            there[name] = 0
    return twice


def test_an_operator_that_is_killed_leaves_what_it_always_leaves(
    api: ApiClient, namespace: Namespace, undisturbed: Namespace, audit: AuditLog
) -> None:
    changes = len(list(steps(AGENTS)))
    seed = time.time_ns() % 10**6
    sys.stdout.write(f"seed {seed}\n")
    rng = random.Random(seed)  # noqa: S311 - for moments, not for secrets
    quiet = Operators(undisturbed, audit, rng)
    play(api, undisturbed, quiet, [0] * changes)
    assert quiet.last().terminate() == 0
    operators = Operators(namespace, audit, rng)
    share, rest = divmod(KILLS, changes)
    play(api, namespace, operators, [share + (index < rest) for index in range(changes)])

    expected = end_state(api, undisturbed.name)

    def equal() -> bool:
        found = differences(expected, end_state(api, namespace.name))
        assert found == [], "\n".join(found)
        return True

    wait_for(equal, "the end state of an undisturbed run", seconds=60, interval=0.5)
    assert operators.last().complaints() == []
    assert operators.last().terminate() == 0
    assert created_twice(audit, namespace) == []
    assert created_twice(audit, undisturbed) == []
    cut = [life for life in operators.lives if unfinished(life)]
    assert len(cut) >= KILLS // 3, f"too few were killed in the middle to show anything: {operators.lives}"
