"""`mizzen` as a real process, and the agent that it runs."""

import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.integration.runtime.process import Answer, until

MIZZEN = Path(sys.executable).parent / "mizzen"
START_SECONDS = 120
"""For a check and a start, beside other tests on a small machine."""
_ADDRESSES = itertools.count(1)


def clean_environment() -> dict[str, str]:
    """Give this process's variables, apart from keys that somebody may have set for models."""
    return {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}


def free_address() -> str:
    """Give an address of the loopback that nobody else listens on: each test has all ports for itself."""
    number = os.getpid() * 64 + next(_ADDRESSES)
    return f"127.{1 + number // 62500 % 250}.{number // 250 % 250}.{1 + number % 250}"


class MizzenRun:
    """`mizzen run` on an address of its own."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        address: str | None = None,
        cwd: Path | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.address = address or free_address()
        self._output, self._errors = folder / "output.txt", folder / "errors.txt"
        command = [str(MIZZEN), "run", "--host", self.address, *arguments]
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=errors, cwd=cwd or folder, env=clean_environment() | dict(environment)
            )

    def output(self) -> str:
        return self._output.read_text()

    def errors(self) -> str:
        """Give the log: what the runtime wrote, and tracebacks of the command line itself if there are any."""
        return self._errors.read_text()

    def wait_told(self, text: str, times: int = 1) -> None:
        """Wait until the output has a text."""
        try:
            until(lambda: self.output().count(text) >= times or self.process.poll() is not None, text, START_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}; it tells:\n{self.output()}{self.errors()}") from None
        assert self.output().count(text) >= times, self.output() + self.errors()

    def request(self, method: str, path: str, body: object = None, *, port: int = 8080) -> Answer:
        connection = http.client.HTTPConnection(self.address, port, timeout=60)
        try:
            content = json.dumps(body).encode() if body is not None else None
            connection.request(method, path, content, {"content-type": "application/json"})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def ask(self, text: str = "Hello") -> Answer:
        return self.request("POST", "/v1/run", {"input": text})

    def state(self) -> Any:
        return self.request("GET", "/state", port=8081).json

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def exit_code(self) -> int:
        return self.process.wait(START_SECONDS)

    def children(self) -> list[int]:
        """Give the process ids of what it has started."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in listed.split()]

    def close(self) -> None:
        """End it, and with it what it has started."""
        if self.process.poll() is None:
            children = self.children()
            self.process.kill()
            for child in children:
                os.kill(child, signal.SIGKILL)
        self.process.wait()


def validate(folder: Path, *arguments: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `mizzen validate` in a folder."""
    return subprocess.run(
        [str(MIZZEN), "validate", *arguments],
        cwd=folder,
        env=clean_environment() | environment,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
