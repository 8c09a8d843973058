"""The runtime as a real process, and a client for it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mizzen_api.breakers import DEFAULT_BREAKER
from tests.integration.runtime.model_server import ModelServer
from tests.support.exposition import values_of

START_SECONDS = 60
Json = dict[str, Any]


def until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Poll a condition; fail with `what` when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    name: str
    data: Any


def events_of(body: bytes) -> list[Event]:
    """Parse a stream of server-sent events."""
    return list(_parse_events(body.decode().split("\n\n")))


def _parse_events(blocks: list[str]) -> Iterator[Event]:
    for block in filter(None, blocks):
        name, data = block.split("\n")
        yield Event(name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))


class RuntimeProcess:
    """`python -m mizzen_runtime` on free ports of the loopback."""

    def __init__(self, folder: Path, config: Json | bytes, *arguments: str, **environment: str) -> None:
        self.folder = folder
        config_file = folder / "agent.json"
        config_file.write_bytes(config if isinstance(config, bytes) else json.dumps(config).encode())
        self.termination_log = folder / "termination-log"
        self._log = folder / "log"
        self._output = folder / "output"
        self._log_was_read = False
        self._awaited: set[str] = set()
        command = [sys.executable, "-m", "mizzen_runtime", "--config", str(config_file), "--host", "127.0.0.1"]
        command += ["--port", "0", "--management-port", "0", "--handover", "0", "--propagation-delay", "0.2"]
        command += ["--termination-log", str(self.termination_log), *arguments]
        clean = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
        with self._log.open("wb") as log, self._output.open("wb") as output:
            self.started = time.monotonic()
            self.process = subprocess.Popen(command, stdout=output, stderr=log, env=clean | environment)

    def log(self) -> list[Json]:
        """Give the log's lines so far, with those of all requests that were answered."""
        self._log_was_read = True
        self._let_lines_be_written()
        return self.written()

    def _let_lines_be_written(self) -> None:
        """A request's line is written behind its answer, and before anything that is asked after it is answered."""
        serving = self._logged("serving") and self._logged("starting")
        if serving and self.process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", int(serving["management_port"]), timeout=5)
            with contextlib.suppress(OSError, http.client.HTTPException):  # it ends, or its loop is blocked
                connection.request("GET", "/livez")
                connection.getresponse().read()
            connection.close()

    def written(self) -> list[Json]:
        """Give the log's lines as they are in the file, of a process whose loop may be blocked."""
        lines = self._log.read_bytes().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith(b"\n") and line.startswith(b"{")]

    def log_text(self) -> str:
        self._let_lines_be_written()
        return self._log.read_text()

    def output(self) -> str:
        """Give what went to standard output."""
        return self._output.read_text()

    def errors(self) -> list[Json]:
        """Give the log's lines of level error."""
        return [line for line in self.log() if line["level"] == "error"]

    def assert_no_stray_errors(self) -> None:
        """Fail for an error that the test did not look at; of a start that failed, errors are to be expected."""
        stray = [line for line in self.written() if line["level"] == "error" and line["message"] not in self._awaited]
        assert self._log_was_read or self.process.returncode > 0 or not stray, stray

    def _logged(self, message: str) -> Json | None:
        return next((line for line in self.written() if line["message"] == message), None)

    def wait_logged(self, message: str) -> Json:
        """Wait for a line of the log."""
        self._awaited.add(message)
        until(lambda: self._logged(message) or self.process.poll() is not None, f"log line {message!r}", START_SECONDS)
        line = self._logged(message)
        assert line is not None, f"the process ended with {self.process.poll()}: {self.log_text()}"
        return line

    @cached_property
    def management_port(self) -> int:
        return int(self.wait_logged("starting")["management_port"])

    @cached_property
    def port(self) -> int:
        return int(self.wait_logged("serving")["port"])

    def request(
        self, method: str, path: str, body: bytes | None = None, *, port: int | None = None, **headers: str
    ) -> Answer:
        """Send one request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )
        finally:
            connection.close()

    def run(self, given: Any, **fields: Any) -> Answer:
        """`POST /v1/run`."""
        return self.post(json.dumps({"input": given, **fields}).encode())

    def post(self, body: bytes, *, content_type: str = "application/json", **headers: str) -> Answer:
        return self.request("POST", "/v1/run", body, port=None, content_type=content_type, **headers)

    def manage(self, path: str) -> Answer:
        """`GET` on the management port."""
        return self.request("GET", path, port=self.management_port)

    def metric(self, series: str) -> float:
        """Give the value of one series, as Prometheus' text format writes it."""
        return self.metrics()[series]

    def metrics(self) -> dict[str, float]:
        """Give the value of each series, all of one moment."""
        self.wait_logged("serving")
        return values_of(self.manage("/metrics").body.decode())

    def outcome(self, name: str) -> float:
        return self.metric(f'mizzen_requests_total{{outcome="{name}"}}')

    def open_run(self, body: Json) -> socket.socket:
        """Send `POST /v1/run` and leave the answer unread."""
        return self._open_run(json.dumps(body).encode(), lacking=0)

    def open_half_run(self) -> socket.socket:
        """Send `POST /v1/run` with a body that is never whole."""
        return self._open_run(b'{"input": ', lacking=10)

    def _open_run(self, content: bytes, *, lacking: int) -> socket.socket:
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.settimeout(60)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # what is left unread soon blocks its sender
        connection.connect(("127.0.0.1", self.port))
        head = "POST /v1/run HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        connection.sendall(f"{head}content-length: {len(content) + lacking}\r\n\r\n".encode() + content)
        return connection

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        return self.process.wait(START_SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side closes, or ends its answer."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    try:
        return response.read()
    finally:
        response.close()
        connection.close()


Start = Callable[..., RuntimeProcess]
"""Starts a runtime: its configuration, further arguments, environment."""


def config_of(*models: Json, **agent: object) -> Json:
    """Give a rendered configuration."""
    return {
        "contractVersion": 1,
        "namespace": "support",
        "name": "triage",
        "revision": "a1b2c3d4e5",
        "agent": agent,
        "models": list(models or ({"model": "test"},)),
    }


def limited(config: Json, **limits: float) -> Json:
    """Give a configuration with limits, such as `requestTimeoutSeconds`."""
    return config | {"limits": limits}


def breaker_of(**settings: object) -> Json:
    """Give a model's breaker as the operator renders it, with the defaults for what is not said."""
    return {**DEFAULT_BREAKER.model_dump(by_alias=True), **settings}


STAYS_CLOSED = breaker_of(windowSize=1000, minimumCalls=1000)
"""For a runtime that many tests share, each of which lets its model fail."""


def model_labels(model: str, **labels: str) -> str:
    """Give the labels of a model's series, as Prometheus' text format writes them.

    Args:
        model: `provider:name`.
        labels: Further ones.
    """
    provider, _, name = model.partition(":")
    labels |= {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": provider,
        "gen_ai_request_model": name or provider,
    }
    return ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))


def scripted(server: ModelServer, **fields: object) -> Json:
    """Give the model that a scripted server plays."""
    return {"model": "vllm:scripted", "baseUrl": server.base_url, **fields}
