"""What the runtime adds to a request, with an agent that answers at once, beside a bare uvicorn server with the same.

The servers run in turns, each on a processor of its own beside the one that sends the requests, 64 at a time. Processor
time is the server's own for each request; the baseline is `bench/baselines/bare_server.py`, once as it is and once with
the runtime's settings of the garbage collector.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.startup import free_port, running, wait_for
from mizzen_api.contract import RuntimeConfig, RuntimeModel

CONNECTIONS = 64
LOW_RATE = 60.0
"""Requests a second of the one connection that shows what a request takes when there is no other."""
WARM_SECONDS = 1.0


@dataclass(frozen=True)
class Sample:
    """What one turn of one server showed."""

    cpu_us: float
    requests_per_second: float
    alone_p50_us: float


@contextmanager
def runtime(port: int) -> Iterator[psutil.Process]:
    """The runtime; ready when the block begins."""
    config = RuntimeConfig(
        namespace="bench",
        name="bench",
        revision="0",
        agent={"instructions": "Answer briefly."},
        models=(RuntimeModel(model="test"),),
    )
    management = free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "agent.json"
        file.write_text(config.model_dump_json())
        command = [sys.executable, "-m", "bench.stubbed_runtime", "--config", str(file), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--management-port", str(management)]
        command += ["--termination-log", str(Path(folder) / "termination-log")]
        with running(command) as process:
            wait_for(management, "/readyz")
            yield process


@contextmanager
def bare(port: int, *options: str) -> Iterator[psutil.Process]:
    """The baseline; ready when the block begins."""
    command = [sys.executable, "-m", "bench.baselines.bare_server", "--port", str(port), "--stub", *options]
    with running(command) as process:
        wait_for(port, "/")
        yield process


def send(port: int, path: str, seconds: float, *, connections: int = CONNECTIONS, rate: float = 0) -> dict[str, Any]:
    """Send requests from another process for some time, and give what it counted."""
    command = [sys.executable, "-m", "bench.request_loop", "--port", str(port), "--path", path]
    command += ["--connections", str(connections), "--seconds", str(seconds), "--rate", str(rate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        _put_on(psutil.Process(process.pid), -1)
        said, _ = process.communicate(timeout=seconds + 60)
    if process.returncode != 0:
        sys.exit("the requests failed; see above")
    counted: dict[str, Any] = json.loads(said)
    return counted


def measure(server: psutil.Process, port: int, path: str, seconds: float) -> Sample:
    """Warm a server up and measure it."""
    _put_on(server, 0)
    send(port, path, WARM_SECONDS)
    before = sum(server.cpu_times()[:2])
    loaded = send(port, path, seconds)
    spent = sum(server.cpu_times()[:2]) - before
    alone = send(port, path, seconds, connections=1, rate=LOW_RATE)
    return Sample(
        cpu_us=1e6 * spent / loaded["requests"],
        requests_per_second=loaded["requests"] / loaded["seconds"],
        alone_p50_us=1e6 * alone["p50"],
    )


def _put_on(process: psutil.Process, index: int) -> None:
    """Bind a process to the first or the last processor, where there is more than one."""
    processors = process.cpu_affinity() or []
    if len(processors) > 1:
        process.cpu_affinity([processors[index]])


def report(samples: dict[str, list[Sample]]) -> None:
    names = list(samples)
    print(f"| median of {len(samples[names[0]])} | {' | '.join(names)} | runtime over tuned |")
    print("|---" * (len(names) + 2) + "|")
    for title, field in (
        ("processor time of a request", "cpu_us"),
        (f"time of a request, alone, {LOW_RATE:g} a second", "alone_p50_us"),
    ):
        values = {name: [getattr(sample, field) for sample in found] for name, found in samples.items()}
        difference = statistics.median(a - b for a, b in zip(values["runtime"], values["bare, tuned"], strict=True))
        cells = " | ".join(f"{statistics.median(found):.0f} µs" for found in values.values())
        print(f"| {title} | {cells} | {difference:+.0f} µs |")
    rates = {name: [sample.requests_per_second for sample in found] for name, found in samples.items()}
    ratio = statistics.median(a / b for a, b in zip(rates["runtime"], rates["bare, tuned"], strict=True))
    cells = " | ".join(f"{statistics.median(found):.0f}" for found in rates.values())
    print(f"| requests a second, {CONNECTIONS} at a time | {cells} | {ratio:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how many turns of each (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="how long each is measured (default: %(default)s)")
    options = parser.parse_args()
    samples: dict[str, list[Sample]] = {"runtime": [], "bare": [], "bare, tuned": []}
    for turn in range(options.rounds):
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
        port = free_port()
        with bare(port) as server:
            samples["bare"].append(measure(server, port, "/", options.seconds))
        with runtime(port) as server:
            samples["runtime"].append(measure(server, port, "/v1/run", options.seconds))
        with bare(port, "--tuned") as server:
            samples["bare, tuned"].append(measure(server, port, "/", options.seconds))
    report(samples)


if __name__ == "__main__":
    main()
