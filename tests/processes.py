"""Which tests share a process when several run side by side (`pytest -n 4`), and what each process calls its own."""

import os
from typing import Final

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

SHARING_A_CLUSTER: Final = {
    "tests/e2e/test_services.py": "a cluster with kubelet's defaults",
    "tests/e2e/": "the operator, installed",
    "tests/integration/api/": "a cluster",
    "tests/integration/chart/": "a cluster",
    "tests/integration/images/": "a cluster",
    "tests/integration/operator/": "a cluster without an operator",
}
"""Folders and files whose tests use one cluster, by what they find there: a single process starts it, once for all of
them. The first that fits counts."""

TAKING_LONG: Final = {"tests/integration/runtime/test_soak.py": "half an hour at full size"}
"""Files of few tests that nobody should be left to wait for at the end."""


class SharedClusterScheduling(LoadFileScheduling):
    """Hands out the tests that share a cluster as one piece of work, and all others by file; the largest first."""

    def schedule(self) -> None:
        """Hand out what every process begins with; what takes long despite its few tests is next."""
        super().schedule()
        for piece in TAKING_LONG.keys() & self.workqueue.keys():
            self.workqueue.move_to_end(piece, last=False)

    def _split_scope(self, nodeid: str) -> str:
        """Give the piece of work that a test belongs to."""
        found = (cluster for place, cluster in SHARING_A_CLUSTER.items() if nodeid.startswith(place))
        return next(found, super()._split_scope(nodeid))

    def remove_node(self, node: WorkerController) -> str | None:
        """Hand what a process left to the others, but for the test that ended it: it would end them too.

        Returns:
            The test that ended it; None if it had nothing left to do.
        """
        work = self.assigned_work.pop(node)
        pending = [(scope, test) for scope, tests in work.items() for test, is_done in tests.items() if not is_done]
        if not pending:
            return None
        scope, ended_by = pending[0]
        work[scope][ended_by] = True
        self.workqueue.update({scope: tests for scope, tests in work.items() if not all(tests.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return str(ended_by)


def worker() -> str:
    """Give the name of this process among several; empty if all tests run in this one."""
    return os.environ.get("PYTEST_XDIST_WORKER", "")


def cluster_name(*parts: str) -> str:
    """Give the name of a cluster that no other process of the same run uses."""
    return "-".join(filter(None, (os.environ.get("MIZZEN_TEST_CLUSTER", "mizzen-test"), *parts, worker())))
