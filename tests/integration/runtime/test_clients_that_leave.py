import contextlib
import json
import socket

from tests.integration.runtime import model_server as model
from tests.integration.runtime.model_server import ModelServer
from tests.integration.runtime.process import RuntimeProcess, Start, config_of, limited, read_all, scripted, until


def assert_cancelled(runtime: RuntimeProcess, model_server: ModelServer) -> None:
    assert model_server.abandoned.wait(10), "the model goes on for nobody"
    until(lambda: runtime.outcome("cancelled") == 1, "the request is counted as cancelled")
    assert runtime.metric("mizzen_requests_in_flight") == 0
    assert sum(runtime.outcome(name) for name in ("ok", "model_unavailable", "agent_failed")) == 0
    assert runtime.wait_logged("the client left before its answer")["request_id"]
    assert [line for line in runtime.log() if line["level"] == "error"] == []


def test_a_client_that_leaves_ends_its_run(start: Start, model_server: ModelServer) -> None:
    model_server.will(model.hangs, model.says("Hello"))
    runtime = start(config_of(scripted(model_server)))

    connection = runtime.open_run({"input": "Hello"})
    until(lambda: model_server.requests, "the model is asked")
    assert runtime.metric("mizzen_requests_in_flight") == 1
    connection.close()

    assert_cancelled(runtime, model_server)
    assert runtime.run("Hello").status == 200


def test_a_client_that_leaves_a_stream_ends_its_run(start: Start, model_server: ModelServer) -> None:
    model_server.will(model.hangs_after_first_word)
    runtime = start(config_of(scripted(model_server)))

    connection = runtime.open_run({"input": "Hello", "stream": True})
    received = b""
    while b"Once" not in received:
        received += connection.recv(4096)
    connection.close()

    assert_cancelled(runtime, model_server)


def test_a_client_that_leaves_while_it_sends_is_counted_and_forgotten(start: Start) -> None:
    runtime = start(config_of())
    connection = runtime.open_run({"input": "Hello"})
    connection.close()
    other = runtime.open_run({"input": "Hello"})
    other.close()

    until(lambda: sum(map(runtime.outcome, ("ok", "cancelled"))) == 2, "both requests are counted")
    assert runtime.metric("mizzen_requests_in_flight") == 0


def test_a_client_that_leaves_in_the_middle_of_its_body_is_counted_as_cancelled(start: Start) -> None:
    runtime = start(config_of())
    connection = runtime.open_half_run()
    until(lambda: runtime.metric("mizzen_requests_in_flight") == 1, "the request is in flight while it is read")
    connection.close()

    until(lambda: runtime.outcome("cancelled") == 1, "the request is counted as cancelled")
    assert runtime.metric("mizzen_requests_in_flight") == 0
    assert runtime.outcome("invalid_input") == 0
    assert runtime.wait_logged("the client left before its answer")["request_id"]


def test_a_body_that_does_not_come_is_not_waited_for(start: Start) -> None:
    runtime = start(limited(config_of(), requestTimeoutSeconds=0.5))

    answer = read_all(runtime.open_half_run())

    assert json.loads(answer)["type"] == "urn:mizzen:problem:request-timeout"
    assert json.loads(answer)["detail"] == "the body was not complete after 0.5 seconds"
    assert runtime.outcome("deadline_exceeded") == 1
    assert runtime.metric("mizzen_requests_in_flight") == 0


def test_a_client_that_does_not_read_is_cut_off(start: Start, model_server: ModelServer) -> None:
    model_server.will(model.floods)
    # Long enough for the buffers on the way to fill first, also on a busy machine.
    runtime = start(limited(config_of(scripted(model_server)), requestTimeoutSeconds=8))

    runtime.wait_logged("serving")
    before = runtime.metric("process_open_fds")

    with runtime.open_run({"input": "Hello", "stream": True}) as connection:
        runtime.wait_logged("the client read too slowly, its connection is closed")
        until(lambda: runtime.outcome("cancelled") == 1, "the request is counted as cancelled")
        until(lambda: runtime.metric("process_open_fds") <= before, "the connection is gone, unread as it is")
        assert ends(connection)

    assert runtime.metric("mizzen_requests_in_flight") == 0
    assert [line for line in runtime.log() if line["level"] == "error"] == []


def ends(connection: socket.socket) -> bool:
    """Read what is on the way; whether the other side ended it, rather than went on or fell silent."""
    with contextlib.suppress(ConnectionResetError):  # one of the two ways in which the other side ends it
        while connection.recv(1 << 20):
            pass
    return True


def test_a_client_that_does_not_read_keeps_nobody_from_leaving(start: Start, model_server: ModelServer) -> None:
    model_server.will(model.floods)
    runtime = start(limited(config_of(scripted(model_server)), requestTimeoutSeconds=5))
    with runtime.open_run({"input": "Hello", "stream": True}) as connection:
        until(lambda: model_server.requests, "the model is asked")
        runtime.terminate()
        runtime.wait_logged("draining")
        drained = runtime.wait_logged("drained")
        assert runtime.exit_code() == 0
        assert ends(connection)

    # The delay, the request's time and the second for its answer: those of a pod, but for their length. The client
    # would not read for ever; the rest is for a busy machine.
    assert drained["seconds"] < 0.2 + 5 + 1 + 10
    assert runtime.wait_logged("connections are cut off at the end of the drain")["connections"] == 1
    assert [line for line in runtime.log() if line["level"] == "error"] == []
