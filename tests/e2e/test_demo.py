"""The README's demo command, run as it stands but for the cluster's name."""

import re
import subprocess
import sys

from demo.installation import CHECKOUT
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


def test_the_readme_names_only_targets_that_there_are() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    makefile = (CHECKOUT / "Makefile").read_text()
    named = set(re.findall(r"\bmake ([a-z-]+)", readme))
    assert {"demo", "test"} <= named
    assert named <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
