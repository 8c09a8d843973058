"""What the operator has written for its resources, as writes that somebody else can make elsewhere."""

import json
from collections.abc import Iterator

from bench.api_server import ApiServer, Object, agents_path
from bench.baselines.bare_writer import UID, Plan, Write

CHILDREN = (
    "/api/v1/namespaces/{}/serviceaccounts",
    "/api/v1/namespaces/{}/configmaps",
    "/api/v1/namespaces/{}/services",
    "/apis/apps/v1/namespaces/{}/deployments",
)
"""The collections of the children, in the order in which they are applied."""
EVENTS = "/apis/events.k8s.io/v1/namespaces/{}/events"
APPLY = "?fieldManager=mizzen-operator&force=true"
FILLED_IN = {"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"}
"""What the API server says about an object, and nobody sends."""


async def plans(api: ApiServer, source: str, target: str, statuses: int) -> list[Plan]:
    """Give all that there is to write in one namespace for what is in another.

    Args:
        api: Where both are.
        source: Where the operator has worked.
        target: Where the same is to be written.
        statuses: How many times each status is written.
    """
    children = [(path, item) for path in CHILDREN for item in await api.items(path.format(source))]
    events = await api.items(EVENTS.format(source))
    found = []
    for agent in await api.items(agents_path(source)):
        uid, name = agent["metadata"]["uid"], agent["metadata"]["name"]
        writes = [
            *(
                ("PATCH", f"{path}/{item['metadata']['name']}{APPLY}", sent(item, "status"), "apply-patch+yaml")
                for path, item in children
                if uid in owners(item)
            ),
            *[("PATCH", f"{agents_path('{}')}/{name}/status{APPLY}", sent(agent, "spec"), "apply-patch+yaml")]
            * statuses,
            *(("POST", EVENTS, sent(event), "json") for event in events if event["regarding"]["uid"] == uid),
        ]
        found.append(
            Plan(
                agents_path(target),
                json.loads(json.dumps(sent(agent, "status")).replace(source, target)),
                tuple(
                    Write(method, path.format(target), json.dumps(body).replace(uid, UID).replace(source, target), kind)
                    for method, path, body, kind in writes
                ),
            )
        )
    return found


def owners(item: Object) -> Iterator[str]:
    yield from (owner["uid"] for owner in item["metadata"].get("ownerReferences", ()))


def sent(item: Object, *without: str) -> Object:
    """Give an object as it can be sent: without what the API server fills in, and without some of its parts."""
    body = {key: value for key, value in item.items() if key not in without}
    body["metadata"] = {key: value for key, value in item["metadata"].items() if key not in FILLED_IN}
    if item["kind"] == "Service":
        body["spec"] = {key: value for key, value in item["spec"].items() if key not in {"clusterIP", "clusterIPs"}}
    return body
