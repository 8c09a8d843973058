"""A real Kubernetes on this machine, without Docker, for the demo, the tests and the benchmarks.

`python -m devcluster --help` is the command line. The Python API is what this package exports:

    cluster = DevCluster("mizzen")
    cluster.up()
    reference = cluster.load("localhost/mizzen-runtime:abc123")
    cluster.kubectl("get", "pods")
    cluster.down()

`resolve` gives the same interface for a cluster that exists elsewhere. Only the standard library is used: this runs
before anything is installed.
"""

from devcluster.cluster import Cluster, DevCluster
from devcluster.errors import CommandFailedError, DevClusterError
from devcluster.external import ExternalCluster, resolve
from devcluster.status import State, Status

__all__ = [
    "Cluster",
    "CommandFailedError",
    "DevCluster",
    "DevClusterError",
    "ExternalCluster",
    "State",
    "Status",
    "resolve",
]
