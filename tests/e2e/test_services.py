"""New credentials reach agents under load, on a cluster whose kubelet looks at mounted Secrets as often as any does."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain

import pytest

from demo.installation import install_operator
from devcluster import DevCluster
from images.build import build
from tests.conftest import FULL_SIZE, new_namespace, running_cluster
from tests.support.load import Asked, Figures, Load, figures
from tests.support.namespace import Namespace, Object, agent_deployment
from tests.support.service_pods import DATABASE, PORTS, ServicePods, password_of
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.alone, pytest.mark.timeout(900)]  # kubelet takes its time

RATE = 100 if FULL_SIZE else 10
"""Requests a second that are asked for."""
LEAST_RATE = 95 if FULL_SIZE else 0
"""Those that must be answered. At full size the machine is ours; else they are as many as it has time for."""
KEYED_RATE = 20 if FULL_SIZE else 4
"""Those of the agent that asks a model: four fifths of what a request costs are the model's client."""
NEW_CONNECTIONS = 0.2
"""The share of the workers each of whose requests has a connection of its own."""
CAREFUL_RATE = 4
"""The same of the agent that is given what cannot be used."""
PERIOD = 0.5
"""Seconds in which each worker asks once."""
QUIET_SECONDS = 4.0
"""Without a request after which a key is used no longer."""
PROMISED_SECONDS = 120
"""Until what has changed in a Secret is in force: kubelet takes 60 to 90 s."""
TOLD_SECONDS = 60
"""Until the operator tells of it, at most."""
SECONDS_AFTERWARDS = 10
"""Worth of requests that are awaited when the old credentials are gone."""
SERVICES = ("database", "cache", "api")


@dataclass(frozen=True)
class Kind:
    """How an agent is made, and what it is asked."""

    spec: Object
    replicas: int
    rate: int
    stream_every: int = 5
    uses: tuple[str, ...] = (*SERVICES, "model")


KINDS = {
    "rotated": Kind({"entrypoint": "keeper:Keeper"}, replicas=2, rate=RATE, stream_every=0, uses=SERVICES),
    "keyed": Kind({"entrypoint": "keeper:agent"}, replicas=1, rate=KEYED_RATE),
    "careful": Kind(
        {"agent": {"instructions": "Keep it.", "capabilities": [{"PythonTools": {"tools": ["keeper:keep"]}}]}},
        replicas=1,
        rate=CAREFUL_RATE,
    ),
}
"""Own code that asks no model, own code that asks one, and a model that calls the tool: each way to be given services.
Only what a model writes comes in pieces; the first is not streamed."""


class Keeper:
    """An agent that keeps what it is told in a database and a cache, sends it to an API, and answers with it."""

    def __init__(self, name: str, namespace: Namespace, image: str, user: str) -> None:
        """Apply it, with the credentials of a user; `wait_ready` before it is asked."""
        self.name = name
        self.kind = KINDS[name]
        self._namespace = namespace
        for service, settings in self._settings().items():
            named = {"name": f"{name}-{service}"}
            namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": settings})
        self.set_credentials(user)
        namespace.apply(self._agent(image))

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"{self._namespace.address(self.name)}/v1/run"

    def wait_ready(self) -> None:
        """Wait until it serves."""
        self._namespace.wait_ready(self.name)

    def set_credentials(self, user: str, *services: str) -> None:
        """Put the credentials of a user into the Secrets of services; of all without any."""
        login = {"username": user, "password": password_of(user)}
        contents = {
            "database": login,
            "cache": login,
            "api": {"bearer_token": password_of(user)},
            "model": {"token": password_of(user)},
        }
        self.set_secrets({service: contents[service] for service in services or self.kind.uses})

    def set_secrets(self, contents: dict[str, dict[str, str]]) -> None:
        """Change the Secrets of services in one go."""
        secrets = [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self.secret(service)}, "stringData": data}
            for service, data in contents.items()
        ]
        self._namespace.apply({"apiVersion": "v1", "kind": "List", "items": secrets})

    def delete_secret(self, service: str) -> None:
        """Delete the Secret of a service."""
        self._namespace.kubectl("delete", "secret", self.secret(service))

    def secret(self, service: str) -> str:
        """Give the name of the Secret of a service."""
        return f"{self.name}-{service}"

    def processes(self) -> dict[str, int]:
        """Give how often the container of each pod has restarted, by the pod's uid."""
        pods = self._namespace.list("pods", f"app.kubernetes.io/instance={self.name}")
        return {pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods}

    def refused_settings(self) -> str:
        """Give what the operator says of settings that are not in force; nothing if all are."""
        condition = self._namespace.condition(self.name, "ConfigResolved")
        return "" if condition["status"] == "True" else str(condition["message"])

    def _agent(self, image: str) -> Object:
        key = {"secretKeyRef": {"name": self.secret("model"), "key": "token"}}
        model = {"model": "vllm:keeper", "baseUrl": f"{self._web_url}/model", "apiKey": key}
        return agent_deployment(
            self.name,
            **{"agent": None, **self.kind.spec},
            models=[model] if "model" in self.kind.uses else None,
            services=[
                self._service("database", "DatabaseService", "postgres"),
                self._service("cache", "CacheService", "redis"),
                self._service("api", "ExternalAPIService", "http"),
            ],
            pod={"image": image},
            replicas=self.kind.replicas,
        )

    def _service(self, name: str, interface: str, implementation: str) -> Object:
        named = {"name": f"{self.name}-{name}"}
        kind = {"interface": interface, "implementation": implementation}
        return {"name": name, **kind, "configMapRef": named, "secretRef": named}

    @property
    def _web_url(self) -> str:
        return f"http://web.{self._namespace.name}:{PORTS['web']}"

    def _settings(self) -> dict[str, dict[str, str]]:
        return {
            "database": {"host": "postgres", "database": DATABASE, "tls_mode": "disable"},
            "cache": {"host": "redis"},
            "api": {"base_url": f"{self._web_url}/api", "path": "echo", "health_path": "echo"},
        }


