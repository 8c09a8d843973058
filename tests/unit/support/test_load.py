"""The load client notices whatever can be wrong with one request in a thousand, and asks nothing twice."""

import socket

import pytest

from tests.support.load import Ending, Load, figures
from tests.support.waiting import wait_for
from tests.unit.support import faulty_agent as faulty
from tests.unit.support.faulty_agent import Fault, FaultyAgent

REQUESTS = 2000


def ask_until(load: Load, requests: int) -> None:
    wait_for(lambda: len(load.asked) >= requests, f"{requests} requests")


@pytest.mark.parametrize("pooled", [True, False], ids=["pooled", "new connections"])
def test_one_request_in_a_thousand_that_is_dropped_is_noticed(pooled: bool) -> None:
    with FaultyAgent(faulty.drops, every=1000) as server:
        with Load(server.url, workers=8, pooled=pooled, ramp=0) as load:
            ask_until(load, REQUESTS)
        assert server.faults == REQUESTS // 1000
        assert [one.ending for one in load.lost()] == [Ending.RESET] * server.faults
        assert len(load.asked) == server.received, "a request was sent twice"


@pytest.mark.parametrize(
    ("fault", "ending", "stream_every"),
    [
        (faulty.cuts_the_body, Ending.CUT, 5),
        (faulty.cuts_the_stream, Ending.CUT, 1),
        (faulty.leaves_the_result_out, Ending.CUT, 1),
        (faulty.loses_a_piece, Ending.WRONG, 1),
        (faulty.answers_another, Ending.WRONG, 5),
        (faulty.says_no, Ending.REJECTED, 5),
        (faulty.hangs, Ending.SLOW, 5),
    ],
)
def test_each_way_to_fail_one_request_in_a_hundred_is_told_apart(
    fault: Fault, ending: Ending, stream_every: int
) -> None:
    with FaultyAgent(fault, every=100) as server:
        with Load(server.url, workers=8, pooled=True, stream_every=stream_every, limit=2, ramp=0) as load:
            ask_until(load, 300)
        assert server.faults >= 3
        assert [one.ending for one in load.lost()] == [ending] * server.faults
        assert len(load.asked) == server.received


def test_a_connection_that_is_closed_behind_an_answer_without_a_word_costs_a_request() -> None:
    with FaultyAgent(faulty.closes_unannounced, every=20) as server:
        with Load(server.url, workers=8, pooled=True, ramp=0) as load:
            ask_until(load, 400)
        assert {one.ending for one in load.lost()} == {Ending.RESET}
        assert 0 < len(load.lost()) <= server.faults


def test_a_port_that_nobody_listens_on_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Load(f"http://127.0.0.1:{port}/v1/run", workers=2, pooled=False, ramp=0) as load:
        ask_until(load, 2)
    assert {one.ending for one in load.asked} == {Ending.REFUSED}


def test_a_fifth_is_streamed_and_connections_are_used_again_or_not() -> None:
    with FaultyAgent(faulty.drops, every=10**9) as server:
        for pooled in (True, False):
            with Load(server.url, workers=5, pooled=pooled, ramp=0) as load:
                ask_until(load, 100)
            summed = figures(load.asked)
            assert summed.endings == {Ending.OK: len(load.asked)}
            assert 0.1 < summed.streamed / len(load.asked) < 0.3
            assert load.connections == (5 if pooled else len(load.asked))


def test_workers_with_a_period_ask_at_their_time_whatever_an_answer_takes() -> None:
    with FaultyAgent(faulty.drops, every=10**9) as server:
        with Load(server.url, workers=10, pooled=False, period=0.5, ramp=0.5) as load:
            ask_until(load, 40)
        times = sorted(one.begun for one in load.asked)
        assert times[39] - times[0] == pytest.approx(39 / 20, abs=0.5)
