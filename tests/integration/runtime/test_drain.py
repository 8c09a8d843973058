import http.client
import json
import socket
import threading
import time

from tests.integration.runtime import model_server as model
from tests.integration.runtime.model_server import ModelServer
from tests.integration.runtime.process import Start, config_of, events_of, read_all, scripted, until


def test_running_and_streaming_requests_end_in_peace(start: Start, model_server: ModelServer) -> None:
    model_server.will(model.after_release(model.says("Done")), model.pauses_after_first_word("Once upon a time"))
    runtime = start(config_of(scripted(model_server)))
    running = runtime.open_run({"input": "Hello"})
    until(lambda: len(model_server.requests) == 1, "the first request runs")
    streaming = runtime.open_run({"input": "Hello", "stream": True})
    until(lambda: len(model_server.requests) == 2, "the second request runs")

    runtime.terminate()
    runtime.wait_logged("draining")
    until(lambda: _refuses(runtime.port), "no new connections are accepted")
    assert runtime.manage("/livez").status == 200
    model_server.release.set()

    assert json.loads(read_all(running))["output"] == "Done"
    assert events_of(read_all(streaming))[-1].data["output"] == "Once upon a time"
    assert runtime.exit_code() == 0
    assert runtime.wait_logged("drained")


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_a_draining_runtime_is_unready_at_once_and_still_answers(start: Start) -> None:
    runtime = start(config_of(), "--propagation-delay", "30")
    connection = http.client.HTTPConnection("127.0.0.1", runtime.port, timeout=30)
    connection.request("GET", "/v1/agent")
    kept_open = connection.getresponse()
    assert kept_open.getheader("connection") is None
    kept_open.read()

    runtime.terminate()
    runtime.wait_logged("draining")

    assert runtime.manage("/readyz").status == 503
    assert runtime.manage("/readyz?verbose").body == b"[+]wired ok\n[-]not-draining failed\nnot ok: not-draining\n"
    assert runtime.manage("/livez").status == runtime.manage("/startupz").status == 200
    assert runtime.manage("/state").json["phase"] == "Draining"
    connection.request("POST", "/v1/run", b'{"input": "Hello"}', {"content-type": "application/json"})
    last = connection.getresponse()
    assert (last.status, last.getheader("connection")) == (200, "close")
    connection.close()


def test_no_request_is_lost_between_sigterm_and_exit(start: Start) -> None:
    runtime = start(config_of(), "--propagation-delay", "1")
    port = runtime.port
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            statuses.append(runtime.request("POST", "/v1/run", b'{"input": "Hello"}', port=port).status)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    runtime.terminate()
    signalled = time.monotonic()
    runtime.wait_logged("draining")
    stop.set()  # as endpoints do within the propagation delay
    for client in clients:
        client.join()

    assert time.monotonic() - signalled < 1, "the clients stopped too late to show anything"
    assert set(statuses) == {200}
    assert runtime.exit_code() == 0


def test_a_body_that_does_not_come_holds_the_drain_no_longer_than_a_request_may_take(start: Start) -> None:
    runtime = start(config_of(), "--request-timeout", "3")
    half_sent = runtime.open_half_run()
    until(lambda: runtime.metric("mizzen_requests_in_flight") == 1, "the request is in flight")

    runtime.terminate()

    assert json.loads(read_all(half_sent))["status"] == 408
    assert runtime.exit_code() == 0
    assert float(runtime.wait_logged("drained")["seconds"]) < 3 + 2, "the grace of 8 seconds was not used up"


def test_sigterm_during_the_start_ends_it(start: Start) -> None:
    runtime = start(config_of())
    runtime.wait_logged("starting")

    runtime.terminate()

    assert runtime.exit_code() == 0
    assert "serving" not in [line["message"] for line in runtime.log()]