@dataclass
class UnderLoad:
    """An agent whose Secrets have been changed a moment ago, and that is asked all the time."""

    agent: Keeper
    loads: tuple[Load, ...]
    services: ServicePods
    changed_at: float
    """When (`time.monotonic`)."""
    processes: dict[str, int] = field(init=False)
    """Its pods before the change."""

    def __post_init__(self) -> None:
        self.processes = self.agent.processes()

    def wait_until_used_as(self, user: str, *, before: str, services: tuple[str, ...]) -> None:
        """Wait until services are used as a user and as the one before no longer; say how long it took."""
        missing = list(services)

        def all_used() -> bool:
            for service in tuple(missing):
                if self.services.uses_only(service, user, before=before, quiet=QUIET_SECONDS):
                    missing.remove(service)
                    self.say(f"the {service} is used as {user} only, {time.monotonic() - self.changed_at:.0f} s later")
            assert not missing, missing
            return True

        left = PROMISED_SECONDS - (time.monotonic() - self.changed_at)
        wait_for(all_used, f"services of {self.agent.name} are used as {user}", seconds=left, interval=0.5)

    def wait_for_answers(self, count: int) -> None:
        """Wait for the ends of so many more requests."""
        wanted = len(self.asked()) + count
        wait_for(lambda: len(self.asked()) >= wanted, f"{count} more answers", seconds=60, interval=0.2)

    def asked(self) -> list[Asked]:
        """Give the requests that have ended."""
        return [one for load in self.loads for one in list(load.asked)]

    def check(self) -> Figures:
        """Check that no request has failed and no process ended; give what the requests amount to."""
        summed = figures(self.asked())
        self.say(f"{summed}; {sum(load.connections for load in self.loads)} connections")
        assert [one for load in self.loads for one in load.lost()] == []
        assert self.agent.processes() == self.processes
        return summed

    def say(self, text: str) -> None:
        """Tell who looks at the tests' output."""
        sys.stdout.write(f"{self.agent.name}: {text}\n")


def loads_of(agent: Keeper) -> tuple[Load, Load]:
    """Give workers: some with a new connection for each request, most without."""
    kind = agent.kind
    workers = round(PERIOD * kind.rate)
    new = max(1, round(NEW_CONNECTIONS * workers))
    return (
        Load(agent.url, workers=new, pooled=False, period=PERIOD, ramp=PERIOD, stream_every=kind.stream_every),
        Load(agent.url, workers=workers - new, pooled=True, period=PERIOD, ramp=PERIOD, stream_every=kind.stream_every),
    )


