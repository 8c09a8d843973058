"""Logins of services that change while the agent is busy: a new one, a wrong one, none at all."""

import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from tests.integration.runtime.model_server import ModelServer
from tests.integration.runtime.neighbours import POOL_SIZE, TOKEN, Neighbours, Traffic, running_neighbours
from tests.integration.runtime.process import START_SECONDS, Json, RuntimeProcess, Start, until
from tests.support.waiting import wait_for

PATIENT: dict[str, Json] = {
    "database": {"call_timeout_seconds": 30, "acquire_timeout_seconds": 30, "connect_timeout_seconds": 10},
    "cache": {"call_timeout_seconds": 30, "connect_timeout_seconds": 10},
    "api": {"call_timeout_seconds": 30, "connect_timeout_seconds": 10},
}
"""Deadlines that a busy machine does not miss: here every request is to be answered."""
TAKEN_UP = 30.0
"""Seconds until a change is in force; folders are looked at every 2 s, and after a failure again after 10 s."""
RECOVERY = 10.0
REFUSED = "a change is not taken up, all stays as it was"


Login = Mapping[str, str]
"""What a Secret holds."""


class Logins(Protocol):
    """A service's users: the first is there, and a second one is made when a test wants it."""

    service: str
    first: Login
    second: Login
    wrong: Login

    def admit_second(self) -> None: ...

    def connections_of_first(self) -> int: ...

    def drop_first(self) -> None: ...


class DatabaseLogins:
    """Users of PostgreSQL."""

    service = "database"

    def __init__(self, neighbours: Neighbours) -> None:
        self.first: Login = {"username": "first", "password": "PASSWORD-1"}
        self.second: Login = {"username": "second", "password": "PASSWORD-2"}
        self.wrong: Login = {"username": "first", "password": "PASSWORD-WRONG"}
        self._server = neighbours.postgres
        self._server.create_user(**_user(self.first))

    def admit_second(self) -> None:
        self._server.create_user(**_user(self.second))
        self._server.sql("GRANT SELECT, INSERT ON mizzen_results TO second")

    def connections_of_first(self) -> int:
        return self._server.connections("first")

    def drop_first(self) -> None:
        self._server.sql("REASSIGN OWNED BY first TO admin; DROP OWNED BY first; DROP USER first")


class CacheLogins:
    """ACL users of Redis, who may touch nothing but the keys of this agent."""

    service = "cache"

    def __init__(self, neighbours: Neighbours) -> None:
        self.first: Login = {"username": "first", "password": "PASSWORD-1"}
        self.second: Login = {"username": "second", "password": "PASSWORD-2"}
        self.wrong: Login = {"username": "first", "password": "PASSWORD-WRONG"}
        self._server = neighbours.redis
        self._admit(self.first)

    def admit_second(self) -> None:
        self._admit(self.second)

    def connections_of_first(self) -> int:
        return sum(" user=first " in line for line in self._server.lines("CLIENT", "LIST"))

    def drop_first(self) -> None:
        assert self._server.answer("ACL", "DELUSER", "first") == "1"

    def _admit(self, login: Login) -> None:
        rules = "~mizzen:support/triage:* +getrange +set +scan +unlink +ping"
        user = ("ACL", "SETUSER", login["username"], "on", f">{login['password']}", *rules.split(" "))
        assert self._server.answer(*user) == "OK"


class ApiLogins:
    """Tokens of the API."""

    service = "api"

    def __init__(self, neighbours: Neighbours) -> None:
        self.first: Login = {"bearer_token": TOKEN}
        self.second: Login = {"bearer_token": "second-token"}
        self.wrong: Login = {"bearer_token": "PASSWORD-WRONG"}
        self._server = neighbours.api

    def admit_second(self) -> None:
        self._server.take(self.first["bearer_token"], self.second["bearer_token"])

    def connections_of_first(self) -> int:
        """Count those that are more than one pool has: no connection of HTTP is anybody's."""
        return max(0, self._server.connections() - POOL_SIZE)

    def drop_first(self) -> None:
        self._server.take(self.second["bearer_token"])


def _user(login: Login) -> dict[str, str]:
    return {"user": login["username"], "password": login["password"]}


LOGINS: dict[str, Callable[[Neighbours], Logins]] = {
    "database": DatabaseLogins,
    "cache": CacheLogins,
    "api": ApiLogins,
}


@pytest.fixture
def neighbours(tmp_path: Path) -> Iterator[Neighbours]:
    with running_neighbours(tmp_path / "servers") as running:
        yield running


@pytest.fixture
def logins(neighbours: Neighbours, request: pytest.FixtureRequest) -> Logins:
    """The users of one of the services, the first of whom the agent will be."""
    made = LOGINS[request.param](neighbours)
    neighbours.mount_secret(made.service, **made.first)
    return made


@pytest.fixture
def runtime(start: Start, model_server: ModelServer, neighbours: Neighbours, logins: Logins) -> RuntimeProcess:
    """An agent that is ready."""
    started = start(neighbours.config(model_server, **PATIENT), **neighbours.environment)
    until(lambda: started.manage("/readyz").status == 200, "it is ready", START_SECONDS)
    return started


def reloads(runtime: RuntimeProcess, outcome: str) -> float:
    return runtime.metric(f'mizzen_reloads_total{{outcome="{outcome}"}}')


def failures(runtime: RuntimeProcess) -> list[Json]:
    told: list[Json] = runtime.manage("/state").json["reloadFailures"]
    return told


def end_and_count(runtime: RuntimeProcess, neighbours: Neighbours) -> None:
    runtime.terminate()
    assert runtime.exit_code() == 0
    for service in LOGINS:
        neighbours.wait_for_connections(service, at_most=0)


