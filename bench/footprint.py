"""What the operator takes while it has nothing to do: memory, processor time, requests, at 0, 500 and 2,000 resources.

Then it is started again, once among nothing else and once among thousands of ConfigMaps and Secrets that do not concern
it: both must take the same memory. Memory is the process's resident set, requests are counted in the API server's audit
log, a watch as one request when it begins. The agents have no pods.
"""

import argparse
import asyncio
import base64
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.api_server import (
    ApiServer,
    agent,
    agents_path,
    all_of,
    api_server,
    bench_cluster,
    create_namespace,
    delete_namespace,
)
from bench.operator_process import OperatorProcess, running_operator
from devcluster import DevCluster
from devcluster.audit import audit_events
from mizzen_operator.cluster.connection import USER_AGENT

NAMESPACE = "bench-footprint"
ELSEWHERE = "bench-unrelated"
RESOURCES = (0, 500, 2000)
UNRELATED = 5000
UNRELATED_BYTES = 10_000
CONNECTIONS = 20


@dataclass(frozen=True)
class Footprint:
    """One row of the table."""

    title: str
    memory_mb: float
    cpu_percent: float
    requests_per_minute: float


def look(cluster: DevCluster, operator: OperatorProcess, title: str, seconds: float) -> Footprint:
    """Wait until there is nothing to do, and measure for some time."""
    operator.wait_idle()
    begun, cpu = datetime.now(UTC), operator.cpu_seconds()
    time.sleep(seconds)
    cpu = operator.cpu_seconds() - cpu
    found = Footprint(title, operator.memory_mb(), 100 * cpu / seconds, 60 * requests(cluster, begun) / seconds)
    print(f"{title}: {found.memory_mb:.1f} MB", file=sys.stderr)
    return found


def requests(cluster: DevCluster, since: datetime) -> int:
    """Give the number of the operator's requests that came in since a point in time."""
    return len(
        {
            event["auditID"]
            for event in audit_events(cluster.paths)
            if event.get("userAgent", "").startswith(USER_AGENT)
            and datetime.fromisoformat(event["requestReceivedTimestamp"]) >= since
        }
    )


async def prepare(cluster: DevCluster) -> None:
    async with api_server(cluster, connections=1) as api:
        for namespace in (NAMESPACE, ELSEWHERE):
            await create_namespace(api, namespace)


async def make_agents(cluster: DevCluster, numbers: range) -> None:
    async with api_server(cluster, connections=CONNECTIONS) as api:
        path = agents_path(NAMESPACE)
        await all_of(api.request("POST", path, agent(f"agent-{number}")) for number in numbers)


async def make_unrelated(cluster: DevCluster, count: int) -> None:
    """Make ConfigMaps and Secrets in another namespace, as many of each."""
    content = base64.b64encode(os.urandom(UNRELATED_BYTES * 3 // 4)).decode()
    async with api_server(cluster, connections=CONNECTIONS) as api:
        for plural in ("configmaps", "secrets"):
            await all_of(make_one(api, plural, f"unrelated-{number}", content) for number in range(count))


async def make_one(api: ApiServer, plural: str, name: str, content: str) -> None:
    body = {"metadata": {"name": name}, "data": {"content": content}}
    await api.request("POST", f"/api/v1/namespaces/{ELSEWHERE}/{plural}", body)


async def clear(cluster: DevCluster) -> None:
    async with api_server(cluster, connections=1) as api:
        for namespace in (NAMESPACE, ELSEWHERE):
            await delete_namespace(api, namespace)


def measure(cluster: DevCluster, resources: list[int], unrelated: int, seconds: float) -> list[Footprint]:
    found, made = [], 0
    asyncio.run(prepare(cluster))
    with running_operator(cluster) as operator:
        for count in resources:
            asyncio.run(make_agents(cluster, range(made, count)))
            made = count
            found.append(look(cluster, operator, f"{count} resources", seconds))
    with running_operator(cluster) as operator:
        found.append(look(cluster, operator, f"{made} resources, started again", seconds))
    asyncio.run(make_unrelated(cluster, unrelated))
    with running_operator(cluster) as operator:
        title = f"{made} resources, started again among {unrelated} ConfigMaps and {unrelated} Secrets of 10 KB"
        found.append(look(cluster, operator, title, seconds))
    asyncio.run(clear(cluster))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.footprint", description=__doc__)
    parser.add_argument("--name", default="mizzen-bench", help="name of the cluster (default: %(default)s)")
    parser.add_argument(
        "--resources", type=int, nargs="+", default=RESOURCES, help="how many, in turn (default: 0 500 2000)"
    )
    parser.add_argument(
        "--unrelated", type=int, default=UNRELATED, help="how many ConfigMaps, and Secrets (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=60, help="how long each state is looked at (default: %(default)s)"
    )
    options = parser.parse_args()
    with bench_cluster(options.name) as cluster:
        rows = measure(cluster, sorted(options.resources), options.unrelated, options.seconds)
    print("| idle operator | memory | processor | requests a minute |")
    print("|---|---|---|---|")
    for row in rows:
        print(f"| {row.title} | {row.memory_mb:.1f} MB | {row.cpu_percent:.2f} % | {row.requests_per_minute:.1f} |")


if __name__ == "__main__":
    main()
