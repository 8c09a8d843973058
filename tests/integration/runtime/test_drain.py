import contextlib
import http.client
import json
import os
import socket
import threading
from http import HTTPStatus
from pathlib import Path

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


class Client(threading.Thread):
    """Asks over one connection for as long as it is kept open, then over new ones until it is sent elsewhere."""

    def __init__(self, port: int, sent_elsewhere: threading.Event) -> None:
        super().__init__()
        self._port = port
        self._sent_elsewhere = sent_elsewhere
        self.sent = 0
        self.answered = 0
        self.connections = 0

    def run(self) -> None:
        while not self._sent_elsewhere.is_set():
            self.connections += 1
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
                while self._ask(connection):
                    pass

    def _ask(self, connection: http.client.HTTPConnection) -> bool:
        self.sent += 1
        connection.request("POST", "/v1/run", b'{"input": "Hello"}')
        response = connection.getresponse()
        self.answered += response.status == HTTPStatus.OK and "output" in json.loads(response.read())
        return response.getheader("connection") != "close"


def test_no_request_is_lost_between_sigterm_and_exit(start: Start) -> None:
    runtime = start(config_of(), "--propagation-delay", "4")
    sent_elsewhere = threading.Event()
    clients = [Client(runtime.port, sent_elsewhere) for _ in range(4)]
    for client in clients:
        client.start()
    until(lambda: all(client.answered for client in clients), "every client is served")
    assert {client.connections for client in clients} == {1}

    runtime.terminate()
    until(lambda: all(client.connections > 3 for client in clients), "every client was told to close, and came again")
    sent_elsewhere.set()
    for client in clients:
        client.join()
    assert "drained" not in [line["message"] for line in runtime.log()], "it was too late to show anything"

    assert [client.answered for client in clients] == [client.sent for client in clients]
    assert runtime.exit_code() == 0
    runtime.wait_logged("drained")


def test_sigterm_during_the_imports_ends_the_start(start: Start, tmp_path: Path) -> None:
    # Sent by the first library that is imported, as it could come from outside at that moment.
    (tmp_path / "uvloop.py").write_text(
        "import os, signal, sys\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.path.remove(os.path.dirname(__file__))\n"
        "del sys.modules['uvloop']\n"
        "import uvloop\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    runtime = start(config_of(), PYTHONPATH=path)

    assert runtime.exit_code() == 0
    assert runtime.log_text() == ""


def test_sigterm_during_the_start_ends_it(start: Start) -> None:
    runtime = start(config_of())
    runtime.wait_logged("starting")

    runtime.terminate()

    assert runtime.exit_code() == 0
    assert "serving" not in [line["message"] for line in runtime.log()]
