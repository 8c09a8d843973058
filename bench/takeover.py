"""From the end of the operator that works to the first Deployment by the one that waited, with the default Lease.

A resource is created right after the end: there is work to be taken over.
"""

import argparse
import asyncio
import signal
import statistics
import time
from functools import partial

from bench.api_server import agent, agents_path, api_server, bench_cluster, create_namespace, delete_namespace, until
from bench.operator_process import running_operator
from devcluster import DevCluster
from mizzen_operator.lease import LEASE_SECONDS

NAMESPACE = "bench-takeover"
ENDS = {"ended in order": signal.SIGTERM, "killed": signal.SIGKILL, "frozen": signal.SIGSTOP}


def take_over(cluster: DevCluster, name: str, end: signal.Signals) -> float:
    """End one operator and give the seconds until the other has made a Deployment."""
    start = partial(running_operator, cluster, NAMESPACE, lease=f"{NAMESPACE}/{name}")
    with start() as leader, start(says="standing by"):
        leader.wait_idle()
        begun = time.monotonic()
        leader.measured.send_signal(end)
        asyncio.run(make_agent(cluster, name))
        return time.monotonic() - begun


async def make_agent(cluster: DevCluster, name: str) -> None:
    """Create a resource and wait for its Deployment."""
    async with api_server(cluster, connections=1) as api:
        await api.request("POST", agents_path(NAMESPACE), agent(name))

        async def made() -> bool:
            found = await api.items(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments")
            return name in {item["metadata"]["name"] for item in found}

        await until(made, f"the Deployment of {name}")


async def prepare(cluster: DevCluster) -> None:
    async with api_server(cluster, connections=1) as api:
        await create_namespace(api, NAMESPACE)


async def clean_up(cluster: DevCluster) -> None:
    async with api_server(cluster, connections=1) as api:
        await delete_namespace(api, NAMESPACE)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.takeover", description=__doc__)
    parser.add_argument("--name", default="mizzen-bench", help="name of the cluster (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="how many of each kind (default: %(default)s)")
    options = parser.parse_args()
    with bench_cluster(options.name) as cluster:
        asyncio.run(prepare(cluster))
        taken = {
            kind: sorted(take_over(cluster, f"{end.name.lower()}-{run}", end) for run in range(options.runs))
            for kind, end in ENDS.items()
        }
        asyncio.run(clean_up(cluster))
    print(f"| Lease of {LEASE_SECONDS} s, {options.runs} runs each | min | median | max |")
    print("|---|---|---|---|")
    for kind, seconds in taken.items():
        told = " | ".join(f"{value:.2f} s" for value in (seconds[0], statistics.median(seconds), seconds[-1]))
        print(f"| the one that works is {kind} | {told} |")


if __name__ == "__main__":
    main()
