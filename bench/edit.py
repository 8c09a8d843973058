"""From an edit of a resource to its Deployment applied, while the operator has nothing else to do.

Both times are the API server's own: from the arrival of the request that changes the spec to the answer to the apply
that gives the Deployment the new revision. The agents have no pods: what comes after is Kubernetes' own work.
"""

import argparse
import asyncio
import statistics
from datetime import datetime

from bench.api_server import ApiServer, agent, agents_path, api_server, bench_cluster, create_namespace, until
from bench.operator_process import running_operator
from devcluster import DevCluster
from devcluster.audit import audit_events

NAMESPACE = "bench-edit"
NAME = "edited"
AGENT = f"{agents_path(NAMESPACE)}/{NAME}"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}"
PAUSE_SECONDS = 0.2
"""Between edits: the operator is to be idle at each."""


async def revision(api: ApiServer) -> str | None:
    """Give the revision in the Deployment's template, if there is one."""
    collection, _, name = DEPLOYMENT.rpartition("/")
    found = [item for item in await api.items(collection) if item["metadata"]["name"] == name]
    return found[0]["spec"]["template"]["metadata"]["labels"]["mizzen.dev/revision"] if found else None


async def edit(api: ApiServer, number: int) -> None:
    """Change the instructions and wait until the Deployment has another revision."""
    before = await revision(api)
    change = {"spec": {"agent": {"instructions": f"Be brief, {number}."}}}
    await api.request("PATCH", AGENT, change, "merge-patch+json")

    async def rolled() -> bool:
        return await revision(api) not in {before, None}

    await until(rolled, "the new revision in the Deployment")
    await asyncio.sleep(PAUSE_SECONDS)


async def run_edits(cluster: DevCluster, edits: int) -> None:
    async with api_server(cluster, connections=1) as api:
        await create_namespace(api, NAMESPACE)
        await api.request("POST", agents_path(NAMESPACE), agent(NAME))

        async def made() -> bool:
            return await revision(api) is not None

        await until(made, "a Deployment")
        for number in range(edits):
            await edit(api, number)
        await api.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}")


def latencies(cluster: DevCluster) -> list[float]:
    """Give the seconds of each edit, from the audit log."""
    edits, applies = [], []
    for event in audit_events(cluster.paths):
        path = event["requestURI"].partition("?")[0]
        if event["verb"] == "patch" and path == AGENT:
            edits.append(datetime.fromisoformat(event["requestReceivedTimestamp"]))
        if event["verb"] == "patch" and path == DEPLOYMENT:
            applies.append(datetime.fromisoformat(event["stageTimestamp"]))
    return [(min(apply for apply in applies if apply > edit) - edit).total_seconds() for edit in edits]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.edit", description=__doc__)
    parser.add_argument("--name", default="mizzen-bench", help="name of the cluster (default: %(default)s)")
    parser.add_argument("--edits", type=int, default=200, help="how many (default: %(default)s)")
    options = parser.parse_args()
    with bench_cluster(options.name) as cluster:
        with running_operator(cluster, NAMESPACE):
            asyncio.run(run_edits(cluster, options.edits))
        seconds = latencies(cluster)
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    print(f"| {len(seconds)} edits | p50 | p99 | max |")
    print("|---|---|---|---|")
    print(f"| spec changed to Deployment applied | {cuts[49]:.3f} s | {cuts[98]:.3f} s | {max(seconds):.3f} s |")


if __name__ == "__main__":
    main()
