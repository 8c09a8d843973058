"""Many new resources at once: writes a second and time until all is applied, beside a bare client with the same writes.

Operator and bare client work in turns, in a namespace of their own each, over as many connections. The resources are
made at once; times and counts are the API server's own, from the arrival of the first resource to the answer to the
last write. The agents have no pods.
"""

import argparse
import asyncio
import statistics
import sys
from dataclasses import dataclass
from datetime import datetime

from bench.api_server import (
    agent,
    agents_path,
    all_of,
    api_server,
    bench_cluster,
    create_namespace,
    delete_namespace,
    until,
)
from bench.baselines.bare_writer import make_all
from bench.operator_process import running_operator
from bench.recorded import plans
from devcluster import DevCluster
from devcluster.audit import audit_events
from mizzen_operator.cluster.connection import MAX_CONNECTIONS, USER_AGENT

WRITES = frozenset({"create", "patch", "update", "delete"})


@dataclass(frozen=True)
class Sample:
    """What one of the two did."""

    writes: int
    statuses: int
    seconds: float


def measure(cluster: DevCluster, namespace: str, user_agent: str) -> Sample:
    """Give a client's writes in a namespace, how many of them were of a status, and what all took."""
    made, written, statuses = [], [], 0
    for event in audit_events(cluster.paths):
        reference = event.get("objectRef") or {}
        if reference.get("namespace") != namespace or event["verb"] not in WRITES:
            continue
        if event["verb"] == "create" and reference["resource"] == "agentdeployments":
            made.append(datetime.fromisoformat(event["requestReceivedTimestamp"]))
        elif event.get("userAgent", "").startswith(user_agent):
            written.append(datetime.fromisoformat(event["stageTimestamp"]))
            statuses += reference.get("subresource") == "status"
    return Sample(len(written), statuses, (max(written) - min(made)).total_seconds())


async def operator_works(cluster: DevCluster, namespace: str, count: int) -> Sample:
    """Make resources where the operator works, and wait until it has nothing more to do for them."""
    with running_operator(cluster, namespace) as operator:
        async with api_server(cluster, connections=MAX_CONNECTIONS) as api:
            await create_namespace(api, namespace)
            path = agents_path(namespace)
            await all_of(api.request("POST", path, agent(f"agent-{number}")) for number in range(count))

            async def reported() -> bool:
                return all(item.get("status", {}).get("stableRevision") for item in await api.items(path))

            await until(reported, "a status of every agent", seconds=600)
            await asyncio.to_thread(operator.wait_idle)
    return measure(cluster, namespace, USER_AGENT)


async def bare_client_works(cluster: DevCluster, source: str, namespace: str, like: Sample, count: int) -> Sample:
    """Write in another namespace what the operator has written."""
    async with api_server(cluster, connections=MAX_CONNECTIONS) as api:
        planned = await plans(api, source, namespace, round(like.statuses / count))
        await create_namespace(api, namespace)
        await make_all(api, planned)
    return measure(cluster, namespace, "Python")


async def clear(cluster: DevCluster, *namespaces: str) -> None:
    async with api_server(cluster, connections=1) as api:
        for namespace in namespaces:
            await delete_namespace(api, namespace)


def report(operator: list[Sample], bare: list[Sample], count: int) -> None:
    def median(values: list[float]) -> float:
        return statistics.median(values)

    print(f"| {count} new resources, median of {len(operator)} | operator | bare client | ratio |")
    print("|---|---|---|---|")
    print(f"| writes | {operator[0].writes} | {bare[0].writes} | |")
    rates = [[sample.writes / sample.seconds for sample in samples] for samples in (operator, bare)]
    ratio = median([bare_rate / own_rate for own_rate, bare_rate in zip(*rates, strict=True)])
    print(f"| writes a second | {median(rates[0]):.0f} | {median(rates[1]):.0f} | {ratio:.2f} |")
    seconds = [[sample.seconds for sample in samples] for samples in (operator, bare)]
    ratio = median([own / other for own, other in zip(*seconds, strict=True)])
    print(f"| time to all applied | {median(seconds[0]):.2f} s | {median(seconds[1]):.2f} s | {ratio:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.bulk", description=__doc__)
    parser.add_argument("--name", default="mizzen-bench", help="name of the cluster (default: %(default)s)")
    parser.add_argument("--resources", type=int, default=500, help="how many at once (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=5, help="how many turns of each (default: %(default)s)")
    options = parser.parse_args()
    operator, bare = [], []
    with bench_cluster(options.name) as cluster:
        for pair in range(options.pairs):
            print(f"pair {pair + 1} of {options.pairs}", file=sys.stderr)
            ours, theirs = f"bench-operator-{pair}", f"bench-bare-{pair}"
            operator.append(asyncio.run(operator_works(cluster, ours, options.resources)))
            bare.append(asyncio.run(bare_client_works(cluster, ours, theirs, operator[-1], options.resources)))
            asyncio.run(clear(cluster, ours, theirs))
    report(operator, bare, options.resources)


if __name__ == "__main__":
    main()
