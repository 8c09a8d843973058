"""The operator as a process of its own, restricted to one namespace."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mizzen_operator.cluster.connection import USER_AGENT
from tests.support.http import Answer, call
from tests.support.waiting import wait_for

RUNTIME_IMAGE = "localhost/mizzen-runtime:not-there"
"""Nothing pulls it: these tests are about what is written, not about what runs."""
LEASE_SECONDS = 10
"""Less than what operators use: a test that waits for a Lease to run out does nothing else meanwhile."""


class OperatorProcess:
    """`python -m mizzen_operator`, its log and its end."""

    def __init__(
        self,
        kubeconfig: Path,
        *namespaces: str,
        runtime_image: str = RUNTIME_IMAGE,
        lease: str | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        arguments = [argument for namespace in namespaces for argument in ("--namespace", namespace)]
        if lease is not None:
            arguments += ["--lease", lease, "--lease-duration", str(LEASE_SECONDS)]
        self._process = subprocess.Popen(
            [
                # kopf leaves its watches' connections to close by themselves: that takes longer than the process.
                *(sys.executable, "-W", "error", "-W", "ignore:unclosed:ResourceWarning"),
                # kopf's guard of a task that is cancelled before its first step never begins what it guards.
                *("-W", "ignore:coroutine 'watcher' was never awaited:RuntimeWarning", "-m", "mizzen_operator"),
                *("--runtime-image", runtime_image, "--port", "0", "--kubeconfig", str(kubeconfig), *arguments, *flags),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                try:
                    self.log.append(json.loads(line))
                except ValueError:
                    self.log.append({"level": "error", "message": line.rstrip()})

    def messages(self) -> list[str]:
        """Give what the log says, line by line."""
        return [str(line["message"]) for line in self.log]

    def complaints(self) -> list[dict[str, Any]]:
        """Give the lines of the log that tell of something unexpected."""
        return [line for line in self.log if line["level"] == "error"]

    def said(self, part: str, *, seconds: float = 60) -> str:
        """Wait for a line with `part` in it and give it."""
        return wait_for(
            lambda: next((message for message in self.messages() if part in message), None),
            f"{part!r} in the log of the operator",
            seconds=seconds,
        )

    def said_at(self, part: str) -> float:
        """Give when a line with `part` in it was written, in seconds since the epoch."""
        line = next(line for line in self.log if part in line["message"])
        return datetime.fromisoformat(line["time"]).timestamp()

    def wait_working(self) -> "OperatorProcess":
        """Wait until the operator works on resources."""
        self.said("working on")
        return self

    def wait_standing_by(self) -> "OperatorProcess":
        """Wait until the operator waits for another one's Lease."""
        self.said("standing by: waiting for the Lease")
        return self

    def user_agent(self) -> str:
        """Give what the API server's audit log calls this process."""
        identity = self.said("candidate ").split(" ")[1]
        return f"{USER_AGENT} ({identity})"

    def is_running(self) -> bool:
        """Tell whether the process has not ended."""
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def call(self, path: str) -> Answer:
        """Ask the operator's own port."""
        assert self._process.poll() is None, f"the operator has ended by itself:\n{chr(10).join(self.messages())}"
        port = self.said("serving /healthz").rsplit(" ", 1)[1]
        return call(f"http://127.0.0.1:{port}{path}")

    def metric(self, sample: str) -> float:
        """Give a sample of the operator's metrics; 0 if there is none."""
        lines = self.call("/metrics").text.splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{sample} ")), 0.0)

    def exit_status(self, *, seconds: float = 20) -> int:
        """Wait for the end of the process and give its status."""
        status = self._process.wait(timeout=seconds)
        self._reader.join(timeout=5)
        return status

    def terminate(self) -> int:
        """Ask the process to end, as kubelet does, and give its status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self.exit_status()

    def kill(self) -> None:
        """End the process at once, as a node that loses its power does."""
        self._process.kill()
        self.exit_status()
