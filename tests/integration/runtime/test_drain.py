import asyncio
import contextlib
import errno
import http.client
import json
import os
import signal
import socket
import textwrap
import threading
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mizzen_api.timing import SERVICES_CLOSE_SECONDS
from mizzen_runtime.agent.in_force import MODEL_CLOSE_SECONDS
from mizzen_runtime.http import server
from mizzen_runtime.http.asgi import CLOSE, Receive, Scope, Send, respond
from mizzen_runtime.http.server import HttpServer, bind
from mizzen_runtime.leaving import EXIT_SECONDS
from tests.integration.runtime import model_server as model
from tests.integration.runtime.model_server import ModelServer
from tests.integration.runtime.process import RuntimeProcess, Start, config_of, events_of, read_all, scripted, until


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


def test_a_draining_runtime_is_ready_until_another_had_time_to_take_over(start: Start) -> None:
    runtime = start(config_of(), "--handover", "30")
    runtime.wait_logged("serving")

    runtime.terminate()
    runtime.wait_logged("draining")

    assert runtime.manage("/readyz").status == 200
    assert runtime.run("Hello").headers["connection"] == "close"


def test_after_the_handover_it_is_unready_and_still_answers(start: Start) -> None:
    runtime = start(config_of(), "--propagation-delay", "30")
    connection = http.client.HTTPConnection("127.0.0.1", runtime.port, timeout=30)
    connection.request("GET", "/v1/agent")
    kept_open = connection.getresponse()
    assert kept_open.getheader("connection") is None
    kept_open.read()

    runtime.terminate()
    runtime.wait_logged("draining")

    until(lambda: runtime.manage("/readyz").status == 503, "it is unready")
    assert runtime.manage("/readyz?verbose").body == b"[+]wired ok\n[-]not-leaving failed\nnot ok: not-leaving\n"
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


class Frozen:
    """The process stands still, as on a node whose cores are all taken, until a time has passed for it."""

    def __init__(self, runtime: RuntimeProcess, seconds: float) -> None:
        self._runtime = runtime
        self._seconds = seconds

    def __enter__(self) -> None:
        self._runtime.process.send_signal(signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        time.sleep(self._seconds)  # what passes for the process while it stands still is the subject
        self._runtime.process.send_signal(signal.SIGCONT)


def kept_open(runtime: RuntimeProcess) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", runtime.port, timeout=30)
    connection.request("GET", "/v1/agent")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("connection")) == (200, None)
    answer.read()
    return connection


def last_answer(connection: http.client.HTTPConnection) -> tuple[int, str | None]:
    with contextlib.closing(connection):
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("connection")


def test_what_has_come_when_no_more_is_accepted_is_answered(start: Start) -> None:
    runtime = start(config_of(), "--propagation-delay", "1")
    old = kept_open(runtime)
    runtime.terminate()
    runtime.wait_logged("draining")
    with Frozen(runtime, seconds=1.5):
        new = http.client.HTTPConnection("127.0.0.1", runtime.port, timeout=30)
        for connection in (old, new):
            connection.request("POST", "/v1/run", b'{"input": "Hello"}')
    assert [last_answer(connection) for connection in (old, new)] == [(200, "close")] * 2
    assert runtime.exit_code() == 0


def test_a_connection_that_nobody_used_is_answered_for_a_moment_longer(start: Start) -> None:
    runtime = start(config_of())
    first, second = kept_open(runtime), kept_open(runtime)
    runtime.terminate()
    until(lambda: _refuses(runtime.port), "no new connections are accepted")
    first.request("POST", "/v1/run", b'{"input": "Hello"}')
    assert last_answer(first) == (200, "close")
    with Frozen(runtime, seconds=2):
        second.request("POST", "/v1/run", b'{"input": "Hello"}')
    assert last_answer(second) == (200, "close")
    assert runtime.exit_code() == 0


def test_a_stream_says_at_its_head_that_its_connection_is_closed_behind_it(start: Start) -> None:
    runtime = start(config_of())
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", runtime.port, timeout=30)) as connection:
        for body, wish in ((b'{"input": "Hello"}', None), (b'{"input": "Hello", "stream": true}', "close")):
            connection.request("POST", "/v1/run", body)
            answer = connection.getresponse()
            assert answer.getheader("connection") == wish
            answer.read()


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


