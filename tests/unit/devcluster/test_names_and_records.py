"""Names, paths, durations, what is written down, and the choice of a cluster."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from devcluster import DevCluster, DevClusterError, resolve
from devcluster.build import _estimate, _Output
from devcluster.paths import ClusterPaths, cache_root, check_name, state_root
from devcluster.processes import Process
from devcluster.records import failure_text
from devcluster.shell import clean_environment
from devcluster.spec import Spec, check_duration, load_spec, save_spec


@pytest.mark.parametrize("name", ["a", "mizzen", "test-1", "a" * 30])
def test_good_names_are_accepted(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "1a", "-a", "a-", "A", "a_b", "a.b", "a/b", "..", "a" * 31, "a\n"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(DevClusterError, match="cannot be a cluster's name"):
        check_name(name)


def test_sockets_fit_into_a_unix_address_whatever_the_state_folder_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIZZEN_STATE", "/" + "long/" * 40)
    assert len(str(ClusterPaths.of("a" * 30).containerd_socket) + ".ttrpc") < 108


def test_the_folders_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("MIZZEN_STATE", "MIZZEN_CACHE", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", "/home/sam")
    assert state_root() == Path("/home/sam/.local/state/mizzen/devcluster")
    assert cache_root() == Path("/home/sam/.cache/mizzen/devcluster")
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert state_root() == Path("/xdg/mizzen/devcluster")
    monkeypatch.setenv("MIZZEN_STATE", "/own")
    assert state_root() == Path("/own/devcluster")


@pytest.mark.parametrize("text", ["5s", "1m", "500ms", "1m30s"])
def test_durations_are_gos(text: str) -> None:
    assert check_duration(text) == text


@pytest.mark.parametrize("text", ["", "5", "s", "0s", "-1s", "1 m", "often"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(DevClusterError, match="is no duration"):
        check_duration(text)


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    paths = ClusterPaths("blue", tmp_path)
    assert load_spec(paths) is None
    save_spec(paths, Spec(4, "localhost/pause:1", "5s"))
    assert load_spec(paths) == Spec(4, "localhost/pause:1", "5s")


def test_settings_that_cannot_be_read_are_an_error_with_a_remedy(tmp_path: Path) -> None:
    paths = ClusterPaths("blue", tmp_path)
    paths.spec.write_text('{"unknown": 1}')
    with pytest.raises(DevClusterError, match="next: remove the cluster: `python -m devcluster down blue`"):
        load_spec(paths)


def test_a_failure_is_told_with_its_last_lines(tmp_path: Path) -> None:
    paths = ClusterPaths("blue", tmp_path)
    assert failure_text(paths) is None
    paths.failure.write_text(json.dumps({"component": "etcd", "reason": "ended", "tail": ["first", "last"]}))
    assert failure_text(paths) == "etcd ended\n    first\n    last"


def test_a_process_is_not_mistaken_for_a_later_one_of_its_number() -> None:
    process = Process.find(os.getpid())
    assert process
    assert process.alive()
    assert not Process(process.pid, process.started + 1).alive()


def test_a_killed_process_counts_as_ended_before_its_parent_asks() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        process = Process.find(child.pid)
        assert process
        process.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended and is still a zombie
        assert not process.alive()
        assert child.wait() == -signal.SIGKILL


def test_no_call_follows_what_the_shell_points_to(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("KUBECONFIG", "HELM_KUBECONTEXT", "KUBERNETES_SERVICE_HOST", "https_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(variable, "elsewhere")
    monkeypatch.setenv("LANG", "C.UTF-8")
    assert "elsewhere" not in clean_environment(proxies=False).values()
    assert clean_environment(proxies=False)["LANG"] == "C.UTF-8"


def test_another_machine_is_reached_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy")
    monkeypatch.setenv("KUBECONFIG", "elsewhere")
    environment = clean_environment(proxies=True)
    assert environment["HTTPS_PROXY"] == "proxy"
    assert "KUBECONFIG" not in environment


@pytest.mark.parametrize(
    ("context", "registry", "problem"),
    [("prod", None, "--context prod needs --registry"), (None, "registry.example", "--registry needs --context")],
)
def test_a_context_and_a_registry_go_together(context: str | None, registry: str | None, problem: str) -> None:
    with pytest.raises(DevClusterError, match=problem):
        resolve(context, registry, "blue")


def test_neither_of_them_means_this_machine() -> None:
    cluster = resolve(None, None, "blue")
    assert isinstance(cluster, DevCluster)
    assert cluster.name == "blue"


def test_go_names_a_package_or_says_something() -> None:
    output = _Output()
    output.read(iter(["k8s.io/api/core/v1\n", "fmt\n", "go: downloading x v1\n", "a/b.go:1:2: undefined: c\n"]))
    assert output.packages == 2
    assert output.tail == ["go: downloading x v1", "a/b.go:1:2: undefined: c"]


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        (10, "compiled 10 of 1000 packages, 1:40"),
        (250, "compiled 250 of 1000 packages, 1:40, about 5:00 to go"),
        (999, "compiled 999 of 1000 packages, 1:40, linking"),
    ],
)
def test_an_estimate_is_given_once_there_is_something_to_go_by(done: int, expected: str) -> None:
    assert _estimate(done, 1000, 100) == expected
