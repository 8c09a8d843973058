"""What is counted of requests: each once, for good since the start, and for five minutes in the window."""

import time
from datetime import UTC, datetime

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen_runtime.errors import Outcome
from mizzen_runtime.statistics.agent_metrics import AgentMetrics
from mizzen_runtime.statistics.request_statistics import RequestStatistics
from mizzen_runtime.statistics.sliding_window import SLICE_SECONDS, SLICES, WINDOW_SECONDS, SlidingWindow
from mizzen_runtime.statistics.verdict import NOBODYS_FAULT, TIMED, VERDICTS

NEITHER = {Outcome.INVALID_INPUT, Outcome.MODEL_REFUSED, Outcome.CANCELLED}
FAILURES = [each for each in Outcome if each is not Outcome.OK and each not in NEITHER]


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Setup:
    def __init__(self) -> None:
        self.clock = Clock()
        self.statistics = RequestStatistics(self.clock, wall_clock=lambda: 1_800_000_000.0 + self.clock.now)

    def add(self, outcome: Outcome, seconds: float = 0.1, times: int = 1) -> None:
        for _ in range(times):
            self.statistics.add(outcome, seconds)

    @property
    def now(self) -> AgentMetrics:
        return self.statistics.snapshot()


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_before_the_first_request_everything_is_zero_and_all_is_well(setup: Setup) -> None:
    assert setup.now.model_dump(exclude={"memory_usage_mb"}) == {
        "total_requests": 0,
        "successful_requests": 0,
        "failed_requests": 0,
        "average_response_time_ms": 0.0,
        "p95_response_time_ms": 0.0,
        "p99_response_time_ms": 0.0,
        "error_rate_percent": 0.0,
        "last_request_timestamp": None,
        "uptime_seconds": 0.0,
        "window_seconds": 300.0,
        "window_requests": 0,
        "success_rate_percent": 100.0,
    }


def test_answers_and_failures_are_counted_and_timed(setup: Setup) -> None:
    setup.add(Outcome.OK, 0.1, times=97)
    setup.add(Outcome.DEADLINE_EXCEEDED, 60.0, times=2)
    setup.add(Outcome.MODEL_UNAVAILABLE, 0.001)
    setup.clock.now += 5

    now = setup.now

    assert (now.total_requests, now.successful_requests, now.failed_requests) == (100, 97, 3)
    assert (now.window_requests, now.error_rate_percent, now.success_rate_percent) == (100, 3.0, 97.0)
    assert now.average_response_time_ms == pytest.approx((97 * 100 + 2 * 60_000) / 99)
    assert now.p95_response_time_ms == pytest.approx(100, rel=0.01)
    assert now.p99_response_time_ms == pytest.approx(60_000, rel=0.01)
    assert now.uptime_seconds == 5
    assert now.last_request_timestamp == datetime.fromtimestamp(1_800_001_000, UTC)


@pytest.mark.parametrize("outcome", FAILURES)
def test_a_caller_who_did_everything_right_and_got_no_answer_met_a_failure(setup: Setup, outcome: Outcome) -> None:
    setup.add(Outcome.OK)
    setup.add(outcome)

    assert (setup.now.failed_requests, setup.now.error_rate_percent, setup.now.success_rate_percent) == (1, 50.0, 50.0)


@pytest.mark.parametrize("outcome", sorted(NEITHER))
def test_what_is_nobodys_fault_counts_in_the_total_alone(setup: Setup, outcome: Outcome) -> None:
    setup.add(Outcome.OK, 0.1)
    setup.add(Outcome.AGENT_FAILED, 0.1)
    setup.add(outcome, 50.0, times=1000)

    now = setup.now

    assert (now.total_requests, now.successful_requests, now.failed_requests) == (1002, 1, 1)
    assert (now.window_requests, now.error_rate_percent, now.success_rate_percent) == (2, 50.0, 50.0)
    assert now.p99_response_time_ms == pytest.approx(100, rel=0.01)


def test_failures_that_come_at_once_do_not_make_the_agent_look_fast(setup: Setup) -> None:
    setup.add(Outcome.OK, 2.0, times=10)
    setup.add(Outcome.MODEL_UNAVAILABLE, 0.001, times=990)

    assert setup.now.p95_response_time_ms == pytest.approx(2000, rel=0.01)
    assert setup.now.average_response_time_ms == pytest.approx(2000)


