"""The three servers that an agent of these tests uses in each of its runs, and traffic that checks every answer."""

import json
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from tests.integration.runtime.model_exchange import Exchange
from tests.integration.runtime.model_server import Behaviour, ModelServer, calls, says
from tests.integration.runtime.mounts import mount
from tests.integration.runtime.process import Answer, Json, RuntimeProcess, config_of, scripted
from tests.support.echo_api import EchoApi
from tests.support.postgres import ADMIN, DATABASE, PASSWORD, PostgresServer
from tests.support.redis import RedisServer
from tests.support.waiting import wait_for

POOL_SIZE = 4
CALL_SECONDS = 4.0
"""What a call of a service may take here."""
TOKEN = "first-token"
"""What the API takes at first."""

CODE = '''
    """A tool that uses three services, and tells what it read."""

    import json

    from mizzen_runtime.services import CacheService, DatabaseService, ExternalAPIService

    async def round_trip(
        token: str, database: DatabaseService, cache: CacheService, api: ExternalAPIService
    ) -> str:
        """Write a token everywhere, and read it again."""
        kept = await database.get_result(await database.save_result({"token": token}))
        await cache.set(token, token, 60)
        cached = await cache.get(token)
        fetched = await api.fetch_data(token)
        return json.dumps({"kept": kept and kept["token"], "cached": cached, "fetched": fetched["echo"]})
'''


def uses_all_services(exchange: Exchange) -> None:
    """Play a model that has the tool called with what the user said, and then repeats what the tool said."""
    last = exchange.body["messages"][-1]
    behaviour: Behaviour = (
        says(last["content"]) if last["role"] == "tool" else calls("round_trip", {"token": last["content"]})
    )
    behaviour(exchange)


