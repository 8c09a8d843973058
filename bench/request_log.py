"""What a line of the log costs, beside two libraries; and what log and traces cost a request.

Lines are written to nowhere, with the fields that a request's line has. `structlog` takes them from the standard
library's loggers, as it must for own code's and libraries' lines; `structlog alone` is what its own loggers would take.
Imports are measured in processes of their own: what sets the log up is imported before the first probe is answered.

Requests go to the runtime, 16 at a time. What the log costs is measured with an agent that answers at once; what traces
cost, with pydantic-ai's test model, since most spans are its agent's. Processor time is the server's own for each.
"""

import argparse
import logging
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TextIO

import psutil
import structlog
from pythonjsonlogger.json import JsonFormatter as LibraryFormatter
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name

from bench.overhead import send
from bench.startup import free_port, running, wait_for
from mizzen_api.contract import LIVE_FILE, LiveSettings, RuntimeConfig, RuntimeModel, RuntimeTracing
from mizzen_api.monitoring import LogLevel
from mizzen_runtime import log

LINES = 20_000
ROUNDS = 7
CONNECTIONS = 16
BEARINGS = {
    "namespace": "support",
    "agent": "triage",
    "revision": "bcdfghjklm",
    "request_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
}
FIELDS = {"outcome": "ok", "seconds": 0.00153, "model": "test", "input_tokens": 51, "output_tokens": 4}
IMPORTS = {
    "ours": "mizzen_runtime.log",
    "python-json-logger": "pythonjsonlogger.json",
    "structlog": "structlog.stdlib",
}
Write = Callable[[], None]
Server = tuple[LogLevel, RuntimeTracing | None]


class Bearings(logging.Filter):
    """Adds to a library's line what ours has by itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        vars(record).update(BEARINGS)
        return True


def by_formatter(name: str, formatter: logging.Formatter, nowhere: TextIO, *filters: logging.Filter) -> Write:
    handler = logging.StreamHandler(nowhere)
    handler.setFormatter(formatter)
    for each in filters:
        handler.addFilter(each)
    logger = logging.getLogger(f"bench.{name}")
    logger.handlers, logger.propagate, logger.level = [handler], False, logging.INFO
    return lambda: logger.info("answered", extra=FIELDS)


def writers(nowhere: TextIO) -> dict[str, Write]:
    log.identify(namespace=BEARINGS["namespace"], agent=BEARINGS["agent"], revision=BEARINGS["revision"])
    log.begin_request(request_id=BEARINGS["request_id"], trace_id=BEARINGS["trace_id"])
    stamped = structlog.processors.TimeStamper(fmt="iso", utc=True)
    rendered = (structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer())
    through_stdlib = ProcessorFormatter(
        foreign_pre_chain=[add_log_level, add_logger_name, ExtraAdder(), stamped],
        processors=[ProcessorFormatter.remove_processors_meta, *rendered],
    )
    library = LibraryFormatter(
        "%(levelname)s %(name)s %(message)s", rename_fields={"levelname": "level", "name": "logger"}, timestamp="time"
    )
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, stamped, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(nowhere),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**BEARINGS)
    alone = structlog.get_logger("bench")
    return {
        "ours": by_formatter("ours", log.JsonFormatter(), nowhere),
        "python-json-logger": by_formatter("library", library, nowhere, Bearings()),
        "structlog": by_formatter("structlog", through_stdlib, nowhere, Bearings()),
        "structlog alone": lambda: alone.info("answered", logger="bench", **FIELDS),
    }


def line_costs() -> dict[str, float]:
    """Give the median processor time of a line, in microseconds."""
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        made = writers(nowhere)
        costs: dict[str, list[float]] = {name: [] for name in made}
        for _ in range(ROUNDS):
            for name, write in made.items():
                started = time.process_time()
                for _ in range(LINES):
                    write()
                costs[name].append(1e6 * (time.process_time() - started) / LINES)
        return {name: statistics.median(found) for name, found in costs.items()}


def import_cost(module: str) -> float:
    """Give the median processor time, in milliseconds, that an import adds to that of Python's own `logging`."""
    program = "import logging, json, sys, time; b = time.process_time(); __import__(sys.argv[1]);"
    program += "print(time.process_time() - b)"
    command = [sys.executable, "-c", program, module]
    return 1e3 * statistics.median(float(subprocess.check_output(command)) for _ in range(ROUNDS))


