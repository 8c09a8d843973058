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
SERVICES = ("database", "cache", "api", "model")


TOOL: Object = {
    "agent": {"instructions": "Keep it.", "capabilities": [{"PythonTools": {"tools": ["keeper:keep"]}}]},
}
"""An agent in YAML. Its model calls the tool that keeps a text: two requests to the model for each of the agent's."""
OWN_CODE: Object = {"agent": None, "entrypoint": "keeper:agent"}
"""One that keeps the text before it asks its model: one request to it, so that 100 a second fit on two cores."""


class Keeper:
    """An agent that keeps what it is told in a database and a cache, sends it to an API, and answers with it."""

    def __init__(self, name: str, namespace: Namespace, image: str, user: str, *, kind: Object, replicas: int) -> None:
        """Apply it, with the credentials of a user; `wait_ready` before it is asked."""
        self.name = name
        self._namespace = namespace
        for service, settings in self._settings().items():
            named = {"name": f"{name}-{service}"}
            namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": settings})
        self.set_credentials(user)
        namespace.apply(self._agent(image, kind, replicas))

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
        self.set_secrets({service: contents[service] for service in services or SERVICES})

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

    def _agent(self, image: str, kind: Object, replicas: int) -> Object:
        key = {"secretKeyRef": {"name": self.secret("model"), "key": "token"}}
        model = {"model": "vllm:keeper", "baseUrl": f"{self._web_url}/model", "apiKey": key}
        return agent_deployment(
            self.name,
            **kind,
            models=[model],
            services=[
                self._service("database", "DatabaseService", "postgres"),
                self._service("cache", "CacheService", "redis"),
                self._service("api", "ExternalAPIService", "http"),
            ],
            pod={"image": image},
            replicas=replicas,
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

    def wait_until_used_as(self, user: str, *, before: str, services: tuple[str, ...] = SERVICES) -> None:
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


def loads_of(agent: Keeper, rate: int) -> tuple[Load, Load]:
    """Give workers for a number of requests a second: some with a new connection for each request, most without."""
    workers = round(PERIOD * rate)
    new = max(1, round(NEW_CONNECTIONS * workers))
    return (
        Load(agent.url, workers=new, pooled=False, period=PERIOD, ramp=PERIOD),
        Load(agent.url, workers=workers - new, pooled=True, period=PERIOD, ramp=PERIOD),
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
    """Two agents by name. One was given the credentials of another user, the other ones that cannot be used.

    Both at the same moment: kubelet takes its time, for both at once.
    """
    services = ServicePods(home, images["test-services"])
    agents = []
    for name, kind, replicas in (("rotated", OWN_CODE, 2), ("careful", TOOL, 1)):
        services.create_user(f"{name}_1")
        agents.append(Keeper(name, home, images["test-keeper"], f"{name}_1", kind=kind, replicas=replicas))
    for agent in agents:
        agent.wait_ready()
    rotated, careful = agents
    given = {"rotated": loads_of(rotated, RATE), "careful": loads_of(careful, CAREFUL_RATE)}
    with ExitStack() as stack:
        for load in chain.from_iterable(given.values()):
            stack.enter_context(load)
        wait_for(lambda: all(load.asked for load in chain.from_iterable(given.values())), "the first answers")
        services.create_user("rotated_2")
        rotated.set_credentials("rotated_2")
        careful.set_secrets({"database": {"username": "careful_1", "password": "of-nobody"}})
        careful.delete_secret("cache")
        changed_at = time.monotonic()
        yield {agent.name: UnderLoad(agent, given[agent.name], services, changed_at) for agent in agents}


def test_kubelet_syncs_as_it_does_by_default(plain_cluster: DevCluster) -> None:
    said = plain_cluster.kubectl("get", "--raw", f"/api/v1/nodes/{plain_cluster.name}/proxy/configz").stdout
    kubelet = json.loads(said)["kubeletconfig"]
    assert kubelet["syncFrequency"] == "1m0s"
    assert kubelet["configMapAndSecretChangeDetectionStrategy"] == "Watch"


def test_new_credentials_are_in_use_within_two_minutes_and_the_old_ones_can_go(
    under_load: dict[str, UnderLoad],
) -> None:
    rotated = under_load["rotated"]
    rotated.wait_until_used_as("rotated_2", before="rotated_1")
    rotated.services.drop_user("rotated_1")
    rotated.wait_for_answers(SECONDS_AFTERWARDS * RATE)
    summed = rotated.check()
    assert rotated.services.database_users()["rotated_1"] == 0
    assert rotated.services.cache_users()["rotated_1"] == 0
    assert summed.per_second >= LEAST_RATE


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
