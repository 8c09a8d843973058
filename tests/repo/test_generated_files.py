"""What is generated is current, so that the CRD in a cluster is never older than the code."""

from pathlib import Path

import pytest

from manifests.chart_values import CHECKOUT, VERSION
from manifests.generate import COMMAND, chart_files, install_file

CHART_FILES = chart_files()


def stale(path: Path) -> str:
    return f"{path.relative_to(CHECKOUT)} is not current: run `{COMMAND}`"


@pytest.mark.parametrize("path", CHART_FILES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_file_generated_from_the_models_is_current(path: Path) -> None:
    assert path.read_text() == CHART_FILES[path], stale(path)


def test_the_plain_install_rendered_from_the_chart_is_current() -> None:
    for path, content in install_file().items():
        assert path.read_text() == content, stale(path)


def test_the_make_target_runs_the_generator() -> None:
    makefile = (CHECKOUT / "Makefile").read_text()
    assert "\ngenerate:" in makefile
    assert "-m manifests.generate" in makefile


def test_the_samples_name_images_by_the_projects_version() -> None:
    assert (
        f"image: localhost/mizzen-model-server:{VERSION}"
        in (CHECKOUT / "manifests" / "samples" / "model-server.yaml").read_text()
    )