async def hello(_scope: Scope, _receive: Receive, send: Send) -> None:
    await respond(send, 200, b"hello", b"text/plain", [CLOSE])


@pytest.mark.anyio
async def test_whoever_has_a_connection_when_no_more_are_accepted_is_answered() -> None:
    serving = HttpServer(hello, bind("127.0.0.1", 0), drain_grace=30, last_call=0.5)
    port = serving.port
    await serving.start()
    stopping = asyncio.create_task(serving.stop())
    clients: list[socket.socket] = []
    with contextlib.suppress(ConnectionRefusedError):
        while True:  # at each turn of the loop one more waits at the door, also at the turn in which it is closed
            clients.append(socket.create_connection(("127.0.0.1", port), timeout=30))
            clients[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(0)
    answers = [await asyncio.to_thread(client.recv, 12) for client in clients]
    assert set(answers) == {b"HTTP/1.1 200"}
    await stopping
    for client in clients:
        client.close()


class _FailingQueue(socket.socket):
    """A listening socket whose connections cannot be taken in at its end."""

    failures: ClassVar[list[OSError]] = []

    def dup(self) -> "_FailingQueue":
        return _FailingQueue(fileno=os.dup(self.fileno()))

    def accept(self) -> tuple[socket.socket, Any]:
        if self.failures:
            raise self.failures.pop()
        return super().accept()


@pytest.mark.anyio
@pytest.mark.parametrize("code", [errno.EMFILE, errno.ECONNABORTED, errno.ENETDOWN])
async def test_a_connection_that_cannot_be_taken_in_cuts_off_no_request(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        arrived.set()
        await release.wait()
        await hello(scope, receive, send)

    monkeypatch.setattr(_FailingQueue, "failures", [OSError(code, "it cannot be taken in")])
    listening = bind("127.0.0.1", 0)
    serving = HttpServer(slow, _FailingQueue(fileno=listening.detach()), drain_grace=30)
    await serving.start()
    client = socket.create_connection(("127.0.0.1", serving.port), timeout=30)
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await arrived.wait()

    stopping = asyncio.create_task(serving.stop())
    await asyncio.sleep(0.3)
    release.set()

    assert await asyncio.to_thread(client.recv, 12) == b"HTTP/1.1 200"
    await stopping
    client.close()


@pytest.mark.anyio
async def test_a_request_that_goes_on_for_nobody_is_cancelled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "_CUT_OFF_SECONDS", 0.2)
    arrived, cancelled = asyncio.Event(), asyncio.Event()

    async def forever(_scope: Scope, _receive: Receive, _send: Send) -> None:
        arrived.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    serving = HttpServer(forever, bind("127.0.0.1", 0), drain_grace=0.2)
    await serving.start()
    with socket.create_connection(("127.0.0.1", serving.port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await arrived.wait()
        await serving.stop()

    await asyncio.wait_for(cancelled.wait(), 30)
    assert "requests do not end without their clients, and are cancelled" in caplog.messages


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


def test_services_that_never_close_hold_up_no_end(start: Start, tmp_path: Path) -> None:
    (tmp_path / "sticky.py").write_text(
        textwrap.dedent("""
            import asyncio

            class Sticky:
                async def close(self) -> None:
                    while True:
                        try:
                            await asyncio.sleep(3600)
                        except asyncio.CancelledError:
                            pass
        """)
    )
    sticky = {"interface": "sticky:Sticky", "implementation": "sticky:Sticky"}
    services = [{"name": name, **sticky} for name in ("one", "two", "three")]
    runtime = start({**config_of(), "services": services}, PYTHONPATH=str(tmp_path))
    until(lambda: runtime.manage("/readyz").status == 200, "it is ready", 60)

    runtime.terminate()
    runtime.wait_logged("drained")
    drained = time.monotonic()

    assert runtime.exit_code() == 0
    assert time.monotonic() - drained < SERVICES_CLOSE_SECONDS + MODEL_CLOSE_SECONDS + EXIT_SECONDS + 5
    assert runtime.wait_logged("services did not close in time")