class Neighbour(Protocol):
    """A server that a test breaks."""

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def frozen(self) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class Neighbours:
    """All three servers, and the folder in which their ConfigMaps and Secrets are mounted."""

    folder: Path
    postgres: PostgresServer
    redis: RedisServer
    api: EchoApi

    def named(self, service: str) -> Neighbour:
        servers: dict[str, Neighbour] = {"database": self.postgres, "cache": self.redis, "api": self.api}
        return servers[service]

    def connections(self, service: str) -> int:
        """Count the connections that a server has of the agent."""
        counts: dict[str, Callable[[], int]] = {
            "database": lambda: len(self.postgres.sql(_OPEN).split()),
            "cache": self.redis.clients,
            "api": self.api.connections,
        }
        return counts[service]()

    def wait_for_connections(self, service: str, *, at_most: int) -> None:
        """Wait until a server has so few: it notices an end a moment later, and a frozen one when it thaws."""
        wait_for(lambda: self.connections(service) <= at_most, f"at most {at_most} connections of {service}")

    def mount_secret(self, service: str, **content: str) -> None:
        """Put a new content into the Secret of a service."""
        mount(self.folder / service, **content)

    def config(self, model_server: ModelServer, required: dict[str, str] | None = None, **more: Json) -> Json:
        """Give the configuration of an agent whose runs use all three.

        Args:
            model_server: Its model.
            required: When each service must be healthy, where that is not the default.
            more: Further settings of each service.
        """
        model_server.otherwise = uses_all_services
        settings: dict[str, Json] = {
            "database": {
                "host": "127.0.0.1",
                "port": self.postgres.port,
                "database": DATABASE,
                "tls_mode": "disable",
                "connect_timeout_seconds": 1,
                "acquire_timeout_seconds": CALL_SECONDS,
            },
            "cache": {"host": "127.0.0.1", "port": self.redis.port},
            "api": {"base_url": self.api.base_url},
        }
        kinds = {
            "database": ("DatabaseService", "postgres"),
            "cache": ("CacheService", "redis"),
            "api": ("ExternalAPIService", "http"),
        }
        shared: Json = {"pool_size": POOL_SIZE, "call_timeout_seconds": CALL_SECONDS}
        services: list[Json] = [
            {
                "name": name,
                "interface": interface,
                "implementation": implementation,
                "settings": {**shared, **settings[name], **more.get(name, {})},
                "sources": [{"kind": "Secret", "name": f"{name}-login", "path": str(self.folder / name)}],
                "required": (required or {}).get(name, "AtStart"),
            }
            for name, (interface, implementation) in kinds.items()
        ]
        capability = {"PythonTools": {"tools": ["neighbourly:round_trip"]}}
        return {**config_of(scripted(model_server), capabilities=[capability]), "services": services}

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which the agent finds its tool."""
        return {"PYTHONPATH": str(self.folder / "code")}


_OPEN = "SELECT pid FROM pg_stat_activity WHERE application_name = 'mizzen'"


@contextmanager
def running_neighbours(folder: Path) -> Iterator[Neighbours]:
    """Start all three, for the time of the block."""
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "neighbourly.py").write_text(textwrap.dedent(CODE))
    postgres = PostgresServer()
    redis = RedisServer(folder)
    api = EchoApi(folder, TOKEN)
    neighbours = Neighbours(folder, postgres, redis, api)
    neighbours.mount_secret("database", username=ADMIN, password=PASSWORD)
    neighbours.mount_secret("cache", username="default", password="")
    neighbours.mount_secret("api", bearer_token=TOKEN)
    try:
        yield neighbours
    finally:
        for server in (postgres, redis, api):
            server.close()


@dataclass(frozen=True)
class Ended:
    """One request of the traffic."""

    begun: float
    """`time.monotonic()`."""
    seconds: float
    answer: Answer

    @property
    def is_ok(self) -> bool:
        return self.answer.status == 200


class Traffic:
    """Callers that ask one after another. Whatever is neither right nor a 503 that says when to come back is noted."""

    def __init__(self, runtime: RuntimeProcess, callers: int = 5) -> None:
        self._runtime = runtime
        self._port = runtime.port
        self._stopping = threading.Event()
        self.ended: list[Ended] = []
        self.faults: list[str] = []
        self._in_flight = [0.0] * callers
        self._threads = [threading.Thread(target=self._call, args=(caller,), daemon=True) for caller in range(callers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait_right(self, number: int, seconds: float = 60) -> None:
        """Wait until so many were answered that begin from now on."""
        now = time.monotonic()
        wait_for(
            lambda: sum(each.is_ok and each.begun >= now for each in tuple(self.ended)) >= number,
            f"{number} right answers; the last were {[each.answer.status for each in self.ended[-5:]]}",
            seconds=seconds,
        )

    def wait_refused(self, number: int, seconds: float = 60) -> None:
        """Wait until so many got a 503."""
        wait_for(lambda: len(self.refused) >= number, f"{number} answers of 503", seconds=seconds)

    @property
    def refused(self) -> list[Ended]:
        return [each for each in tuple(self.ended) if not each.is_ok]

    def wait_for_those_in_flight(self) -> None:
        """Wait until every request has ended that runs now."""
        now = time.monotonic()
        wait_for(lambda: min(self._in_flight) > now, "those in flight end")

    def _call(self, caller: int) -> None:
        while not self._stopping.wait(0.05):
            token, begun = uuid.uuid4().hex, time.monotonic()
            self._in_flight[caller] = begun
            answer = ask(self._runtime, token, self._port)
            self.ended.append(Ended(begun, time.monotonic() - begun, answer))
            if fault := fault_in(answer, token):
                self.faults.append(fault)


def ask(runtime: RuntimeProcess, token: str, port: int) -> Answer:
    """Have the agent use all its services once."""
    body = json.dumps({"input": token}).encode()
    return runtime.request("POST", "/v1/run", body, port=port, content_type="application/json")


def fault_in(answer: Answer, token: str) -> str:
    """Say what is wrong with an answer; nothing if it is right, or if it says that a service is away and for how long.

    A cache may have lost what it held.
    """
    if answer.status == 503:
        says_when = int(answer.headers.get("retry-after", "0")) > 0
        is_told = answer.json["type"] == "urn:mizzen:problem:service-unavailable"
        return "" if says_when and is_told else f"an unusual 503: {answer.headers} {answer.body!r}"
    if answer.status != 200:
        return f"{answer.status}: {answer.body!r}"
    read = json.loads(answer.json["output"])
    right = read["kept"] == read["fetched"] == token and read["cached"] in {token, None}
    return "" if right else f"{token} was written, and read was {read}"
