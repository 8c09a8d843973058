"""What clients may do with a connection besides sending one request and reading its answer."""

import http.client
import json
import socket

import pytest

from tests.integration.runtime import model_server as model
from tests.integration.runtime.model_server import ModelServer
from tests.integration.runtime.process import (
    RuntimeProcess,
    Start,
    config_of,
    events_of,
    read_all,
    scripted,
    until,
)

BODY = b'{"input": "Hello"}'


def post(*headers: str, body: bytes = BODY) -> bytes:
    lines = ["POST /v1/run HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def talk(runtime: RuntimeProcess, *pieces: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", runtime.port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in pieces:
        connection.sendall(piece)
    return connection


def all_of(connection: socket.socket) -> bytes:
    received = b""
    while piece := connection.recv(65536):
        received += piece
    connection.close()
    return received


def errors_of(runtime: RuntimeProcess) -> list[object]:
    """Give what the runtime complains of, but for a machine that stood still a while."""
    complaints = [line for line in runtime.log() if line["level"] in {"warning", "error"}]
    return [line for line in complaints if line["logger"] != "mizzen.loop"]


H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")


@pytest.mark.parametrize("offer", [H2C, ("Upgrade: websocket", "Connection: keep-alive, Upgrade")])
def test_an_offer_of_another_protocol_is_answered_over_this_one(
    shared_runtime: RuntimeProcess, offer: tuple[str, ...]
) -> None:
    with talk(shared_runtime) as connection:
        for _ in range(2):
            connection.sendall(post(*offer))
            with http.client.HTTPResponse(connection) as response:
                response.begin()
                assert (response.status, response.getheader("connection")) == (200, None)
                assert json.loads(response.read())["output"]


def test_an_offer_in_small_pieces_with_a_chunked_body_is_answered(shared_runtime: RuntimeProcess) -> None:
    head = "\r\n".join(["POST /v1/run HTTP/1.1", "Host: x", *H2C, "Transfer-Encoding: chunked", "", ""]).encode()
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    request = head + chunked

    answer = read_all(talk(shared_runtime, *(request[at : at + 7] for at in range(0, len(request), 7))))

    assert json.loads(answer)["output"]


def test_an_offer_with_a_wish_to_close_is_answered_and_closed(shared_runtime: RuntimeProcess) -> None:
    received = all_of(talk(shared_runtime, post("Connection: close, Upgrade", "Upgrade: h2c")))

    assert received.startswith(b"HTTP/1.1 200 ")


def test_a_tunnel_is_refused(shared_runtime: RuntimeProcess) -> None:
    received = all_of(talk(shared_runtime, b"CONNECT model:443 HTTP/1.1\r\nHost: model:443\r\n\r\n"))

    assert received.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("behind", [b"rubbish \x00\r\n\r\n", post(*H2C), post()])
def test_what_comes_behind_a_request_harms_not_its_answer(
    start: Start, model_server: ModelServer, behind: bytes
) -> None:
    model_server.will(model.after_release(model.says("Done")))
    runtime = start(config_of(scripted(model_server)))
    connection = talk(runtime, post() + behind)
    until(lambda: model_server.requests, "the model is asked")
    connection.sendall(behind)
    model_server.release.set()

    head, _, body = all_of(connection).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in head
    assert json.loads(body)["output"] == "Done"
    assert errors_of(runtime) == []
    assert len(model_server.requests) == 1


def test_rubbish_behind_a_streamed_request_gets_not_into_its_events(start: Start, model_server: ModelServer) -> None:
    model_server.will(model.pauses_after_first_word("Once upon a time"))
    runtime = start(config_of(scripted(model_server)))
    connection = runtime.open_run({"input": "Hello", "stream": True})
    received = connection.recv(4096, socket.MSG_PEEK)
    assert received.startswith(b"HTTP/1.1 200 ")
    connection.sendall(b"rubbish \x00\r\n\r\n")
    runtime.manage("/livez")
    model_server.release.set()

    assert events_of(read_all(connection))[-1].data["output"] == "Once upon a time"


def test_a_broken_body_is_told_at_once(shared_runtime: RuntimeProcess) -> None:
    head = b"POST /v1/run HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    received = all_of(talk(shared_runtime, head + b'5\r\n{"inp\r\n', b"rubbish\r\n"))

    assert received.count(b"HTTP/1.1 400 ") == received.count(b"HTTP/1.1 ") == 1


def test_a_client_that_pipelines_and_leaves_ends_its_run(start: Start, model_server: ModelServer) -> None:
    model_server.will(model.hangs)
    runtime = start(config_of(scripted(model_server)))
    connection = talk(runtime, post() + post())
    until(lambda: model_server.requests, "the model is asked")

    connection.close()

    assert model_server.abandoned.wait(10), "the model goes on for nobody"
    until(lambda: runtime.outcome("cancelled") == 1, "the request is counted as cancelled")
    assert runtime.metric("mizzen_requests_in_flight") == 0
    assert errors_of(runtime) == []


def test_a_trailing_slash_leads_nowhere(shared_runtime: RuntimeProcess) -> None:
    answer = shared_runtime.request("POST", "/v1/run/", BODY, Host="evil.example")

    assert (answer.status, answer.headers.get("location")) == (404, None)
    assert (
        answer.json["detail"]
        == "this port serves POST /v1/run, POST /v1/batch, GET /v1/agent, GET /v1/health and GET /v1/metrics"
    )
