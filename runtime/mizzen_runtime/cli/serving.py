"""The runtime as a child process: started as in a pod, asked how it is, ended in order."""

import http.client
import socket
import time
from collections.abc import Callable

from pydantic import ValidationError

from mizzen_api.contract import StartFailure, StateReport
from mizzen_api.names import STARTUP_PATH, STATE_PATH
from mizzen_api.problems import Problem
from mizzen_runtime.cli.arguments import RunOptions
from mizzen_runtime.cli.candidate import Prepared
from mizzen_runtime.cli.child import start_child
from mizzen_runtime.cli.findings import Finding, finding

_ASK_SECONDS = 1.0
"""What the runtime may take for an answer on its management port."""
_LOOK_SECONDS = 0.05
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a user may ask for


def taken_ports(options: RunOptions) -> list[Finding]:
    """Tell which ports somebody else has: of two runtimes, the other one would answer as if it were this one."""
    host = _host_to_ask(options)
    flags = (("--port", options.port), ("--management-port", options.management_port))
    message, remedy = f"something listens on {host} there already", "stop it, or name another port"
    return [finding("error", None, f"{flag} {port}", message, remedy) for flag, port in flags if _answers(host, port)]


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=_ASK_SECONDS).close()
    except OSError:
        return False
    return True


def _host_to_ask(options: RunOptions) -> str:
    return _EVERY_ADDRESS.get(options.host, options.host)


class RuntimeProcess:
    """One runtime."""

    def __init__(self, prepared: Prepared, options: RunOptions) -> None:
        """Start it. Its log goes where this process's standard error goes."""
        self._host = _host_to_ask(options)
        self._port = options.management_port
        self._last_words = prepared.folder / "termination-log"
        command = [*prepared.arguments, "--host", options.host]
        command += ["--port", str(options.port), "--management-port", str(options.management_port)]
        command += ["--handover", "0", "--propagation-delay", "0"]  # nobody routes requests elsewhere meanwhile
        command += ["--termination-log", str(self._last_words), *runtime_arguments(options)]
        self._process = start_child("mizzen_runtime", command, prepared.root, prepared.environment)

    @property
    def exit_code(self) -> int | None:
        """With which it has ended; None while it runs."""
        return self._process.poll()

    def wait_until_serving(self, stopping: Callable[[], bool]) -> bool:
        """Wait until it answers requests; gives False if it ends instead, or somebody asks to stop."""
        while self.exit_code is None and not stopping():
            if self._ask(STARTUP_PATH) is not None:
                return True
            time.sleep(_LOOK_SECONDS)
        return False

    def state(self) -> StateReport | None:
        """Ask how it is; None if it does not say."""
        answer = self._ask(STATE_PATH)
        return StateReport.model_validate_json(answer) if answer is not None else None

    def problems(self) -> tuple[Problem, ...]:
        """Give why it did not start."""
        try:
            return StartFailure.model_validate_json(self._last_words.read_bytes()).problems
        except (OSError, ValidationError):
            return ()

    def end(self, at_once: Callable[[], bool]) -> None:
        """Let it answer what it has begun, and wait for its end.

        Args:
            at_once: Tells whether somebody does not want to wait any more.
        """
        if self.exit_code is None:
            self._process.terminate()
        while self.exit_code is None:
            if at_once():
                self._process.kill()
            time.sleep(_LOOK_SECONDS)

    def _ask(self, path: str) -> bytes | None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_ASK_SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return body if response.status == http.HTTPStatus.OK else None


def runtime_arguments(options: RunOptions) -> list[str]:
    """Give the runtime's arguments that matter to a check too."""
    return ["--test-services"] if options.test_services else []
