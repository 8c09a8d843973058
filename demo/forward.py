"""`kubectl port-forward` for as long as a block lasts: reaches a Service of any cluster from here."""

import re
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from devcluster import Cluster, DevClusterError

START_SECONDS = 30


@contextmanager
def forwarded(cluster: Cluster, namespace: str, target: str, port: int = 80) -> Iterator[str]:
    """Forward a free port of loopback to `target`, such as `service/hello`, and give its address.

    Raises:
        DevClusterError: kubectl could not forward.
    """
    command = [str(cluster.kubectl_program), "--kubeconfig", str(cluster.kubeconfig)]
    command += ["port-forward", "--namespace", namespace, "--address", "127.0.0.1", target, f":{port}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above
        answered, _, _ = select.select([process.stdout], [], [], START_SECONDS)
        said = process.stdout.readline() if answered else f"nothing happened within {START_SECONDS} s"
        local = re.search(r"Forwarding from 127\.0\.0\.1:(\d+)", said)
        if local is None:
            raise DevClusterError(f"port-forward to {target} failed: {said.strip()}")
        yield f"http://127.0.0.1:{local[1]}"
    finally:
        process.terminate()
        process.communicate()
