"""The operator as a process of its own, measured from outside."""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from devcluster import DevCluster

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
RUNTIME_IMAGE = "localhost/mizzen-runtime:not-there"
"""Nothing pulls it: agents without pods need none."""
IDLE_SECONDS = 2.0


class OperatorProcess:
    """`python -m mizzen_operator`, started by `running_operator`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self.measured = psutil.Process(process.pid)

    def wait_said(self, text: str, seconds: float = 120) -> str:
        """Wait for a line of the log and give its message.

        Raises:
            TimeoutError: It does not come.
            RuntimeError: The operator ended.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self._log.read_text().splitlines():
                message = str(json.loads(line)["message"]) if line.startswith("{") else line
                if text in message:
                    return message
            if self._process.poll() is not None:
                raise RuntimeError(f"the operator has ended:\n{self._log.read_text()}")
            time.sleep(0.02)
        raise TimeoutError(f"the operator did not say {text!r} within {seconds:g} s")

    def metric(self, name: str) -> float:
        """Give the sum of a metric's samples."""
        port = self.wait_said("serving /healthz").rpartition(" ")[2]
        with OPENER.open(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))

    def wait_idle(self, seconds: float = 600) -> None:
        """Wait until there was nothing to do for two seconds.

        Raises:
            TimeoutError: There always is something.
        """
        deadline = time.monotonic() + seconds
        adds, since = -1.0, time.monotonic()
        while time.monotonic() < deadline:
            now = self.metric("workqueue_adds_total")
            if now != adds or self.metric("workqueue_depth") > 0:
                adds, since = now, time.monotonic()
            elif time.monotonic() - since >= IDLE_SECONDS:
                return
            time.sleep(0.2)
        raise TimeoutError(f"the operator was not idle within {seconds:g} s")

    def memory_mb(self) -> float:
        """Give the resident memory."""
        return float(self.measured.memory_info().rss) / 1e6

    def cpu_seconds(self) -> float:
        """Give the processor time that it has taken since its start."""
        times = self.measured.cpu_times()
        return float(times.user + times.system)


@contextmanager
def running_operator(
    cluster: DevCluster, *namespaces: str, lease: str | None = None, says: str = "working on"
) -> Iterator[OperatorProcess]:
    """Run the operator for as long as a block lasts, and wait until it works, or says something else.

    Args:
        cluster: Where it works.
        namespaces: Where it works in there; everywhere if there are none.
        lease: `NAMESPACE/NAME` of the Lease that it works with; none without it.
        says: What is waited for in its log.
    """
    command = [sys.executable, "-m", "mizzen_operator", "--runtime-image", RUNTIME_IMAGE, "--port", "0"]
    command += ["--kubeconfig", str(cluster.kubeconfig)]
    command += [part for namespace in namespaces for part in ("--namespace", namespace)]
    command += ["--lease", lease] if lease is not None else []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(command, stderr=file)
        try:
            operator = OperatorProcess(process, log)
            operator.wait_said(says)
            yield operator
        finally:
            process.terminate()
            process.send_signal(signal.SIGCONT)  # it may have been frozen
            process.wait(30)