def test_the_window_forgets_and_the_counts_do_not(setup: Setup) -> None:
    setup.add(Outcome.AGENT_FAILED, 9.0)
    setup.add(Outcome.OK, 9.0)
    setup.clock.now += WINDOW_SECONDS
    setup.add(Outcome.OK, 0.1)

    within = setup.now
    setup.clock.now += SLICE_SECONDS
    after = setup.now

    assert within.window_requests == 3
    assert within.error_rate_percent == pytest.approx(100 / 3)
    assert within.p99_response_time_ms == pytest.approx(9000, rel=0.01)
    assert (after.window_requests, after.error_rate_percent) == (1, 0.0)
    assert after.p99_response_time_ms == pytest.approx(100, rel=0.01)
    assert (after.total_requests, after.failed_requests) == (3, 1)


def test_a_part_of_the_window_is_asked_for(setup: Setup) -> None:
    setup.add(Outcome.AGENT_FAILED, times=10)
    setup.clock.now += 120
    setup.add(Outcome.OK, 3.0)

    lately = setup.statistics.window(60)

    assert (lately.seconds, lately.requests, lately.failures, lately.error_rate) == (60, 1, 0, 0.0)
    assert lately.p99_seconds == pytest.approx(3, rel=0.01)
    assert setup.statistics.window(130).failures == 10


@pytest.mark.parametrize("seconds", [0.0, -1.0, 300.1])
def test_what_the_window_does_not_have_cannot_be_asked_for(setup: Setup, seconds: float) -> None:
    with pytest.raises(ValueError, match="at most 300"):
        setup.statistics.window(seconds)


EVENTS = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=70), st.sampled_from(list(Outcome)), st.floats(min_value=0.0002, max_value=600)
    ),
    max_size=60,
)


@given(EVENTS, st.floats(min_value=0, max_value=400), st.floats(min_value=1, max_value=WINDOW_SECONDS))
def test_the_window_holds_what_is_young_enough_and_nothing_else(
    events: list[tuple[float, Outcome, float]], pause: float, seconds: float
) -> None:
    window = SlidingWindow()
    now = 0.0
    seen = []
    for wait, outcome, duration in events:
        now += wait
        window.add(now, VERDICTS[outcome], duration)
        seen.append((now, outcome, duration))
    now += pause

    found = window.over(now, seconds)

    certain = [each for each in seen if each[0] > now - seconds]
    possible = [each for each in seen if each[0] >= now - seconds - SLICE_SECONDS]
    for number, counted in (
        (found.requests, set(Outcome) - NOBODYS_FAULT),
        (found.failures, set(FAILURES)),
        (found.timed, set(TIMED)),
    ):
        least, most = (sum(outcome in counted for _, outcome, _ in some) for some in (certain, possible))
        assert least <= number <= most
    if found.timed:
        longest = sorted(duration for _, outcome, duration in possible if outcome in TIMED)
        assert found.p99_seconds <= 1.01 * longest[-1]


@given(st.lists(st.sampled_from(list(Outcome)), max_size=300))
def test_every_request_is_counted_exactly_once(outcomes: list[Outcome]) -> None:
    setup = Setup()
    for outcome in outcomes:
        setup.add(outcome)

    now = setup.now

    assert now.total_requests == len(outcomes)
    assert now.successful_requests == outcomes.count(Outcome.OK)
    neither = sum(outcome in NEITHER for outcome in outcomes)
    assert now.failed_requests + now.successful_requests + neither == len(outcomes)


def test_a_million_seconds_take_no_more_memory_than_five_minutes(setup: Setup) -> None:
    for _ in range(1000):
        setup.clock.now += 1000
        setup.add(Outcome.OK)

    assert len(setup.statistics._window._slices) == SLICES == 31


def test_memory_is_what_the_process_has() -> None:
    before = psutil.Process().memory_info().rss / 1e6

    assert RequestStatistics().snapshot().memory_usage_mb == pytest.approx(before, rel=0.2)


def test_by_default_it_is_the_machines_clock_that_counts() -> None:
    statistics = RequestStatistics()
    before = time.time()
    statistics.add(Outcome.OK, 0.1)

    last = statistics.snapshot().last_request_timestamp

    assert last is not None
    assert before - 1 <= last.timestamp() <= time.time() + 1


def test_it_is_written_as_json_with_the_rate_that_is_worked_out(setup: Setup) -> None:
    setup.add(Outcome.OK)

    written = setup.now.model_dump_json()

    assert '"success_rate_percent":100.0' in written
    assert '"last_request_timestamp":"2027-01-15T' in written
