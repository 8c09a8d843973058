"""api/, operator/ and runtime/ are source roots, not packages: `operator` would shadow the standard library's."""

import subprocess
import sys

import pytest

from manifests.chart_values import CHECKOUT

ROOTS = ("api", "operator", "runtime")


@pytest.mark.parametrize("root", ROOTS)
def test_a_source_root_is_no_package(root: str) -> None:
    assert not (CHECKOUT / root / "__init__.py").exists(), f"{root}/__init__.py makes {root!r} importable: remove it"


@pytest.mark.parametrize("root", ["", *ROOTS])
def test_the_standard_librarys_operator_is_the_one_that_is_imported(root: str) -> None:
    check = "import collections, operator; assert hasattr(operator, 'itemgetter'), operator"
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=CHECKOUT / root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_folder_of_tests_is_a_package() -> None:
    """What goes into an image is none of the tests' modules."""
    folders = {path.parent for path in (CHECKOUT / "tests").rglob("*.py")}
    folders = {folder for folder in folders if not (folder / "Containerfile").exists()}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
