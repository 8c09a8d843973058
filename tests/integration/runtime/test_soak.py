"""Half an hour of everything that an agent is asked: memory stays where it is, and nothing is counted wrongly."""

import json
import os
import statistics
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import pytest

from tests.conftest import FULL_SIZE
from tests.integration.runtime.process import (
    STAYS_CLOSED,
    Answer,
    RuntimeProcess,
    config_of,
    model_labels,
    until,
)
from tests.support.echo_model import FAIL, HANG, INPUT_TOKENS, OUTPUT_TOKENS, EchoModel
from tests.support.load import Load, figures

SECONDS = 1800.0 if FULL_SIZE else 20.0
WARM_UP = SECONDS / 3
"""What memory does before is not looked at: caches and the window of percentiles fill."""
BETWEEN_SAMPLES = 5.0 if FULL_SIZE else 0.5
MB = 1_000_000
GROWTH = 1 * MB / 600
"""Bytes a second that memory may grow at full size."""
SMALL_GROWTH = 30 * MB
"""What it may grow in all at small size: seconds cannot tell a slope, as a single collection of garbage is more."""

MODEL_SECONDS = 0.1
PERIOD = 0.2
"""From one request of a worker to its next."""
POOLED_WORKERS, UNPOOLED_WORKERS = 4, 2
SOLITARY_PERIOD = 0.5
"""From one of the calls that are made one at a time to the next."""
ITEMS = 5
"""Of a batch that are answered."""
AT_ONCE = POOLED_WORKERS + UNPOOLED_WORKERS + ITEMS
"""How many requests are in flight at most."""
POOL_THREADS = min(32, (os.cpu_count() or 1) + 4)
"""In which asyncio looks names up, one for each connection to the model: made when all others are busy, and kept."""


@dataclass
class Counts:
    """What a client knows that its calls must have been counted as."""

    requests: Counter[str] = field(default_factory=Counter)
    batches: Counter[str] = field(default_factory=Counter)


def question() -> str:
    return f"question {uuid.uuid4().hex}"


def post(runtime: RuntimeProcess, path: str, body: bytes, content_type: str = "application/json") -> Answer:
    return runtime.request("POST", path, body, content_type=content_type)


def send_batch(runtime: RuntimeProcess, counts: Counts) -> None:
    questions = [question() for _ in range(ITEMS)]
    items = [*({"input": each} for each in questions), {"input": ""}]
    answer = post(runtime, "/v1/batch", json.dumps({"requests": items}).encode())
    assert answer.status == 200, answer
    assert [result.get("output") for result in answer.json["results"]] == [*questions, None]
    counts.requests.update(ok=ITEMS, invalid_input=1)
    counts.batches.update(ok=1)


def send_lines(runtime: RuntimeProcess, counts: Counts) -> None:
    questions = [question() for _ in range(ITEMS)]
    lines = "".join(json.dumps({"input": each}) + "\n" for each in questions)
    answer = post(runtime, "/v1/batch", lines.encode(), "application/x-ndjson")
    assert answer.status == 200, answer
    assert [json.loads(line).get("output") for line in answer.body.splitlines()] == questions
    counts.requests.update(ok=ITEMS)
    counts.batches.update(ok=1)


def send_what_is_invalid(runtime: RuntimeProcess, counts: Counts) -> None:
    assert post(runtime, "/v1/run", b'{"question": "wrong field"}').status == 422
    counts.requests.update(invalid_input=1)


def ask_a_model_that_fails(runtime: RuntimeProcess, counts: Counts) -> None:
    assert post(runtime, "/v1/run", json.dumps({"input": FAIL}).encode()).status == 503
    counts.requests.update(model_unavailable=1)


def leave_in_mid_stream(runtime: RuntimeProcess, counts: Counts) -> None:
    with runtime.open_run({"input": HANG, "stream": True}) as connection:
        received = b""
        while HANG.encode() not in received:
            part = connection.recv(4096)
            assert part, received
            received += part
    counts.requests.update(cancelled=1)


SOLITARY: list[Callable[[RuntimeProcess, Counts], None]] = [
    send_batch,
    send_lines,
    send_what_is_invalid,
    ask_a_model_that_fails,
    leave_in_mid_stream,
]


class SolitaryCalls(threading.Thread):
    """Makes the calls that are rarer, one at a time and in turn, from entering to leaving."""

    def __init__(self, runtime: RuntimeProcess) -> None:
        super().__init__(name="solitary calls")
        self._runtime = runtime
        self._stop_asked = threading.Event()
        self._error: BaseException | None = None
        self.counts = Counts()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_asked.set()
        self.join()
        if self._error is not None and error is None:
            raise self._error

    def run(self) -> None:
        try:
            while not self._stop_asked.is_set():
                for call in SOLITARY:
                    call(self._runtime, self.counts)
                    self._stop_asked.wait(SOLITARY_PERIOD)
        except BaseException as error:  # noqa: BLE001 - raised where the calls end
            self._error = error


