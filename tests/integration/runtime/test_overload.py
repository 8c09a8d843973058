"""More than the agent can do: what it does, it goes on doing, and the rest is told so at once."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import FULL_SIZE
from tests.integration.runtime.process import Json, RuntimeProcess, config_of, until
from tests.support.echo_model import EchoModel
from tests.support.load import Asked, Ending, Load, figures

pytestmark = pytest.mark.alone

RUNNING = QUEUED = 20 if FULL_SIZE else 8
MODEL_SECONDS = 0.4
"""What an answer takes: so that `RUNNING` of them need a part of one core only."""
SECONDS = 60.0 if FULL_SIZE else 8.0
TIMES = 10
"""How much more is asked for than can be done."""
STREAMS, STREAM_SECONDS = (1000, 20.0) if FULL_SIZE else (100, 4.0)
"""How many at once, and what each of them takes: as long as needed for all the others to begin meanwhile."""
ENOUGH = 0.95 * STREAMS
"""Some may be between two streams."""


@pytest.fixture
def model() -> Iterator[EchoModel]:
    with EchoModel("127.0.0.1", seconds=MODEL_SECONDS) as model:
        yield model


@pytest.fixture
def slow_model() -> Iterator[EchoModel]:
    with EchoModel("127.0.0.1", seconds=STREAM_SECONDS) as model:
        yield model


def served(folder: Path, model: EchoModel, *, running: int, queued: int) -> RuntimeProcess:
    limits = {"maxConcurrentRequests": running, "maxQueuedRequests": queued}
    config: Json = config_of({"model": "vllm:echo", "baseUrl": model.url}) | {"limits": limits}
    return RuntimeProcess(folder, config)


def per_second(asked: list[Asked], begin: float, end: float) -> float:
    """Give how many requests a second were answered between two times."""
    return sum(one.ending is Ending.OK and begin <= one.ended <= end for one in asked) / (end - begin)


def test_ten_times_too_much_keeps_the_peak(tmp_path: Path, model: EchoModel) -> None:
    runtime = served(tmp_path, model, running=RUNNING, queued=QUEUED)
    url = f"http://127.0.0.1:{runtime.port}/v1/run"
    try:
        with Load(url, workers=RUNNING, pooled=True, ramp=MODEL_SECONDS) as fitting:
            time.sleep(SECONDS / 2 + 2)
        with Load(url, workers=RUNNING * TIMES, pooled=True, period=MODEL_SECONDS, ramp=MODEL_SECONDS) as excessive:
            time.sleep(SECONDS + 2)
        outcomes = {name: runtime.outcome(name) for name in ("ok", "overloaded")}
    finally:
        runtime.close()

    peak = _goodput(fitting.asked)
    goodput = _goodput(excessive.asked)
    endings = Counter(one.ending for one in excessive.asked)
    sys.stdout.write(f"peak {peak:.1f}/s; {TIMES} times as much: {goodput:.1f}/s; {figures(excessive.asked)}\n")
    assert not fitting.lost()
    if FULL_SIZE:  # beside other tests, who gets the processor decides; `test_admission` tells it in virtual time
        assert goodput >= 0.9 * peak
    assert set(endings) == {Ending.OK, Ending.REJECTED}
    assert all(one.detail.startswith("429 ") for one in excessive.lost())
    assert outcomes["ok"] == len(fitting.asked) + endings[Ending.OK]
    assert outcomes["overloaded"] == endings[Ending.REJECTED]


def _goodput(asked: list[Asked]) -> float:
    """Give the answers a second, without the ends of the run, where fewer ask."""
    begin, end = min(one.begun for one in asked) + 1, max(one.begun for one in asked) - 0.5
    return per_second(asked, begin, end)


def test_many_streams_at_once_are_all_whole(tmp_path: Path, slow_model: EchoModel) -> None:
    runtime = served(tmp_path, slow_model, running=STREAMS, queued=0)
    url = f"http://127.0.0.1:{runtime.port}/v1/run"

    def nearly_all_stream() -> bool:
        return runtime.metric("mizzen_requests_in_flight") >= ENOUGH

    try:
        with Load(url, workers=STREAMS, pooled=False, stream_every=1, limit=120, ramp=STREAM_SECONDS / 4) as load:
            until(nearly_all_stream, "streams are under way at once", 60)
    finally:
        runtime.close()

    sys.stdout.write(f"{figures(load.asked)}\n")
    assert len(load.asked) >= ENOUGH
    assert not load.lost()
