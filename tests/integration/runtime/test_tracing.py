"""Traces: whose they are, how they hang together, what is in them, and that a collector in trouble is nobody's."""

import json
import os
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.runtime.collector import Collector
from tests.integration.runtime.model_server import ModelServer, calls, says
from tests.integration.runtime.process import Json, RuntimeProcess, Start, config_of, scripted, until

CANARY = "canary-7f3a9"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
OWN = f"""
    import logging
    from opentelemetry import trace
    from pydantic_ai import Agent

    agent = Agent(instructions="{CANARY} of the instructions")

    @agent.tool_plain
    async def find(name: str) -> str:
        logging.getLogger(__name__).info("looking it up")
        with trace.get_tracer("acme").start_as_current_span("acme lookup"):
            return f"{CANARY} of the tool for {{name}}"

    @agent.tool_plain
    async def fail() -> str:
        raise ValueError("{CANARY} of the failure")
"""


Environment = dict[str, str]


@pytest.fixture
def own_code(tmp_path: Path) -> Environment:
    """Write a module `acme`, and give the environment in which it can be imported."""
    return importable(tmp_path / "code", "acme.py", textwrap.dedent(OWN))


def importable(folder: Path, name: str, code: str) -> Environment:
    file = folder / name
    file.parent.mkdir(parents=True)
    file.write_text(code)
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}


