"""How the process starts, and what it says when it cannot."""

import json
import os
import socket
from pathlib import Path

import pytest

from tests.integration.runtime.process import Json, RuntimeProcess, Start, config_of, model_labels, until

REFUSED = 78


def problems_of(runtime: RuntimeProcess, kind: str = "Configuration") -> list[Json]:
    assert runtime.exit_code() == REFUSED, runtime.log_text()
    failure = json.loads(runtime.termination_log.read_text())
    assert (failure["contractVersion"], failure["kind"]) == (1, kind)
    problems: list[Json] = failure["problems"]
    logged = [(line["field"], line["remedy"]) for line in runtime.errors()]
    assert logged == [(problem["field"], problem["remedy"]) for problem in problems]
    return problems


def test_liveness_answers_before_the_agent_is_imported(start: Start) -> None:
    runtime = start(config_of())

    live = runtime.manage("/livez")
    started = runtime.manage("/startupz")
    ready = runtime.manage("/readyz?verbose")
    metrics = runtime.manage("/metrics")
    state = runtime.manage("/state")
    assert "serving" not in [line["message"] for line in runtime.log()], "all was asked before it was built"

    assert (live.status, live.body) == (200, b"ok\n")
    assert (started.status, started.body) == (503, b"not ok: wired\n")
    assert (ready.status, ready.body) == (503, b"[-]wired failed\n[+]not-leaving ok\nnot ok: wired\n")
    for early in (metrics, state):
        assert early.status == 503
        assert early.json["detail"] == "the agent is not built yet"
    until(lambda: runtime.manage("/readyz").status == 200, "ready")
    assert runtime.manage("/startupz").status == 200


def test_the_state_is_reported_to_the_operator(start: Start) -> None:
    runtime = start(config_of())
    runtime.wait_logged("serving")

    assert runtime.manage("/state").json == {
        "contractVersion": 1,
        "runtimeVersion": "0.1.0",
        "namespace": "support",
        "name": "triage",
        "revision": "a1b2c3d4e5",
        "phase": "Serving",
        "inFlight": 0,
        "models": ["test"],
        "services": [],
        "testServices": False,
        "reloadFailures": [],
        "health": {"status": "healthy", "reasons": []},
        "breakers": [{"name": "model:test", "state": "closed"}],
        "queued": 0,
        "limits": {
            "maxConcurrentRequests": 10,
            "maxQueuedRequests": 100,
            "requestTimeoutSeconds": 60.0,
            "batchTimeoutSeconds": 3600.0,
        },
    }


def test_the_management_port_says_what_it_serves(shared_runtime: RuntimeProcess) -> None:
    unknown = shared_runtime.manage("/health")
    wrong = shared_runtime.request("POST", "/livez", port=shared_runtime.management_port)

    assert (unknown.status, unknown.headers["content-type"]) == (404, "application/problem+json")
    assert unknown.json["detail"] == "this port serves /livez, /startupz, /readyz, /metrics, /state"
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD")


def test_every_metric_is_there_before_the_first_request(start: Start) -> None:
    runtime = start(config_of())
    runtime.wait_logged("serving")
    lines = runtime.manage("/metrics").body.decode().splitlines()
    series = {line.rpartition(" ")[0] for line in lines if not line.startswith("#") and "_bucket" not in line}

    outcomes = (
        "ok",
        "invalid_input",
        "model_unavailable",
        "model_rejected",
        "model_refused",
        "model_misbehaved",
        "deadline_exceeded",
        "agent_failed",
        "cancelled",
        "overloaded",
        "draining",
    )
    assert {f'mizzen_requests_total{{outcome="{outcome}"}}' for outcome in outcomes} <= series
    assert series >= {
        "mizzen_requests_in_flight",
        "mizzen_request_duration_seconds_count",
        'mizzen_request_duration_quantile_seconds{quantile="0.5"}',
        'mizzen_request_duration_quantile_seconds{quantile="0.95"}',
        'mizzen_request_duration_quantile_seconds{quantile="0.99"}',
        f"gen_ai_client_token_usage_sum{{{model_labels('test', gen_ai_token_type='input')}}}",
        f"gen_ai_client_token_usage_sum{{{model_labels('test', gen_ai_token_type='output')}}}",
        f"gen_ai_client_operation_duration_seconds_count{{{model_labels('test', error_type='')}}}",
        'mizzen_cost_usd_total{gen_ai_provider_name="test",gen_ai_request_model="test"}',
        'mizzen_model_price_known{gen_ai_provider_name="test",gen_ai_request_model="test"}',
        'mizzen_agent_info{agent="triage",agent_namespace="support",revision="a1b2c3d4e5"}',
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_threads",
    }
    assert any(line.startswith('mizzen_build_info{pydantic_ai="') for line in series)
    assert runtime.metric("process_resident_memory_bytes") > 10_000_000


