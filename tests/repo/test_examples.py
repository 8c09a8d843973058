"""The examples are what a user would copy: valid, and with tests that pass."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from images.content import IMAGES
from manifests.chart_values import CHECKOUT
from mizzen_api.agentdeployment import AgentDeployment

EXAMPLES = [path.parent for path in sorted((CHECKOUT / "examples").glob("*/pyproject.toml"))]
RESOURCES = [path for folder in EXAMPLES for path in sorted(folder.glob("*.yaml"))]


def test_there_are_examples() -> None:
    assert [path.name for path in EXAMPLES] == ["triage"]
    assert [path.name for path in RESOURCES] == ["agentdeployment.yaml", "routing.yaml"]


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_an_examples_own_tests_pass_without_a_model(folder: Path) -> None:
    clean = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_examples_resource_is_valid_and_names_its_code(resource: Path) -> None:
    folder = resource.parent
    agent = AgentDeployment.model_validate(yaml.safe_load(resource.read_text()))
    module, _, _ = (agent.spec.entrypoint or "").partition(":")
    assert (folder / f"{module.replace('.', '/')}.py").is_file()
    version = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"]
    assert (agent.spec.pod.image or "").endswith(f":{version}")


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_an_example_has_an_image(folder: Path) -> None:
    assert IMAGES[f"example-{folder.name}"].context == f"examples/{folder.name}"