def own(server: ModelServer, collector: Collector) -> Json:
    """Give the configuration of the agent in that module."""
    config = config_of(scripted(server)) | {"entrypoint": "acme:agent", "tracing": tracing(collector)}
    return {key: value for key, value in config.items() if key != "agent"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    yield server
    server.close()


def tracing(collector: Collector, ratio: float = 1.0, *, content: bool = False) -> Json:
    return {"endpoint": collector.endpoint, "samplingRatio": ratio, "includeContent": content}


def ask(runtime: RuntimeProcess, *, flags: str = "01", stream: bool = False) -> str:
    """Ask as a caller who is in a trace, and give the request's id."""
    body = json.dumps({"input": f"{CANARY} of the caller", "stream": stream}).encode()
    return runtime.post(body, traceparent=f"00-{TRACE}-{CALLER}-{flags}").headers["x-request-id"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_request_is_traced_from_its_caller_to_its_model_without_its_content(
    start: Start, own_code: Environment, model_server: ModelServer, collector: Collector, stream: bool
) -> None:
    runtime = start(own(model_server, collector), **own_code, **SOON)
    model_server.will(calls("find", {"name": f"{CANARY} of the call"}), says(f"{CANARY} of the model"))

    request_id = ask(runtime, stream=stream)

    spans = list(collector.wait_for(TRACE, 6).values())
    (served,) = [span for span in spans if span.parent == CALLER]
    assert (served.name, served.is_failed) == ("POST /v1/run", False)
    assert served.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/run",
        "http.response.status_code": 200,
        "mizzen.request_id": request_id,
    }
    (run,) = [span for span in spans if span.parent == served.id]
    assert run.attributes["gen_ai.operation.name"] == "invoke_agent"
    chats = [span for span in collector.spans if span.attributes.get("gen_ai.operation.name") == "chat"]
    assert [chat.parent for chat in chats] == [run.id, run.id]
    (tool,) = [span for span in spans if span.attributes.get("gen_ai.operation.name") == "execute_tool"]
    (lookup,) = [span for span in spans if span.name == "acme lookup"]
    assert lookup.parent == tool.id, "spans of own code have their place"
    assert {span.trace for span in collector.spans} == {TRACE}
    sent = [headers["traceparent"] for headers in model_server.headers[-2:]]
    assert sorted(sent) == sorted(f"00-{TRACE}-{chat.id}-01" for chat in chats)
    for span in collector.spans:
        told = {key: span.resource[f"service.{key}"] for key in ("name", "namespace", "version")}
        assert told == {"name": "triage", "namespace": "support", "version": "a1b2c3d4e5"}
        assert span.resource["service.instance.id"]
    assert CANARY.encode() not in b"".join(collector.bodies)
    lines = [line for line in runtime.log() if line.get("request_id") == request_id]
    assert {line["trace_id"] for line in lines} == {TRACE}
    assert [line["message"] for line in lines] == ["looking it up", "answered"]


def test_what_fails_is_in_the_trace_without_its_text(
    start: Start, own_code: Environment, model_server: ModelServer, collector: Collector
) -> None:
    runtime = start(own(model_server, collector), **own_code, **SOON)
    model_server.will(calls("fail", {}))

    ask(runtime)

    spans = collector.wait_for(TRACE, 4)
    assert spans["POST /v1/run"].is_failed
    assert spans["POST /v1/run"].attributes["http.response.status_code"] == 500
    assert CANARY.encode() not in b"".join(collector.bodies)
    assert runtime.errors()[0]["trace_id"] == TRACE


def test_content_is_in_the_spans_of_who_asks_for_it(
    start: Start, model_server: ModelServer, collector: Collector
) -> None:
    config = config_of(scripted(model_server)) | {"tracing": tracing(collector, content=True)}
    runtime = start(config, **SOON)
    model_server.will(says(f"{CANARY} of the model"))

    ask(runtime)

    collector.wait_for(TRACE, 3)
    sent = b"".join(collector.bodies)
    assert f"{CANARY} of the caller".encode() in sent
    assert f"{CANARY} of the model".encode() in sent


def test_a_caller_decides_whether_its_trace_is_recorded_and_the_ratio_about_others(
    start: Start, model_server: ModelServer, collector: Collector
) -> None:
    runtime = start(config_of(scripted(model_server)) | {"tracing": tracing(collector, ratio=0.0)}, **SOON)
    model_server.otherwise = says("Hello")

    ask(runtime, flags="00")
    assert runtime.run("Hello").status == 200
    ask(runtime, flags="01")

    collector.wait_for(TRACE, 3)
    assert len(collector.spans) == 3
    flags = [int(headers["traceparent"].rpartition("-")[2], 16) for headers in model_server.headers]
    assert [each & 1 for each in flags] == [0, 0, 1]
    until(lambda: runtime.metric('mizzen_trace_spans_total{outcome="sent"}') == 3, "all are counted")


@pytest.mark.parametrize("parent", [None, "nonsense", f"00-{TRACE.upper()}-{CALLER}-01"], ids=["none", "no", "upper"])
def test_without_a_well_formed_one_a_request_begins_a_trace(
    start: Start, model_server: ModelServer, collector: Collector, parent: str | None
) -> None:
    runtime = start(config_of(scripted(model_server)) | {"tracing": tracing(collector)}, **SOON)
    model_server.will(says("Hello"))

    runtime.post(b'{"input": "Hello"}', **({"traceparent": parent} if parent else {}))

    line = runtime.wait_logged("answered")
    spans = collector.wait_for(line["trace_id"], 3)
    assert line["trace_id"].lower() != TRACE
    assert spans["POST /v1/run"].parent == ""


def test_without_tracing_a_callers_trace_is_in_the_log_and_goes_on(start: Start, model_server: ModelServer) -> None:
    runtime = start(config_of(scripted(model_server)))
    model_server.otherwise = says("Hello")

    ask(runtime)
    line = runtime.wait_logged("answered")
    runtime.run("Hello")
    until(lambda: len(answered(runtime)) == 2, "the second line")

    assert line["trace_id"] == TRACE
    assert model_server.headers[0]["traceparent"] == f"00-{TRACE}-{CALLER}-01"
    assert "traceparent" not in model_server.headers[1], "nobody traces it"
    assert len(answered(runtime)[1]["trace_id"]) == 32


def answered(runtime: RuntimeProcess) -> list[Json]:
    return [line for line in runtime.log() if line["message"] == "answered"]


def test_what_a_caller_makes_up_gives_no_name_to_a_span(start: Start, collector: Collector) -> None:
    runtime = start(config_of() | {"tracing": tracing(collector)}, **SOON)

    runtime.request("GET", f"/{CANARY}?{CANARY}", traceparent=f"00-{TRACE}-{CALLER}-01")

    assert list(collector.wait_for(TRACE, 1)) == ["GET"]
    assert CANARY.encode() not in b"".join(collector.bodies)


def is_away(collector: Collector) -> None:
    collector.close()


def refuses(collector: Collector) -> None:
    collector.status = 400


def hangs(collector: Collector) -> None:
    collector.goes_on.clear()


@pytest.mark.parametrize("trouble", [is_away, refuses, hangs])
def test_a_collector_in_trouble_delays_and_fails_no_request(
    start: Start, collector: Collector, trouble: Callable[[Collector], None]
) -> None:
    trouble(collector)
    runtime = start(
        config_of() | {"tracing": tracing(collector)},
        **SOON,
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
        OTEL_BSP_EXPORT_TIMEOUT="1",
    )
    runtime.wait_logged("serving")

    started = time.monotonic()
    statuses = {runtime.run("Hello").status for _ in range(20)}
    took = time.monotonic() - started

    assert statuses == {200}
    assert took < 20 * 2, "less than one attempt to send for each"
    told = runtime.wait_logged("spans are dropped")
    assert (told["level"], told["reason"]) == ("warning", "the collector did not take them")
    until(lambda: runtime.metric('mizzen_trace_spans_total{outcome="dropped"}') > 0, "dropped spans are counted")
    runtime.terminate()
    assert runtime.exit_code() == 0
    complaints = [
        line for line in runtime.log() if line["level"] in {"warning", "error"} and line["logger"] != "mizzen.loop"
    ]
    assert [line["message"] for line in complaints] == ["spans are dropped"], "once a minute at most"


def test_the_last_spans_are_sent_before_the_end(start: Start, collector: Collector) -> None:
    runtime = start(config_of() | {"tracing": tracing(collector)}, OTEL_BSP_SCHEDULE_DELAY="60000")
    ask(runtime)

    runtime.terminate()

    assert runtime.exit_code() == 0
    assert "POST /v1/run" in collector.wait_for(TRACE, 3)


def test_a_token_for_the_collector_comes_from_the_standard_variable(start: Start, collector: Collector) -> None:
    runtime = start(
        config_of() | {"tracing": tracing(collector)}, **SOON, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20t0ken"
    )
    ask(runtime)

    collector.wait_for(TRACE, 3)
    path, headers = collector.asked[0]
    assert (path, headers["authorization"]) == ("/v1/traces", "Bearer t0ken")


def test_a_variable_that_opentelemetry_cannot_use_refuses_at_start(start: Start, collector: Collector) -> None:
    runtime = start(config_of() | {"tracing": tracing(collector)}, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="5000")

    assert runtime.exit_code() == 78
    (problem,) = json.loads(runtime.termination_log.read_text())["problems"]
    assert problem["field"] == "spec.monitoring.tracing"
    assert "OTEL_" in problem["message"]


def test_a_token_that_is_no_header_is_not_in_the_log(start: Start, collector: Collector) -> None:
    runtime = start(config_of() | {"tracing": tracing(collector)}, **SOON, OTEL_EXPORTER_OTLP_HEADERS="s3cret t0ken")
    ask(runtime)

    collector.wait_for(TRACE, 3)
    assert "t0ken" not in runtime.log_text()


def test_where_opentelemetry_is_switched_off_lines_have_their_ids_all_the_same(
    start: Start, collector: Collector
) -> None:
    runtime = start(config_of() | {"tracing": tracing(collector)}, **SOON, OTEL_SDK_DISABLED="true")

    assert runtime.run("Hello").status == 200

    assert int(runtime.wait_logged("answered")["trace_id"], 16) != 0
    assert collector.asked == []


def test_an_image_without_the_exporter_refuses_at_start(start: Start, collector: Collector, tmp_path: Path) -> None:
    without = importable(tmp_path / "code", "opentelemetry/exporter/otlp/__init__.py", "")

    runtime = start(config_of() | {"tracing": tracing(collector)}, **without)

    assert runtime.exit_code() == 78
    (problem,) = json.loads(runtime.termination_log.read_text())["problems"]
    assert problem["field"] == "spec.monitoring.tracing"
    assert "mizzen[otel]" in problem["remedy"]