class _Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Keep quiet."""


@contextmanager
def collector() -> Iterator[str]:
    """Takes spans, in this process; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def request_cost(module: str, level: LogLevel, tracing: RuntimeTracing | None, seconds: float) -> float:
    """Give the processor time of a request, in microseconds."""
    config = RuntimeConfig(
        namespace="bench",
        name="bench",
        revision="0",
        agent={"instructions": "Answer briefly."},
        models=(RuntimeModel(model="test"),),
        tracing=tracing,
    )
    port, management = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "agent.json"
        file.write_text(config.model_dump_json())
        (Path(folder) / LIVE_FILE).write_text(LiveSettings(log_level=level).model_dump_json())
        command = [sys.executable, "-m", module, "--config", str(file), "--live-settings", folder]
        command += ["--host", "127.0.0.1", "--port", str(port), "--management-port", str(management)]
        command += ["--termination-log", str(Path(folder) / "termination-log")]
        with running(command) as process:
            wait_for(management, "/readyz")
            return _spent(process, port, seconds)


def _spent(process: psutil.Process, port: int, seconds: float) -> float:
    send(port, "/v1/run", 1.0, connections=CONNECTIONS)
    before = sum(process.cpu_times()[:2])
    requests = send(port, "/v1/run", seconds, connections=CONNECTIONS)["requests"]
    return 1e6 * (sum(process.cpu_times()[:2]) - before) / int(requests)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.request_log", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how many turns of each server (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=4, help="how long each is measured (default: %(default)s)")
    options = parser.parse_args()
    lines = line_costs()
    imports = {name: import_cost(module) for name, module in IMPORTS.items()}
    print(f"| | {' | '.join(lines)} |\n|{'---|' * (len(lines) + 1)}")
    print(f"| a line | {' | '.join(f'{cost:.1f} µs' for cost in lines.values())} |")
    print(f"| its import | {' | '.join(f'{imports[name]:.0f} ms' if name in imports else '' for name in lines)} |\n")
    with collector() as endpoint:
        compare(
            "bench.stubbed_runtime",
            {"`warning`": ("warning", None), "`info`": ("info", None)},
            options.rounds,
            options.seconds,
        )
        traced: dict[str, Server] = {
            "no tracing": ("info", None),
            "no trace recorded": ("info", _tracing(endpoint, 0.0)),
            "every trace recorded": ("info", _tracing(endpoint, 1.0)),
        }
        compare("mizzen_runtime", traced, options.rounds, options.seconds)


def compare(module: str, servers: Mapping[str, Server], rounds: int, seconds: float) -> None:
    """Measure servers in turns, and print what each takes and how much that is over the first."""
    costs: dict[str, list[float]] = {name: [] for name in servers}
    for turn in range(rounds):
        print(f"round {turn + 1} of {rounds}", file=sys.stderr)
        for name, (level, tracing) in servers.items():
            costs[name].append(request_cost(module, level, tracing, seconds))
    first, *others = costs.values()
    over = [statistics.median(a - b for a, b in zip(each, first, strict=True)) for each in others]
    print(f"| median of {rounds} | {' | '.join(costs)} |\n|{'---|' * (len(costs) + 1)}")
    print(f"| a request | {' | '.join(f'{statistics.median(each):.0f} µs' for each in costs.values())} |")
    print(f"| over the first | | {' | '.join(f'{each:+.0f} µs' for each in over)} |\n", flush=True)


def _tracing(endpoint: str, ratio: float) -> RuntimeTracing:
    return RuntimeTracing(endpoint=endpoint, sampling_ratio=ratio, include_content=False)


if __name__ == "__main__":
    main()