@pytest.fixture(scope="module")
def plain_cluster() -> Iterator[DevCluster]:
    """A cluster whose kubelet syncs as it does unless told otherwise, with the operator."""
    with running_cluster("plain", sync_frequency="1m") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def images(plain_cluster: DevCluster) -> dict[str, str]:
    """What runs there."""
    references = build(("operator", "runtime", "test-services", "test-keeper"))
    for name in ("operator", "test-services", "test-keeper"):  # no pod is of the runtime's image itself
        plain_cluster.load(references[name])
    return references


@pytest.fixture(scope="module")
def home(plain_cluster: DevCluster, images: dict[str, str]) -> Iterator[Namespace]:
    """A namespace for all of these tests, beside an operator."""
    install_operator(plain_cluster, images)
    with new_namespace(plain_cluster) as home:
        yield home


@pytest.fixture(scope="module")
def under_load(home: Namespace, images: dict[str, str]) -> Iterator[dict[str, UnderLoad]]:
    """Agents by name. Two were given the credentials of another user, the third ones that cannot be used.

    All at the same moment: kubelet takes its time, for all at once.
    """
    services = ServicePods(home, images["test-services"])
    agents = {}
    for name in KINDS:
        services.create_user(f"{name}_1")
        agents[name] = Keeper(name, home, images["test-keeper"], f"{name}_1")
    for agent in agents.values():
        agent.wait_ready()
    given = {name: loads_of(agent) for name, agent in agents.items()}
    with ExitStack() as stack:
        for load in chain.from_iterable(given.values()):
            stack.enter_context(load)
        wait_for(lambda: all(load.asked for load in chain.from_iterable(given.values())), "the first answers")
        for name in ("rotated", "keyed"):
            services.create_user(f"{name}_2")
            agents[name].set_credentials(f"{name}_2")
        agents["careful"].set_secrets({"database": {"username": "careful_1", "password": "of-nobody"}})
        agents["careful"].delete_secret("cache")
        changed_at = time.monotonic()
        yield {name: UnderLoad(agent, given[name], services, changed_at) for name, agent in agents.items()}


def test_kubelet_syncs_as_it_does_by_default(plain_cluster: DevCluster) -> None:
    said = plain_cluster.kubectl("get", "--raw", f"/api/v1/nodes/{plain_cluster.name}/proxy/configz").stdout
    kubelet = json.loads(said)["kubeletconfig"]
    assert kubelet["syncFrequency"] == "1m0s"
    assert kubelet["configMapAndSecretChangeDetectionStrategy"] == "Watch"


def test_new_credentials_are_in_use_within_two_minutes_and_the_old_ones_can_go(
    under_load: dict[str, UnderLoad],
) -> None:
    rotated, keyed = under_load["rotated"], under_load["keyed"]
    for one in (rotated, keyed):
        one.wait_until_used_as(f"{one.agent.name}_2", before=f"{one.agent.name}_1", services=one.agent.kind.uses)
    for one in (rotated, keyed):
        one.services.drop_user(f"{one.agent.name}_1")
    for one in (rotated, keyed):
        one.wait_for_answers(SECONDS_AFTERWARDS * one.agent.kind.rate)
    summed = [one.check() for one in (rotated, keyed)]
    for one in (rotated, keyed):
        assert one.services.database_users()[f"{one.agent.name}_1"] == 0
        assert one.services.cache_users()[f"{one.agent.name}_1"] == 0
    assert summed[0].per_second >= LEAST_RATE


def test_a_wrong_password_and_a_deleted_secret_change_nothing_and_are_told(under_load: dict[str, UnderLoad]) -> None:
    careful = under_load["careful"]
    agent = careful.agent

    def told() -> bool:
        said = agent.refused_settings()
        assert "service 'database' in ConfigMap 'careful-database' and Secret 'careful-database'" in said
        assert "Secret 'careful-cache': is missing" in said
        assert "of-nobody" not in said
        careful.say(said)
        return True

    wait_for(told, "what is refused is told", seconds=PROMISED_SECONDS + TOLD_SECONDS, interval=0.5)
    careful.wait_for_answers(SECONDS_AFTERWARDS * CAREFUL_RATE)
    careful.check()

    careful.services.create_user("careful_2")
    agent.set_credentials("careful_2", "database", "cache")
    careful.changed_at = time.monotonic()
    careful.wait_until_used_as("careful_2", before="careful_1", services=("database", "cache"))
    wait_for(lambda: not agent.refused_settings(), "all settings are in force", seconds=TOLD_SECONDS, interval=0.5)
    careful.check()