@pytest.mark.parametrize("logins", LOGINS, indirect=True)
def test_no_request_fails_while_another_login_takes_the_place_of_one_that_is_then_dropped(
    neighbours: Neighbours, runtime: RuntimeProcess, logins: Logins
) -> None:
    with Traffic(runtime, callers=20) as traffic:
        traffic.wait_right(40)
        logins.admit_second()
        neighbours.mount_secret(logins.service, **logins.second)
        until(lambda: reloads(runtime, "ok") == 1, "the change is in force", TAKEN_UP)
        wait_for(lambda: logins.connections_of_first() == 0, "nobody uses the first login any more", seconds=TAKEN_UP)
        traffic.wait_for_those_in_flight()
        logins.drop_first()
        traffic.wait_right(40)
    assert (traffic.faults, traffic.refused) == ([], [])
    assert (reloads(runtime, "failed"), failures(runtime)) == (0, [])
    for service in LOGINS:
        neighbours.wait_for_connections(service, at_most=POOL_SIZE)
    end_and_count(runtime, neighbours)


@pytest.mark.parametrize("logins", LOGINS, indirect=True)
def test_a_wrong_login_is_told_and_the_one_before_stays(
    neighbours: Neighbours, runtime: RuntimeProcess, logins: Logins
) -> None:
    service = logins.service
    with Traffic(runtime) as traffic:
        traffic.wait_right(20)
        neighbours.mount_secret(service, **logins.wrong)
        runtime.wait_logged(REFUSED)
        assert reloads(runtime, "failed") >= 1
        (told,) = failures(runtime)
        assert f"the changed settings of service {service!r} in Secret '{service}-login' are not taken up" in str(told)
        assert told["remedy"].startswith(f"correct Secret '{service}-login'")
        traffic.wait_right(20)

        logins.admit_second()
        neighbours.mount_secret(service, **logins.second)
        until(lambda: failures(runtime) == [], "what is right again is in force", TAKEN_UP)
        assert reloads(runtime, "ok") == 1
        wait_for(lambda: logins.connections_of_first() == 0, "nobody uses the first login any more", seconds=TAKEN_UP)
        traffic.wait_right(20)
    assert (traffic.faults, traffic.refused) == ([], [])
    assert "PASSWORD" not in runtime.log_text() + str(told)
    end_and_count(runtime, neighbours)


@pytest.mark.parametrize("logins", LOGINS, indirect=True)
def test_a_secret_that_is_deleted_and_comes_back_harms_nobody(
    neighbours: Neighbours, runtime: RuntimeProcess, logins: Logins
) -> None:
    service = logins.service
    with Traffic(runtime) as traffic:
        traffic.wait_right(20)
        neighbours.mount_secret(service)
        runtime.wait_logged(REFUSED)
        told = failures(runtime)[0]
        assert (told["field"], told["message"]) == (f"Secret '{service}-login'", "is missing, or holds no keys")
        traffic.wait_right(20)
        neighbours.mount_secret(service, **logins.first)
        until(lambda: failures(runtime) == [], "what came back is in force", TAKEN_UP)
        traffic.wait_right(20)
    assert (traffic.faults, traffic.refused) == ([], [])
    end_and_count(runtime, neighbours)


@pytest.mark.parametrize("logins", ["database"], indirect=True)
def test_a_login_that_changes_while_the_server_is_down_is_in_force_once_it_is_back(
    neighbours: Neighbours, runtime: RuntimeProcess, logins: Logins
) -> None:
    with Traffic(runtime) as traffic:
        traffic.wait_right(20)
        logins.admit_second()
        neighbours.postgres.kill()
        neighbours.mount_secret("database", **logins.second)
        runtime.wait_logged(REFUSED)
        neighbours.postgres.start()
        traffic.wait_right(20, RECOVERY)
        until(lambda: reloads(runtime, "ok") == 1, "the change is in force", TAKEN_UP)
        wait_for(lambda: logins.connections_of_first() == 0, "nobody uses the first login any more", seconds=TAKEN_UP)
        traffic.wait_for_those_in_flight()
        logins.drop_first()
        refused = len(traffic.refused)
        traffic.wait_right(20)
        assert len(traffic.refused) == refused
    assert traffic.faults == []
    assert failures(runtime) == []
    neighbours.wait_for_connections("database", at_most=POOL_SIZE)
    end_and_count(runtime, neighbours)


def test_settings_that_lead_nowhere_are_given_up_for_the_right_ones(
    start: Start, model_server: ModelServer, neighbours: Neighbours
) -> None:
    login = {"username": "default", "password": ""}
    config = neighbours.config(model_server, cache={"call_timeout_seconds": 60, "connect_timeout_seconds": 60})
    del config["services"][1]["settings"]["port"]
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it listens, and nobody ever answers
        neighbours.mount_secret("cache", port=str(silent.getsockname()[1]), **login)
        runtime = start(config, **neighbours.environment)
        wait_for(lambda: _has_a_visitor(silent), "the agent waits for an answer")
        neighbours.mount_secret("cache", port=str(neighbours.redis.port), **login)
        until(lambda: reloads(runtime, "ok") == 1, "the change is in force", TAKEN_UP)
        until(lambda: runtime.manage("/readyz").status == 200, "it is ready", RECOVERY)
    with Traffic(runtime) as traffic:
        traffic.wait_right(20)
    assert (traffic.faults, traffic.refused) == ([], [])
    end_and_count(runtime, neighbours)


def _has_a_visitor(listening: socket.socket) -> bool:
    listening.settimeout(0.05)
    try:
        _visitors.append(listening.accept()[0])
    except TimeoutError:
        return False
    return True


_visitors: list[socket.socket] = []
"""Kept, so that their connections stay open."""
