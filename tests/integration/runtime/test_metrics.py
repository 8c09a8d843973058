"""What a runtime says of its requests, to its callers and to Prometheus, after requests that ended in several ways."""

import math
import time
from datetime import datetime

import pytest

from tests.integration.runtime.model_server import ModelServer, cuts_the_stream, fails, says
from tests.integration.runtime.process import RuntimeProcess, Start, config_of, model_labels, scripted

PRICE = {"inputPerMillionTokens": "100", "outputPerMillionTokens": "1000"}
ANSWER_COST = (11 * 100 + 7 * 1000) / 1e6
"""Of what the scripted model reports: 11 tokens read, 7 written."""


def model_metric(runtime: RuntimeProcess, name: str, **labels: str) -> float:
    return runtime.metric(f"{name}{{{model_labels('vllm:scripted', **labels)}}}")


def cost(runtime: RuntimeProcess) -> float:
    return runtime.metric('mizzen_cost_usd_total{gen_ai_provider_name="vllm",gen_ai_request_model="scripted"}')


def test_what_was_sent_is_what_the_metrics_say(start: Start, model_server: ModelServer) -> None:
    runtime = start(config_of(scripted(model_server, price=PRICE)))
    before = runtime.request("GET", "/v1/metrics")
    model_server.will(*[says("Hello")] * 4, fails(503), says("Hello"))
    answers = [runtime.run("Hi") for _ in range(4)]
    failed = runtime.run("Hi")
    streamed = runtime.run("Hi", stream=True)
    refused = runtime.post(b'{"question": "wrong field"}')
    answer = runtime.request("GET", "/v1/metrics")
    assert [each.status for each in (*answers, failed, streamed, refused)] == [200] * 4 + [503, 200, 422]

    assert (before.json["total_requests"], before.json["success_rate_percent"]) == (0, 100.0)
    assert before.json["last_request_timestamp"] is None
    told = answer.json
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert (told["total_requests"], told["successful_requests"], told["failed_requests"]) == (7, 5, 1)
    assert (told["window_seconds"], told["window_requests"]) == (300.0, 6)
    assert told["error_rate_percent"] == pytest.approx(100 / 6)
    assert told["success_rate_percent"] == pytest.approx(500 / 6)
    longest = max(each.json["timing"]["total_seconds"] for each in answers)
    assert told["p99_response_time_ms"] >= 0.99 * 1000 * longest
    assert told["p99_response_time_ms"] >= told["p95_response_time_ms"] >= told["average_response_time_ms"] > 0
    assert 0 <= time.time() - datetime.fromisoformat(told["last_request_timestamp"]).timestamp() < 60
    assert 10 < told["memory_usage_mb"] < 2000
    assert told["uptime_seconds"] > 0
    quantile = runtime.metric('mizzen_request_duration_quantile_seconds{quantile="0.99"}')
    assert quantile == pytest.approx(told["p99_response_time_ms"] / 1000)


def test_each_request_to_a_model_is_counted_with_tokens_and_cost(start: Start, model_server: ModelServer) -> None:
    runtime = start(config_of(scripted(model_server, price=PRICE)))
    model_server.will(says("Hello"), fails(503), says("Hello"), cuts_the_stream)
    assert [runtime.run("Hi", stream=stream).status for stream in (False, False, True, True)] == [200, 503, 200, 200]

    durations = "gen_ai_client_operation_duration_seconds_count"
    assert model_metric(runtime, durations, error_type="") == 2
    assert model_metric(runtime, durations, error_type="model_unavailable") == 1
    assert model_metric(runtime, durations, error_type="model_misbehaved") == 1
    assert model_metric(runtime, "gen_ai_client_token_usage_sum", gen_ai_token_type="input") == 22
    assert model_metric(runtime, "gen_ai_client_token_usage_sum", gen_ai_token_type="output") == 14
    assert model_metric(runtime, "gen_ai_client_token_usage_count", gen_ai_token_type="output") == 2
    assert cost(runtime) == pytest.approx(2 * ANSWER_COST)


def test_without_a_price_nothing_is_said_of_the_cost(start: Start, model_server: ModelServer) -> None:
    runtime = start(config_of(scripted(model_server)))
    model_server.will(says("Hello"))
    runtime.run("Hi")

    known = 'mizzen_model_price_known{gen_ai_provider_name="vllm",gen_ai_request_model="scripted"}'
    assert (runtime.metric(known), cost(runtime)) == (0, 0)


def test_before_the_first_request_a_percentile_is_no_number(start: Start) -> None:
    runtime = start(config_of())

    assert math.isnan(runtime.metric('mizzen_request_duration_quantile_seconds{quantile="0.5"}'))
