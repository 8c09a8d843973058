"""Runtime beside a bare uvicorn + agent server: time from start to ready, and memory after the same requests.

Both run alternately in one run, with the same model behind them; the figure to quote is the median of the ratios.
"""

import argparse
import http.client
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.model_stub import ModelStub
from mizzen_api.contract import RuntimeConfig, RuntimeModel

REQUESTS = 200
POLL_SECONDS = 0.02
"""Resolution of the times. Asking more often would load the one server that answers while it still starts."""


@dataclass(frozen=True)
class Sample:
    """What one start of one server cost."""

    live_seconds: float
    ready_seconds: float
    memory_mb: float


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, path: str, deadline: float = 60) -> None:
    end = time.perf_counter() + deadline
    while time.perf_counter() < end:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", path)
            status = connection.getresponse().status
            connection.close()
        except OSError:
            status = 0
        if status == http.HTTPStatus.OK:
            return
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"port {port} did not answer {path} with 200 within {deadline} s")


def ask(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(REQUESTS):
        connection.request("POST", path, json.dumps({"input": "What is the capital of France?"}))
        response = connection.getresponse()
        answer = json.loads(response.read())
        assert answer["output"] == "Paris.", answer
    connection.close()


@contextmanager
def running(command: list[str]) -> Iterator[psutil.Process]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def measure_runtime(model_url: str) -> Sample:
    config = RuntimeConfig(
        namespace="bench",
        name="bench",
        revision="0",
        agent={"instructions": "Answer briefly."},
        models=(RuntimeModel(model="openai-chat:stub", base_url=model_url),),
    )
    port, management = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "agent.json"
        file.write_text(config.model_dump_json())
        command = [sys.executable, "-m", "mizzen_runtime", "--config", str(file), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--management-port", str(management)]
        command += ["--termination-log", str(Path(folder) / "termination-log")]
        begun = time.perf_counter()
        with running(command) as process:
            wait_for(management, "/livez")
            live = time.perf_counter() - begun
            wait_for(management, "/readyz")
            ready = time.perf_counter() - begun
            ask(port, "/v1/run")
            return Sample(live, ready, process.memory_info().rss / 1e6)


def measure_bare(model_url: str) -> Sample:
    port = free_port()
    command = [sys.executable, "-m", "bench.baselines.bare_server", "--port", str(port), "--model-url", model_url]
    begun = time.perf_counter()
    with running(command) as process:
        wait_for(port, "/")
        ready = time.perf_counter() - begun
        ask(port, "/")
        return Sample(ready, ready, process.memory_info().rss / 1e6)


def report(runtime: list[Sample], bare: list[Sample]) -> None:
    def row(title: str, ours: list[float], theirs: list[float], unit: str) -> None:
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        left, right = statistics.median(ours), statistics.median(theirs)
        print(f"| {title} | {left:.3g} {unit} | {right:.3g} {unit} | {ratio:.3f} |")

    print("| median of pairs | runtime | bare | ratio |")
    print("|---|---|---|---|")
    row("start to ready", [s.ready_seconds for s in runtime], [s.ready_seconds for s in bare], "s")
    row("start to live", [s.live_seconds for s in runtime], [s.live_seconds for s in bare], "s")
    row(f"memory after {REQUESTS} requests", [s.memory_mb for s in runtime], [s.memory_mb for s in bare], "MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9, help="how many alternating pairs (default: %(default)s)")
    options = parser.parse_args()
    runtime, bare = [], []
    with ModelStub() as model:
        measure_runtime(model.url)  # warms the file cache for both: they share nearly all of their modules
        for pair in range(options.pairs):
            print(f"pair {pair + 1} of {options.pairs}", file=sys.stderr)
            bare.append(measure_bare(model.url))
            runtime.append(measure_runtime(model.url))
    report(runtime, bare)


if __name__ == "__main__":
    main()
