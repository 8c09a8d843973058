"""What the runtime adds to a request, beside bare uvicorn servers and FastAPI around the same agent.

The agent answers at once, so that what is left is the server's; or, with `--agent model`, it asks a model that answers
at once over HTTP, so that it is seen what share the server has of a whole request.

The servers run in turns, each on a processor of its own beside the one that sends the requests, 64 at a time, or one
at a time with pauses. Processor time is the server's own for each request. `bench/baselines/bare_server.py` is measured
once as it is and once with the runtime's settings of the garbage collector.
"""

import argparse
import json
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psutil

from bench.model_stub import ModelStub
from bench.servers import Server, servers

CONNECTIONS = 64
LOW_RATE = 60.0
"""Requests a second of the one connection that shows what a request takes when there is no other."""
WARM_SECONDS = 1.0
PROCESSORS = psutil.Process().cpu_affinity() or []
"""What may be used, before anything was bound to one of them."""


@dataclass(frozen=True)
class Sample:
    """What one turn of one server showed."""

    cpu_us: float
    alone_cpu_us: float
    alone_p50_us: float
    requests_per_second: float


ROWS = {
    "cpu_us": f"processor time of a request, {CONNECTIONS} at a time",
    "alone_cpu_us": f"processor time of a request, alone, {LOW_RATE:g} a second",
    "alone_p50_us": f"time of a request, alone, {LOW_RATE:g} a second (median)",
    "requests_per_second": f"requests a second, {CONNECTIONS} at a time",
}


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


def measure(server: Server, seconds: float) -> Sample:
    """Warm a server up and measure it."""
    _put_on(server.process, 0)
    send(server.port, server.path, WARM_SECONDS)
    before = _spent(server)
    loaded = send(server.port, server.path, seconds)
    between = _spent(server)
    alone = send(server.port, server.path, seconds, connections=1, rate=LOW_RATE)
    return Sample(
        cpu_us=1e6 * (between - before) / loaded["requests"],
        alone_cpu_us=1e6 * (_spent(server) - between) / alone["requests"],
        alone_p50_us=1e6 * alone["p50"],
        requests_per_second=loaded["requests"] / loaded["seconds"],
    )


def _spent(server: Server) -> float:
    times = server.process.cpu_times()
    return float(times.user + times.system)


def _put_on(process: psutil.Process, index: int) -> None:
    """Bind a process to the first or the last processor that there is."""
    process.cpu_affinity([PROCESSORS[index]])


def report(samples: dict[str, list[Sample]]) -> None:
    names = list(samples)
    print(f"| median of {len(samples[names[0]])} | {' | '.join(names)} | runtime over tuned | ratio |")
    print("|---" * (len(names) + 3) + "|")
    for field, title in ROWS.items():
        values = {name: [getattr(sample, field) for sample in found] for name, found in samples.items()}
        pairs = list(zip(values["runtime"], values["bare, tuned"], strict=True))
        unit = " µs" if field.endswith("_us") else ""
        cells = " | ".join(f"{statistics.median(found):.0f}{unit}" for found in values.values())
        over = statistics.median(a - b for a, b in pairs)
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"| {title} | {cells} | {over:+.0f}{unit} | {ratio:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.overhead", description=__doc__)
    parser.add_argument(
        "--agent", choices=["stub", "model"], default="stub", help="what answers (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="how many turns of each (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3, help="how long each is measured (default: %(default)s)")
    options = parser.parse_args()
    with ExitStack() as stack:
        model_url = stack.enter_context(ModelStub()).url if options.agent == "model" else None
        _put_on(psutil.Process(), -1)
        starts = servers(model_url)
        samples: dict[str, list[Sample]] = {name: [] for name in starts}
        for turn in range(options.rounds):
            print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
            for name, start in starts.items():
                with start() as server:
                    samples[name].append(measure(server, options.seconds))
    report(samples)


if __name__ == "__main__":
    main()
