"""Where the runtime listens, and what it says when it cannot."""

import json
import socket

import pytest

from mizzen_runtime.http.server import bind
from tests.integration.runtime.process import Json, RuntimeProcess, Start, config_of

REFUSED = 78


def problem_of(runtime: RuntimeProcess) -> Json:
    assert runtime.exit_code() == REFUSED, runtime.log_text()
    failure = json.loads(runtime.termination_log.read_text())
    assert failure["kind"] == "Configuration"
    (problem,) = failure["problems"]
    return dict(problem)


@pytest.mark.parametrize("flag", ["--port", "--management-port"])
def test_a_port_of_another_runtime_is_told(start: Start, flag: str) -> None:
    port = start(config_of()).port if flag == "--port" else start(config_of()).management_port

    assert problem_of(start(config_of(), flag, str(port))) == {
        "field": f"{flag} {port}",
        "message": "127.0.0.1 cannot be listened on: Address already in use",
        "remedy": "stop what listens there, or name another port",
    }


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
def test_a_host_that_is_none_of_this_machine_is_told_as_the_host(start: Start, host: str) -> None:
    problem = problem_of(start(config_of(), "--host", host))

    assert problem["field"] == f"--host {host}"
    assert problem["message"].startswith(f"{host} cannot be listened on: ")
    assert problem["remedy"] == "name an address of this machine, or leave --host out for all of them"


def machine_has(family: int, address: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def test_without_a_host_it_listens_on_every_address_that_the_machine_has() -> None:
    loopbacks = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    with bind(None, 0) as listening:
        port = listening.getsockname()[1]
        for family, address in (each for each in loopbacks if machine_has(*each)):
            with socket.socket(family, socket.SOCK_STREAM) as client:
                client.settimeout(10)
                client.connect((address, port))


def test_a_port_that_another_is_about_to_serve_is_taken_already() -> None:
    with bind("127.0.0.1", 0) as listening, pytest.raises(OSError, match="Address already in use"):
        bind("127.0.0.1", listening.getsockname()[1])