@dataclass(frozen=True)
class Sample:
    """What the process holds at a moment."""

    at: float
    bytes: int
    threads: int


def sample(process: psutil.Process) -> Sample:
    # What is the process's own: pages of files, which it shares with others, come and go.
    return Sample(time.monotonic(), process.memory_full_info().uss, process.num_threads())


def slope(samples: list[Sample]) -> float:
    """Give by how many bytes a second memory grows, by least squares."""
    return statistics.linear_regression([one.at for one in samples], [one.bytes for one in samples]).slope


def expected_metrics(counts: Counts) -> dict[str, float]:
    """Give the series that a client can know, as Prometheus' text format writes them."""
    asked = counts.requests
    series: dict[str, float] = {f'mizzen_requests_total{{outcome="{name}"}}': each for name, each in asked.items()}
    series |= {f'mizzen_batches_total{{outcome="{name}"}}': each for name, each in counts.batches.items()}
    for outcome in ("model_unavailable", "cancelled"):
        series[model_series("operation_duration_seconds_count", error_type=outcome)] = asked[outcome]
    series[model_series("operation_duration_seconds_count", error_type="")] = asked["ok"]
    for kind, tokens in (("input", INPUT_TOKENS), ("output", OUTPUT_TOKENS)):
        series[model_series("token_usage_count", gen_ai_token_type=kind)] = asked["ok"]
        series[model_series("token_usage_sum", gen_ai_token_type=kind)] = asked["ok"] * tokens
    return series | {
        "mizzen_request_duration_seconds_count": asked.total(),
        "mizzen_requests_in_flight": 0,
        "mizzen_requests_queued": 0,
    }


def model_series(name: str, **labels: str) -> str:
    return f"gen_ai_client_{name}{{{model_labels('vllm:echo', **labels)}}}"


def counted(metrics: dict[str, float], expected: dict[str, float]) -> dict[str, float]:
    """Give the same series as the runtime has them, and what else it counted of requests and batches."""
    counters = ("mizzen_requests_total", "mizzen_batches_total", "gen_ai_client_operation_duration_seconds_count")
    return {
        name: value for name, value in metrics.items() if name in expected or (name.startswith(counters) and value > 0)
    }


@pytest.mark.timeout(SECONDS + 150)
def test_memory_does_not_grow_and_every_counter_is_what_the_client_counted(tmp_path: Path) -> None:
    with EchoModel("127.0.0.1", seconds=MODEL_SECONDS) as model:
        config = config_of({"model": "vllm:echo", "baseUrl": model.url, "breaker": STAYS_CLOSED})
        runtime = RuntimeProcess(tmp_path, config)
        try:
            soak(runtime)
        finally:
            runtime.close()
    runtime.assert_no_stray_errors()


def soak(runtime: RuntimeProcess) -> None:
    url = f"http://127.0.0.1:{runtime.port}/v1/run"
    process = psutil.Process(runtime.process.pid)
    files, threads = process.num_fds(), process.num_threads()
    begun = time.monotonic()
    samples = []
    pooled = Load(url, workers=POOLED_WORKERS, pooled=True, period=PERIOD, ramp=PERIOD)
    unpooled = Load(url, workers=UNPOOLED_WORKERS, pooled=False, period=PERIOD, ramp=PERIOD)
    with pooled, unpooled, SolitaryCalls(runtime) as solitary:
        while time.monotonic() < begun + SECONDS:
            time.sleep(BETWEEN_SAMPLES)
            samples.append(sample(process))
    until(lambda: runtime.metric("mizzen_requests_in_flight") == 0, "the last request has ended")
    asked = pooled.asked + unpooled.asked

    settled = [one for one in samples if one.at >= begun + WARM_UP]
    memory = [one.bytes / MB for one in settled]
    sys.stdout.write(
        f"{figures(asked)}; others: {solitary.counts}; "
        f"memory from {memory[0]:.2f} to {memory[-1]:.2f} MB (between {min(memory):.2f} and {max(memory):.2f}), "
        f"{slope(settled) * 600 / MB:+.3f} MB in 10 min; threads {threads} to {settled[-1].threads}; "
        f"files {files} to {process.num_fds()}\n"
    )
    assert [*pooled.lost(), *unpooled.lost()] == []
    counts = Counts(solitary.counts.requests + Counter(ok=len(asked)), solitary.counts.batches)
    expected = expected_metrics(counts)
    assert counted(runtime.metrics(), expected) == expected
    if FULL_SIZE:
        assert slope(settled) < GROWTH
    else:
        assert settled[-1].bytes - settled[0].bytes < SMALL_GROWTH
    assert settled[-1].threads <= threads + POOL_THREADS
    # Connections to the model stay open for the next request, as many as were used at once.
    until(lambda: process.num_fds() <= files + AT_ONCE, "no file or connection is left open")
