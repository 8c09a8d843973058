"""The real Prometheus finds agents and operator by pod discovery, and its answers equal what was sent."""

import json
import os
import re
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from demo.installation import SAMPLES, create_namespace
from devcluster import DevCluster
from devcluster.spec import load_node
from mizzen_api.breakers import DEFAULT_BREAKER
from mizzen_api.names import TRAFFIC_PORT
from tests.conftest import Platform
from tests.integration.runtime.model_exchange import Exchange
from tests.integration.runtime.model_server import Behaviour, ModelServer, fails, says
from tests.support.http import call
from tests.support.namespace import Namespace, agent_deployment
from tests.support.waiting import wait_for

SAMPLE_IMAGE = "prom/prometheus:v3.13.5"
LOCAL_IMAGE = "localhost/prometheus:3.13.5"
MODEL_SECONDS = 0.1
OK_OF_A_MIX = 6
INVALID_OF_A_MIX = 2
QUANTILE_ERROR = 1.01
"""By which a percentile may be off."""


def build_image(binary: Path, folder: Path) -> str:
    """Put the binary that was built from its Go module into an image of its own."""
    (folder / "prometheus").hardlink_to(binary) if same_device(binary, folder) else (folder / "prometheus").write_bytes(
        binary.read_bytes()
    )
    (folder / "prometheus").chmod(0o755)
    (folder / "Containerfile").write_text('FROM scratch\nCOPY prometheus /prometheus\nENTRYPOINT ["/prometheus"]\n')
    environment = {**os.environ, "STORAGE_DRIVER": "overlay", "BUILDAH_ISOLATION": "chroot"}
    subprocess.run(["buildah", "build", "--quiet", "--tag", LOCAL_IMAGE, str(folder)], check=True, env=environment)
    return LOCAL_IMAGE


