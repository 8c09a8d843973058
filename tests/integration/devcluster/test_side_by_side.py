"""Two clusters at once, each of them whole: pods, Services, DNS, logs, exec, port-forward, images, audit."""

import json
import os
import re
import stat
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devcluster import DevCluster, ExternalCluster, State
from devcluster.shell import run
from tests.integration.devcluster.conftest import ImageBuilder, await_ready

Pair = tuple[DevCluster, DevCluster]


def jsonpath(cluster: DevCluster, what: str, path: str) -> str:
    return cluster.kubectl("get", *what.split(), "-o", f"jsonpath={{{path}}}").stdout


def fetch(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as response:
        return str(response.read().decode())


def test_both_run_with_addresses_of_their_own(pair: Pair) -> None:
    first, second = (cluster.status() for cluster in pair)
    assert (first.state, second.state) == (State.RUNNING, State.RUNNING)
    assert first.node != second.node
    for cluster, found in zip(pair, (first, second), strict=True):
        assert jsonpath(cluster, "nodes", ".items[*].metadata.name") == cluster.name
        assert jsonpath(cluster, "pod web", ".status.podIP").startswith(found.node.rsplit(".", 2)[0])


def test_what_is_made_in_one_is_not_in_the_other(pair: Pair) -> None:
    first, second = pair
    first.kubectl("create", "namespace", "only-here")
    assert first.kubectl("get", "namespace", "only-here").returncode == 0
    assert "NotFound" in second.kubectl("get", "namespace", "only-here", check=False).stderr


def test_services_and_pods_are_reachable_from_the_host(pair: Pair) -> None:
    for cluster in pair:
        service = jsonpath(cluster, "service web", ".spec.clusterIP")
        assert fetch(f"http://{service}/") == "hello"
        assert fetch(f"http://{jsonpath(cluster, 'pod web', '.status.podIP')}:8080/") == "hello"


@pytest.mark.parametrize("name", ["web", "web.default", "web.default.svc.cluster.local"])
def test_a_service_is_found_by_name_from_inside(pair: Pair, name: str) -> None:
    for cluster in pair:
        address = jsonpath(cluster, "service web", ".spec.clusterIP")
        assert cluster.kubectl("exec", "web", "--", "/server", name).stdout == f"{address}\n"


def test_exec_gives_the_exit_code_of_what_it_ran(pair: Pair) -> None:
    done = pair[0].kubectl("exec", "web", "--", "/server", "missing.default", check=False)
    assert done.returncode == 1
    assert "no address for missing.default" in done.stderr


def test_the_output_of_a_pod_is_its_log(pair: Pair) -> None:
    for cluster in pair:
        assert cluster.kubectl("logs", "web").stdout == "listening on 8080\n"


@contextmanager
def forwarded(cluster: DevCluster, target: str) -> Iterator[str]:
    command = [str(cluster.binaries.kubectl), "--kubeconfig", str(cluster.kubeconfig), "port-forward", target, ":80"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.match(r"Forwarding from (127\.0\.0\.1:\d+)", process.stdout.readline())
        try:
            assert found
            yield f"http://{found.group(1)}/"
        finally:
            process.terminate()


def test_a_port_is_forwarded_to_a_service(pair: Pair) -> None:
    with forwarded(pair[1], "service/web") as url:
        assert fetch(url) == "hello"


def test_an_image_loaded_again_under_its_name_replaces_the_old_one(pair: Pair, build_image: ImageBuilder) -> None:
    cluster = pair[0]
    reference = cluster.load(str(build_image("changed")))
    cluster.kubectl("run", "newer", f"--image={reference}", "--image-pull-policy=Never")
    await_ready(cluster, "newer")
    assert fetch(f"http://{jsonpath(cluster, 'pod newer', '.status.podIP')}:8080/") == "changed"


def test_an_image_that_is_there_is_not_imported_again(pair: Pair, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = pair[1].load(str(image))
    commands: list[str] = []

    def recording(argv: list[object], **options: object) -> "subprocess.CompletedProcess[str]":
        commands.append(" ".join(map(str, argv)))
        return run([str(part) for part in argv])

    monkeypatch.setattr("devcluster.images.run", recording)
    assert pair[1].load(str(image)) == reference
    assert commands
    assert not [command for command in commands if " import " in command]


def test_the_audit_log_tells_who_did_what(pair: Pair) -> None:
    cluster = pair[1]
    cluster.kubectl("create", "configmap", "audited")
    events = [json.loads(line) for line in Path(cluster.status().audit_log).read_text().splitlines()]
    found = [
        event for event in events if event["verb"] == "create" and event.get("objectRef", {}).get("name") == "audited"
    ]
    assert [event["user"]["username"] for event in found] == ["devcluster-admin"]
    assert found[0]["objectRef"]["resource"] == "configmaps"
    assert "requestObject" not in found[0]


def test_a_namespace_may_enforce_the_restricted_pod_security_standard(pair: Pair) -> None:
    cluster = pair[0]
    cluster.kubectl("create", "namespace", "strict")
    cluster.kubectl("label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")
    refused = cluster.kubectl("run", "lax", "-n", "strict", "--image=localhost/x:1", check=False)
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_up_again_changes_nothing(pair: Pair) -> None:
    before = pair[0].status()
    pair[0].up()
    after = pair[0].status()
    assert (after.pid, after.state) == (before.pid, State.RUNNING)


def test_only_the_owner_can_read_the_kubeconfig(pair: Pair) -> None:
    assert stat.S_IMODE(pair[0].kubeconfig.stat().st_mode) == 0o600


def test_an_external_cluster_is_its_context_whatever_the_current_one_is(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meant, current = pair
    monkeypatch.setenv("PATH", f"{meant.binaries.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("MIZZEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KUBECONFIG", f"{current.kubeconfig}:{meant.kubeconfig}")
    external = ExternalCluster(f"devcluster-{meant.name}", "registry.example.com/team")
    assert external.kubectl("get", "nodes", "-o", "name").stdout == f"node/{meant.name}\n"
    assert current.name not in external.kubeconfig.read_text()
    assert stat.S_IMODE(external.kubeconfig.stat().st_mode) == 0o600
