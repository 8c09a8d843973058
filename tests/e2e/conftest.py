"""What looks back on all tests of this folder runs only where there is all of it to look back on."""

from pathlib import Path

import pytest

from devcluster import DevCluster
from tests.conftest import is_running
from tests.processes import cluster_name, worker

FOLDER = Path(__file__).parent
LEFT_OUT = pytest.StashKey[bool]()


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Note that tests of this folder are left out, by whatever option."""
    for item in items:
        if FOLDER in item.path.parents:
            item.config.stash[LEFT_OUT] = True


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need the whole folder before them, unless it runs, on a cluster without a past."""
    needing = [item for item in items if item.get_closest_marker("needs_whole_folder")]
    if needing and not (is_whole(config, items) and has_new_cluster()):
        items[:] = [item for item in items if item not in needing]
        config.hook.pytest_deselected(items=needing)


def is_whole(config: pytest.Config, items: list[pytest.Item]) -> bool:
    """Tell whether every test of this folder is about to run."""
    is_part = LEFT_OUT in config.stash or any("::" in argument for argument in config.args)
    return not is_part and {item.path for item in items} >= set(FOLDER.glob("test_*.py"))


def has_new_cluster() -> bool:
    """Tell whether the tests' cluster is started by them: one that runs before may have had another operator."""
    return bool(worker()) or not is_running(DevCluster(cluster_name()))
