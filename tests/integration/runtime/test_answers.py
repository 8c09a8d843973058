import json
import re
from pathlib import Path

from tests.integration.runtime.model_server import ModelServer, fills_in, says
from tests.integration.runtime.process import RuntimeProcess, Start, config_of, events_of, model_labels, scripted

TICKET = {
    "type": "object",
    "properties": {"urgency": {"type": "integer", "minimum": 1, "maximum": 5}},
    "required": ["urgency"],
    "additionalProperties": False,
}


def test_a_text_is_answered_with_its_usage_revision_and_time(start: Start, model_server: ModelServer) -> None:
    model_server.will(says("Good morning"))
    runtime = start(config_of(scripted(model_server), instructions="Be kind"))

    answer = runtime.run("Hello", stream=False)

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["timing"]["total_seconds"] > 0
    (attempt,) = answer.json["attempts"]
    assert 0 < attempt["seconds"] < answer.json["timing"]["total_seconds"]
    assert {key: value for key, value in answer.json.items() if key != "timing"} == {
        "id": answer.headers["x-request-id"],
        "output": "Good morning",
        "revision": "a1b2c3d4e5",
        "usage": {"requests": 1, "input_tokens": 11, "output_tokens": 7},
        "attempts": [{"model": "vllm:scripted", "outcome": "ok", "seconds": attempt["seconds"]}],
    }
    assert [message["content"] for message in model_server.requests[0]["messages"]] == ["Be kind", "Hello"]


def test_an_object_reaches_the_model_as_json(start: Start, model_server: ModelServer) -> None:
    model_server.will(says("Noted"))
    runtime = start(config_of(scripted(model_server)))

    assert runtime.run({"subject": "Brücke", "lines": [1, 2]}).status == 200

    sent = model_server.requests[0]["messages"][-1]["content"]
    assert json.loads(sent) == {"subject": "Brücke", "lines": [1, 2]}
    assert "Brücke" in sent


def test_a_structured_answer_fits_its_schema(start: Start, model_server: ModelServer) -> None:
    model_server.will(fills_in({"urgency": 4}))
    runtime = start(config_of(scripted(model_server), output_schema=TICKET))

    assert runtime.run("The house burns").json["output"] == {"urgency": 4}


def test_a_model_that_violates_the_schema_is_asked_again(start: Start, model_server: ModelServer) -> None:
    model_server.will(fills_in({"urgency": 9}), fills_in({"urgency": 5}))
    runtime = start(config_of(scripted(model_server), output_schema=TICKET, retries=1))

    answer = runtime.run("The house burns")

    assert answer.json["output"] == {"urgency": 5}
    assert answer.json["usage"] == {"requests": 2, "input_tokens": 22, "output_tokens": 14}
    assert "$.urgency: 9 is greater than the maximum of 5" in json.dumps(model_server.requests[1]["messages"])


def test_an_answer_that_violates_the_schema_is_never_given(start: Start, model_server: ModelServer) -> None:
    model_server.will(*[fills_in({"urgency": 9})] * 6)
    runtime = start(config_of(scripted(model_server), output_schema=TICKET, retries=1))

    for stream in (False, True):
        answer = runtime.run("The house burns", stream=stream)

        assert answer.status == 502
        assert answer.json["type"] == "urn:mizzen:problem:model-misbehaved"
        assert "urgency" not in answer.body.decode()
    assert runtime.outcome("model_misbehaved") == 2
    labels = model_labels("vllm:scripted", gen_ai_token_type="input")
    assert runtime.metric(f"gen_ai_client_token_usage_sum{{{labels}}}") == 11 * len(model_server.requests)


def test_a_text_streams_in_pieces_that_make_up_the_result(start: Start, model_server: ModelServer) -> None:
    model_server.will(says("Once upon a time"))
    runtime = start(config_of(scripted(model_server)))

    answer = runtime.run("Tell me a story", stream=True)
    events = events_of(answer.body)

    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert [event.name for event in events] == ["delta"] * 4 + ["result"]
    assert "".join(event.data["text"] for event in events[:-1]) == events[-1].data["output"] == "Once upon a time "
    assert events[-1].data["usage"] == {"requests": 1, "input_tokens": 11, "output_tokens": 7}
    assert events[-1].data["id"] == answer.headers["x-request-id"]
    assert [attempt["outcome"] for attempt in events[-1].data["attempts"]] == ["ok"]


def test_a_structured_answer_streams_as_its_result_alone(start: Start, model_server: ModelServer) -> None:
    model_server.will(fills_in({"urgency": 0}), fills_in({"urgency": 1}))
    runtime = start(config_of(scripted(model_server), output_schema=TICKET))

    events = events_of(runtime.run("The tap drips", stream=True).body)

    assert [(event.name, event.data["output"]) for event in events] == [("result", {"urgency": 1})]


def test_a_key_reaches_the_provider_without_its_trailing_newline(
    start: Start, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.will(says("Hello"))
    (tmp_path / "api-key").write_bytes(b"sk-1234\n")
    key = {"name": "llm", "key": "token", "path": str(tmp_path / "api-key")}
    runtime = start(config_of(scripted(model_server, apiKey=key)))

    assert runtime.run("Hello").status == 200
    assert model_server.headers[0]["authorization"] == "Bearer sk-1234"
    assert "sk-1234" not in runtime.log_text()


def test_the_agent_describes_itself(shared_runtime: RuntimeProcess) -> None:
    card = shared_runtime.request("GET", "/v1/agent").json

    assert card["name"] == "triage"
    assert card["description"] == "Sorts tickets"
    assert card["revision"] == "a1b2c3d4e5"
    assert {variant["type"] for variant in card["input_schema"]["anyOf"]} == {"string", "object"}
    assert card["output_schema"] == {"type": "string"}


def test_a_structured_agent_describes_its_output(start: Start) -> None:
    assert start(config_of(output_schema=TICKET)).request("GET", "/v1/agent").json["output_schema"] == TICKET


def test_a_caller_may_name_its_request(shared_runtime: RuntimeProcess) -> None:
    answer = shared_runtime.post(b'{"input": "Hello"}', x_request_id="order-17/a")

    assert answer.headers["x-request-id"] == answer.json["id"] == "order-17/a"


def test_a_request_id_that_could_forge_a_log_is_replaced(shared_runtime: RuntimeProcess) -> None:
    for forged in ('a" level="error', "x" * 129, "\t"):
        answer = shared_runtime.post(b'{"input": "Hello"}', x_request_id=forged)
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_a_stream_of_the_test_model_ends_with_its_result(shared_runtime: RuntimeProcess) -> None:
    events = events_of(shared_runtime.run("Hello", stream=True).body)

    assert events[-1].name == "result"
    assert "".join(event.data["text"] for event in events[:-1]) == events[-1].data["output"]
