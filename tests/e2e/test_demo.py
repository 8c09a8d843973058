"""The README's demo command, run as it stands but for the cluster's name."""

import os
import re
import subprocess
import sys

from demo.__main__ import AGENT, NAMESPACE
from demo.installation import CHECKOUT
from devcluster import DevCluster
from tests.conftest import Platform


def test_the_demo_ends_with_the_models_answer_and_the_way_on(platform: Platform) -> None:
    name = platform.cluster.name
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--name", name],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Question  What is the capital of France\?\n\s+Answer\s+.*Paris", done.stdout)
    assert re.search(r"\d+ tokens in, [1-9]\d* out, revision \w+", done.stdout)
    assert re.search(r"^hello +True ", done.stdout, re.MULTILINE)
    for number in range(1, 7):
        assert re.search(rf"^\[{number}/6\] .+: [\d.]+ s$", done.stdout, re.MULTILINE)
    # Other tests expect to be alone with the operator.
    platform.cluster.kubectl("delete", "agd", AGENT, "--namespace", NAMESPACE)


def test_the_readmes_way_to_install_ends_with_an_agent_that_is_ready(platform: Platform) -> None:
    readme = (CHECKOUT / "README.md").read_text()
    block = readme.partition("## Install")[2].partition("```sh\n")[2].partition("```")[0]
    assert "helm upgrade --install" in block
    repository, _, tag = platform.images["operator"].rpartition(":")
    for shown, real in (
        ("registry.example/team/mizzen-operator", repository),
        ("registry.example/team/mizzen-runtime:0.1.0", platform.images["runtime"]),
        ("image.tag=0.1.0", f"image.tag={tag}"),
    ):
        assert shown in block
        block = block.replace(shown, real)
    assert isinstance(platform.cluster, DevCluster)
    programs = platform.cluster.binaries
    environment = {
        **os.environ,
        "KUBECONFIG": str(platform.cluster.kubeconfig),
        "PATH": f"{programs.kubectl.parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-euxc", block],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agentdeployment.mizzen.dev/hello condition met" in done.stdout
    platform.cluster.kubectl("delete", "agd", "hello", "--namespace", "default")


def test_the_readme_names_only_targets_that_there_are() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    makefile = (CHECKOUT / "Makefile").read_text()
    named = set(re.findall(r"\bmake ([a-z-]+)", readme))
    assert {"demo", "test"} <= named
    assert named <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
