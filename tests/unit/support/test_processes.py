"""How tests are spread over processes."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_a_test_that_ends_its_process_is_told_and_not_run_again(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_xdist_make_scheduler\n")
    (tmp_path / "test_it.py").write_text(
        "import os\n\n"
        "def test_before(): pass\n\n"
        "def test_deadly(): open('runs', 'a').write('x'); os._exit(1)\n\n"
        "def test_after(): pass\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert "1 failed, 2 passed" in run.stdout
    assert "crashed while running 'test_it.py::test_deadly'" in run.stdout
    assert (tmp_path / "runs").read_text() == "x"
