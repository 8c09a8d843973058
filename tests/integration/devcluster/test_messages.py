"""What a person reads after a mistake: the problem, the next step, and never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from devcluster.paths import REPOSITORY


def devcluster(*args: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "devcluster", *args]
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    base = {"PATH": path, "HOME": str(Path.home())}
    return subprocess.run(
        command, cwd=REPOSITORY, env={**base, **environment}, capture_output=True, text=True, check=False, timeout=30
    )


@pytest.mark.parametrize(
    ("args", "problem", "remedy"),
    [
        (["status", "nobody"], "there is no cluster named 'nobody'", "python -m devcluster up nobody"),
        (["kubeconfig", "nobody"], "there is no cluster named 'nobody'", "python -m devcluster list"),
        (["load", "--name", "nobody", "localhost/x:1"], "there is no cluster named 'nobody'", "devcluster up nobody"),
        (["up", "Not_A_Name"], "'Not_A_Name' cannot be a cluster's name", "lower-case letters"),
        (["down", "../etc"], "'../etc' cannot be a cluster's name", "lower-case letters"),
        (["up", "any", "--sync-frequency", "often"], "'often' is no duration", "5s"),
    ],
)
def test_a_wrong_argument_is_explained(args: list[str], problem: str, remedy: str, tmp_path: Path) -> None:
    done = devcluster(*args, MIZZEN_STATE=str(tmp_path))
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first == f"error: {problem}"
    assert second.startswith("  next: ")
    assert remedy in second
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_down_of_a_cluster_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    done = devcluster("down", "nobody", MIZZEN_STATE=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "there is no cluster named 'nobody': nothing to do\n")


def test_up_before_the_build_says_how_to_build(tmp_path: Path) -> None:
    done = devcluster("up", "t-unbuilt", MIZZEN_STATE=str(tmp_path / "state"), MIZZEN_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 1
    assert "Kubernetes has not been built on this machine yet" in done.stderr
    assert "python -m devcluster build" in done.stderr
    assert not (tmp_path / "state" / "devcluster" / "t-unbuilt").exists()


def test_a_build_without_go_says_what_to_install(tmp_path: Path) -> None:
    done = devcluster("build", MIZZEN_CACHE=str(tmp_path), PATH=str(tmp_path), MIZZEN_GO="/nowhere/go")
    assert done.returncode == 1
    assert "there is no Go 1.21 or newer here" in done.stderr
    assert "MIZZEN_GO" in done.stderr


def test_a_state_folder_that_the_node_would_hide_is_refused() -> None:
    done = devcluster("up", "any", MIZZEN_STATE="/run/somewhere")
    assert done.returncode == 1
    assert "cannot be kept below /run" in done.stderr