def same_device(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


@pytest.fixture(scope="module")
def prometheus(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The sample Prometheus in the cluster; gives the address of its API."""
    assert isinstance(platform.cluster, DevCluster)
    image = build_image(platform.cluster.binaries.prometheus, tmp_path_factory.mktemp("prometheus"))
    platform.cluster.load(image)
    create_namespace(platform.cluster, "monitoring")
    monitoring = Namespace(platform.cluster, "monitoring")
    manifest = (SAMPLES / "prometheus.yaml").read_text()
    assert SAMPLE_IMAGE in manifest
    monitoring.kubectl("apply", "-f", "-", stdin=manifest.replace(SAMPLE_IMAGE, image))
    monitoring.kubectl("rollout", "status", "deployment/prometheus", "--timeout=2m")
    return monitoring.address("prometheus")


def query(prometheus: str, expression: str, label: str) -> dict[str, float]:
    """Ask with PromQL; give the values by one label."""
    answer = call(f"{prometheus}/api/v1/query?query={urllib.parse.quote(expression)}")
    assert answer.status == 200, answer
    result = answer.json()["data"]["result"]
    return {sample["metric"].get(label, ""): float(sample["value"][1]) for sample in result}


@pytest.fixture
def model(platform: Platform) -> Iterator[ModelServer]:
    """A model on the host, where the pods reach it: it takes its time, and each answer is of 11 tokens in and 7 out."""
    model = ModelServer(load_node(platform.cluster.paths).subnet.host)
    model.otherwise = slowly(says("It rains."))
    yield model
    model.close()


def slowly(behaviour: Behaviour) -> Behaviour:
    def behave(exchange: Exchange) -> None:
        time.sleep(MODEL_SECONDS)
        behaviour(exchange)

    return behave


def send_a_mix(url: str) -> float:
    """Send a pod `OK_OF_A_MIX` requests that are answered and `INVALID_OF_A_MIX` that are not valid.

    Returns:
        Seconds that the longest of the calls took.
    """
    seconds, answers = [], []
    items = [{"input": "Rain?"}, {"question": "wrong field"}, {"input": "Sun?"}]
    for path, body, status in (
        ("run", {"input": "Rain?"}, 200),
        ("run", {"input": "Snow?"}, 200),
        ("run", {"input": "Sun?"}, 200),
        ("run", {"input": "Hail?", "stream": True}, 200),
        ("run", {"question": "wrong field"}, 422),
        ("batch", {"requests": items}, 200),
    ):
        begun = time.monotonic()
        answers.append(call(f"{url}/v1/{path}", body))
        seconds.append(time.monotonic() - begun)
        assert answers[-1].status == status, answers[-1]
    assert [result["status"] for result in answers[-1].json()["results"]] == ["ok", "error", "ok"]
    return max(seconds)


def test_prometheus_says_exactly_what_was_sent(
    platform: Platform, namespace: Namespace, prometheus: str, model: ModelServer
) -> None:
    price = {"inputPerMillionTokens": "1000", "outputPerMillionTokens": "2000"}
    models = [{"model": "vllm:weather", "baseUrl": model.base_url, "price": price}]
    namespace.apply(agent_deployment("triage", models=models, replicas=2))
    namespace.wait_ready("triage")
    pods = namespace.list("pods", "app.kubernetes.io/instance=triage")
    urls = {pod["metadata"]["name"]: f"http://{pod['status']['podIP']}:{TRAFFIC_PORT}" for pod in pods}
    assert len(urls) == 2

    longest = {pod: send_a_mix(url) for pod, url in urls.items()}
    model.will(fails(500))
    begun = time.monotonic()
    failed = namespace.ask("triage", "Rain?")
    of_failed = time.monotonic() - begun
    assert failed.status == 503, failed

    ok, invalid = 2 * OK_OF_A_MIX, 2 * INVALID_OF_A_MIX
    mine = f'{{namespace="{namespace.name}",agent="triage"}}'
    expected: dict[str, dict[str, float]] = {
        f"sum by (outcome) (mizzen_requests_total{mine}) > 0": {
            "ok": ok,
            "invalid_input": invalid,
            "model_unavailable": 1,
        },
        f"sum by (pod) (up{mine})": dict.fromkeys(urls, 1),
        f"sum(mizzen_request_duration_seconds_count{mine})": {"": ok + invalid + 1},
        f"sum by (outcome) (mizzen_batches_total{mine}) > 0": {"ok": 2},
        f"sum by (error_type) (gen_ai_client_operation_duration_seconds_count{mine})": {
            "": ok,
            "model_unavailable": 1,
        },
        f"sum by (gen_ai_token_type) (gen_ai_client_token_usage_count{mine})": {"input": ok, "output": ok},
        f"sum by (gen_ai_token_type) (gen_ai_client_token_usage_sum{mine})": {"input": 11 * ok, "output": 7 * ok},
        f"sum by (gen_ai_request_model) (mizzen_cost_usd_total{mine})": {"weather": 0.025 * ok},
        f"sum by (gen_ai_provider_name) (mizzen_model_price_known{mine})": {"vllm": 2},
        f"sum by (outcome) (mizzen_breaker_calls_total{mine})": {"successful": ok, "failed": 1, "ignored": 0},
        f"sum by (state) (mizzen_breaker_state{mine})": {"closed": 2, "open": 0, "half_open": 0},
        f"sum by (breaker) (mizzen_breaker_not_permitted_calls_total{mine})": {"model:vllm:weather": 0},
        f"sum by (pod) (mizzen_requests_in_flight{mine})": dict.fromkeys(urls, 0),
        f"sum by (pod) (mizzen_requests_queued{mine})": dict.fromkeys(urls, 0),
        f"sum by (status) (mizzen_health_status{mine})": {"healthy": 2, "degraded": 0, "unhealthy": 0},
    }

    def counted() -> bool:
        for expression, values in expected.items():
            (label,) = re.findall(r"by \((\w+)\)", expression) or [""]
            assert query(prometheus, expression, label) == pytest.approx(values), expression
        return True

    wait_for(counted, "Prometheus has counted all requests", interval=0.5)
    for pod in urls:
        of_pod = f'mizzen_request_duration_quantile_seconds{{namespace="{namespace.name}",pod="{pod}"}}'
        found = query(prometheus, of_pod, "quantile")
        bounds = [MODEL_SECONDS, found["0.5"], found["0.95"], found["0.99"], max(longest[pod], of_failed)]
        assert all(below <= QUANTILE_ERROR * above for below, above in pairwise(bounds)), bounds


def test_prometheus_sees_two_operators_one_of_which_works(
    platform: Platform, namespace: Namespace, prometheus: str
) -> None:
    namespace.apply(agent_deployment("triage"))
    namespace.wait_ready("triage")

    def seen() -> bool:
        assert list(query(prometheus, 'up{job="mizzen-operator"}', "pod").values()) == [1.0, 1.0]
        assert query(prometheus, "sum by (name) (leader_election_master_status)", "name") == {"mizzen-operator": 1.0}
        adds = query(prometheus, "sum(workqueue_adds_total)", "")
        assert adds.get("", 0) > 0, json.dumps(adds)
        return True

    wait_for(seen, "Prometheus has scraped the operator", interval=0.5)


def test_the_alerts_of_the_sample_ask_for_series_that_there_are_and_name_a_dead_model(
    namespace: Namespace, prometheus: str
) -> None:
    nobody = [{"model": "vllm:nobody", "baseUrl": "http://127.0.0.1:9/v1"}]
    namespace.apply(agent_deployment("triage", models=nobody))
    namespace.wait_ready("triage")
    assert {namespace.ask("triage", "Rain?").status for _ in range(DEFAULT_BREAKER.minimum_calls)} == {503}

    def evaluated() -> list[str]:
        answer = call(f"{prometheus}/api/v1/rules").json()
        rules = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
        assert {rule["health"] for rule in rules} == {"ok"}, rules
        return [rule["query"] for rule in rules]

    expressions = wait_for(evaluated, "Prometheus has evaluated the rules", interval=0.5)
    selectors = [found for expression in expressions for found in re.findall(r"\w+{.*?}", expression)]
    assert len(selectors) == len(expressions)

    def all_found() -> bool:
        for selector in selectors:
            assert query(prometheus, f"count({selector})", "").get("", 0) > 0, selector
        return True

    wait_for(all_found, "there are such series", interval=0.5)

    def told() -> bool:
        alerts = call(f"{prometheus}/api/v1/alerts").json()["data"]["alerts"]
        mine = [alert["labels"] for alert in alerts if alert["labels"].get("namespace") == namespace.name]
        of_the_model = {"namespace": namespace.name, "agent": "triage", "reason": "BreakerOpen"}
        assert {"alertname": "AgentNotHealthy", **of_the_model} in mine, mine
        return True

    wait_for(told, "the alert", interval=0.5)