def test_all_problems_of_a_configuration_are_told_at_once(start: Start, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    key = {"name": "llm", "key": "token"}
    config = config_of(
        {"model": "openai-chat:gpt-5.2", "apiKey": {**key, "path": str(tmp_path / "missing")}},
        {"model": "anthropic:claude-opus-4-5", "apiKey": {**key, "path": str(tmp_path / "empty")}},
        {"model": "anthropc:claude-opus-4-5"},
        instructions="You serve {{customer}}",
        output_schema={"type": "objekt"},
        model_settings={"temprature": 1, "max_tokens": "many"},
        capabilities=[{"Thinking": {"hard": True}}, "LocalWorkspace"],
        colour="blue",
    )

    problems = problems_of(start(config))

    assert {problem["field"] for problem in problems} == {
        "spec.models[0].apiKey.secretKeyRef",
        "spec.models[1].apiKey.secretKeyRef",
        "spec.models[2].model",
        "spec.agent.instructions",
        "spec.agent.output_schema.type",
        "spec.agent.model_settings.temprature",
        "spec.agent.model_settings.max_tokens",
        "spec.agent.capabilities[0]",
        "spec.agent.capabilities",
        "spec.agent.colour",
    }


def test_a_missing_key_is_told_with_secret_key_and_remedy(start: Start, tmp_path: Path) -> None:
    key = {"name": "llm", "key": "token", "path": str(tmp_path / "missing")}

    problems = problems_of(start(config_of({"model": "openai-chat:gpt-5.2", "apiKey": key})))

    assert problems == [
        {
            "field": "spec.models[0].apiKey.secretKeyRef",
            "message": "Secret 'llm' or its key 'token' is missing",
            "remedy": "kubectl create secret generic llm --namespace support --from-literal=token=<the key>, "
            "or add the key to it if the Secret is there",
        }
    ]


def test_a_key_that_nobody_gives_is_missed(start: Start) -> None:
    (problem,) = problems_of(start(config_of({"model": "anthropic:claude-opus-4-5"})))

    assert problem["field"] == "spec.models[0]"
    assert "Set the `ANTHROPIC_API_KEY` environment variable" in problem["message"]
    assert problem["remedy"] == "give apiKey and baseUrl in spec.models, or the variable in spec.pod.env"


def test_a_provider_without_its_extra_is_told_with_the_extra(start: Start, tmp_path: Path) -> None:
    # An image without the extra, made by an import that fails as it does there.
    (tmp_path / "groq").mkdir()
    (tmp_path / "groq" / "__init__.py").write_text("raise ModuleNotFoundError('no groq here', name='groq')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)

    problems = problems_of(start(config_of({"model": "groq:llama-3.3-70b"}), PYTHONPATH=path))

    assert problems == [
        {
            "field": "spec.models[0].model",
            "message": "the provider 'groq' is not installed in this image",
            "remedy": "build an image on the runtime's with `pip install 'mizzen[groq]'` and name it in spec.pod.image",
        }
    ]


def test_a_provider_that_mizzen_has_no_extra_for_is_told_with_pydantic_ais(start: Start) -> None:
    (problem,) = problems_of(start(config_of({"model": "typesafe:x"})))

    assert problem["message"] == "the provider 'typesafe' is not installed in this image"
    assert "pip install 'pydantic-ai-slim[typesafe]'" in problem["remedy"]


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        (b"{", "agent.json", "is no JSON"),
        (b"[]", "agent.json", "is no JSON object"),
        (b'{"contractVersion": 2}', "contractVersion", "this runtime does not know version 2, it knows 1"),
        (b'{"contractVersion": 1, "name": "a"}', "namespace", "field required"),
        (json.dumps({**config_of(), "color": 1}).encode(), "color", "unknown field"),
    ],
)
def test_a_configuration_that_breaks_the_contract_is_told(
    start: Start, config: bytes, field: str, message: str
) -> None:
    kind = "Contract" if field == "contractVersion" else "Configuration"
    problem = problems_of(start(config), kind)[0]

    assert problem["field"].endswith(field)
    assert problem["message"] == message


def test_a_missing_configuration_is_told(start: Start, tmp_path: Path) -> None:
    (problem,) = problems_of(start(config_of(), "--config", str(tmp_path / "nothing.json")))

    assert problem["message"] == "cannot be read: No such file or directory"
    assert "--config" in problem["remedy"]


def test_a_port_that_is_taken_is_told(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (problem,) = problems_of(start(config_of(), "--port", str(port)))

    assert problem == {
        "field": f"--port {port}",
        "message": "127.0.0.1 cannot be listened on: Address already in use",
        "remedy": "stop what listens there, or name another port",
    }


def test_a_fault_of_a_library_is_told_as_a_fault_and_without_its_text(start: Start, tmp_path: Path) -> None:
    (tmp_path / "psutil.py").write_text("raise RuntimeError('SECRET')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    runtime = start(config_of(), PYTHONPATH=path)

    assert runtime.exit_code() == 70
    failure = json.loads(runtime.termination_log.read_text())
    assert failure["kind"] == "Fault"
    (problem,) = failure["problems"]
    assert problem["message"] == "it failed with RuntimeError"
    assert "psutil.py:1" in runtime.wait_logged("the runtime failed")["error"][0]
    assert "SECRET" not in runtime.log_text()


def test_a_secret_in_a_refused_configuration_is_in_none_of_the_last_words(start: Start) -> None:
    server = {"kind": "mcp_server", "id": "crm", "url": "http://crm/"}
    runtime = start(
        config_of(
            capabilities=[{"NativeTool": {**server, "headers": "Bearer SECRET"}}, {"NativeTool": {"kind": "SECRET"}}],
            model_settings={"extra_headers": "Bearer SECRET"},
        )
    )

    assert [problem["field"] for problem in problems_of(runtime)] == [
        "spec.agent.model_settings.extra_headers",
        "spec.agent.capabilities[0].headers",
        "spec.agent.capabilities[1]",
    ]
    assert "SECRET" not in runtime.log_text() + runtime.termination_log.read_text()


def test_every_log_line_is_json_and_says_whose_it_is(start: Start) -> None:
    runtime = start(config_of())
    line = runtime.wait_logged("serving")

    assert len(runtime.log()) == len(runtime.log_text().splitlines())
    assert (line["namespace"], line["agent"], line["revision"]) == ("support", "triage", "a1b2c3d4e5")
    assert {"time", "level", "logger"} <= line.keys()
