"""The real Prometheus finds agents and operator by pod discovery, and its answers equal what was sent."""

import json
import os
import subprocess
import urllib.parse
from pathlib import Path

import pytest

from demo.installation import SAMPLES, create_namespace
from devcluster import DevCluster
from tests.conftest import Platform
from tests.support.http import call
from tests.support.namespace import Namespace, agent_deployment
from tests.support.waiting import wait_for

SAMPLE_IMAGE = "prom/prometheus:v3.13.5"
LOCAL_IMAGE = "localhost/prometheus:3.13.5"


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


def test_prometheus_says_exactly_what_was_sent(platform: Platform, namespace: Namespace, prometheus: str) -> None:
    namespace.apply(agent_deployment("triage", replicas=2))
    namespace.wait_ready("triage")
    answers = [namespace.ask("triage", f"Question {number}") for number in range(7)]
    assert [answer.status for answer in answers] == [200] * 7
    refused = call(f"{namespace.address('triage')}/v1/run", {"question": "wrong field"})
    assert refused.status == 422, refused
    tokens = sum(answer.json()["usage"]["output_tokens"] for answer in answers)
    mine = f'namespace="{namespace.name}",agent="triage"'

    def counted() -> bool:
        outcomes = query(prometheus, f"sum by (outcome) (mizzen_requests_total{{{mine}}}) > 0", "outcome")
        assert outcomes == {"ok": 7.0, "invalid_input": 1.0}
        return True

    wait_for(counted, "Prometheus has counted all requests", interval=0.5)
    pods = query(prometheus, f'up{{job="mizzen-agents",{mine}}}', "pod")
    assert list(pods.values()) == [1.0, 1.0]
    observed = query(prometheus, f"sum(mizzen_request_duration_seconds_count{{{mine}}})", "")
    assert observed == {"": 8.0}
    used = query(prometheus, f'sum(gen_ai_client_token_usage_sum{{{mine},gen_ai_token_type="output"}})', "")
    assert used == {"": float(tokens)}


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
