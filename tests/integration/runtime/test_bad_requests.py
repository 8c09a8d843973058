"""What a caller can send wrongly, and what it is told."""

import json
import socket

import pytest

from tests.integration.runtime.process import Answer, RuntimeProcess


def problem_of(answer: Answer) -> dict[str, object]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, object] = answer.json
    assert problem["status"] == answer.status
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


@pytest.mark.parametrize("body", [b"", b"{", b"hello", b'{"input": "\xff"}', b'{"input": "a"} x', b'{"input": NaN}'])
def test_a_body_that_is_no_json_is_told_so(shared_runtime: RuntimeProcess, body: bytes) -> None:
    answer = shared_runtime.post(body)

    assert answer.status == 400
    assert problem_of(answer)["type"] == "urn:mizzen:problem:not-json"
    assert problem_of(answer)["detail"] == 'the body is no JSON; send an object such as {"input": "Hello"}'


def test_deep_nesting_is_refused_and_harms_nobody(shared_runtime: RuntimeProcess) -> None:
    deep = b'{"input": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}"

    assert shared_runtime.post(deep).status == 400
    assert shared_runtime.run("Hello").status == 200


def test_wrong_and_unknown_fields_are_told_all_at_once(shared_runtime: RuntimeProcess) -> None:
    answer = shared_runtime.post(b'{"input": 5, "stream": "yes", "conversation_id": "c1", "metadata": {}}')

    assert answer.status == 422
    assert problem_of(answer)["errors"] == [
        {
            "field": "input",
            "message": "must be a text or a JSON object (it is 5)",
            "remedy": "correct the value",
        },
        {
            "field": "stream",
            "message": "input should be a valid boolean (it is 'yes')",
            "remedy": "correct the value",
        },
        {"field": "conversation_id", "message": "unknown field", "remedy": "remove it, or correct its spelling"},
        {"field": "metadata", "message": "unknown field", "remedy": "remove it, or correct its spelling"},
    ]


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (b"{}", "input", "field required"),
        (b'["a"]', "body", "must be a JSON object"),
        (b'{"input": ""}', "input", "is empty (it is '')"),
        (b'{"input": "  "}', "input", "is empty (it is '  ')"),
        (b'{"input": {}}', "input", "is empty"),
        (b'{"input": null}', "input", "must be a text or a JSON object"),
    ],
)
def test_a_missing_or_empty_input_is_told(
    shared_runtime: RuntimeProcess, body: bytes, field: str, message: str
) -> None:
    answer = shared_runtime.post(body)

    assert answer.status == 422
    errors = problem_of(answer)["errors"]
    assert isinstance(errors, list)
    assert [(error["field"], error["message"]) for error in errors] == [(field, message)]


def test_a_body_that_is_too_large_by_its_header_is_refused_unread(shared_runtime: RuntimeProcess) -> None:
    answer = shared_runtime.post(json.dumps({"input": "x" * 3000}).encode())

    assert answer.status == 413
    assert problem_of(answer)["detail"] == "a body may have 2000 bytes"
    assert answer.headers["connection"] == "close"


def test_a_body_that_grows_too_large_is_refused_while_it_arrives(shared_runtime: RuntimeProcess) -> None:
    with socket.create_connection(("127.0.0.1", shared_runtime.port), timeout=30) as connection:
        connection.sendall(b"POST /v1/run HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        connection.sendall(b"5dc\r\n" + b"x" * 1500 + b"\r\n")
        connection.sendall(b"5dc\r\n" + b"x" * 1500 + b"\r\n")  # no end: the answer must not wait for one
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_of_many_unknown_fields_the_first_are_named_and_the_others_counted(shared_runtime: RuntimeProcess) -> None:
    body = {"input": 5, "y" * 300: 1, **{f"x{i}": 1 for i in range(50)}}

    errors = problem_of(shared_runtime.post(json.dumps(body).encode()))["errors"]

    assert isinstance(errors, list)
    assert [error["field"] for error in errors[:3]] == ["input", "y" * 99 + "…", "x0"]
    assert [error["message"] for error in errors[-2:]] == ["unknown field", "41 more unknown fields"]
    assert len(errors) == 12


@pytest.mark.parametrize("number", [b"1e400", b"-1e400"])
def test_a_number_that_no_computer_can_hold_is_refused(shared_runtime: RuntimeProcess, number: bytes) -> None:
    answer = shared_runtime.post(b'{"input": {"a": [%b]}}' % number)

    assert answer.status == 422
    assert answer.json["errors"][0]["message"] == "holds a number that is too large"


def test_a_wrong_value_is_told_by_its_first_characters(shared_runtime: RuntimeProcess) -> None:
    answer = shared_runtime.post(json.dumps({"input": "a", "stream": "x" * 1500}).encode())

    assert f"(it is '{'x' * 99}…')" in answer.body.decode()
    assert len(answer.body) < 500


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
def test_another_content_type_is_refused(shared_runtime: RuntimeProcess, content_type: str) -> None:
    answer = shared_runtime.post(b'{"input": "Hello"}', content_type=content_type)

    assert answer.status == 415
    assert problem_of(answer)["detail"] == "send the body as content-type: application/json"
    assert answer.headers["connection"] == "close"


def test_json_with_a_charset_is_taken(shared_runtime: RuntimeProcess) -> None:
    assert shared_runtime.post(b'{"input": "Hello"}', content_type="Application/JSON; charset=utf-8").status == 200


def test_an_unknown_path_is_told_what_there_is(shared_runtime: RuntimeProcess) -> None:
    answer = shared_runtime.request("GET", "/v1/chat")

    assert answer.status == 404
    assert (
        problem_of(answer)["detail"]
        == "this port serves POST /v1/run, POST /v1/batch, GET /v1/agent, GET /v1/health and GET /v1/metrics"
    )


def test_a_wrong_method_is_told_the_right_one(shared_runtime: RuntimeProcess) -> None:
    answer = shared_runtime.request("GET", "/v1/run")

    assert answer.status == 405
    assert answer.headers["allow"] == "POST"
    assert problem_of(answer)["detail"] == "the path serves POST"


def test_what_is_no_http_is_told_so(shared_runtime: RuntimeProcess) -> None:
    with socket.create_connection(("127.0.0.1", shared_runtime.port), timeout=30) as connection:
        connection.sendall(b"HELO model\r\n\r\n")
        answer = connection.recv(4096)

    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"] == "this is no valid HTTP request"


def test_a_refused_request_is_counted_once(shared_runtime: RuntimeProcess) -> None:
    before = shared_runtime.outcome("invalid_input")

    shared_runtime.post(b"{")
    shared_runtime.post(b"{}")
    shared_runtime.post(b'{"input": "a"}', content_type="text/plain")
    shared_runtime.request("GET", "/v1/nothing")

    assert shared_runtime.outcome("invalid_input") == before + 3
