"""The baseline: a bare asyncio client that makes the operator's writes, all of them decided beforehand.

It watches nothing, compares nothing and would not mend a failure; it makes each resource, and then what belongs to it,
one write after the other.
"""

from dataclasses import dataclass

from bench.api_server import ApiServer, Object, all_of

UID = "{uid of the resource}"
"""Stands in a body for what the API server gives the resource when it is made."""


@dataclass(frozen=True)
class Write:
    """One request."""

    method: str
    path: str
    body: str
    kind: str


@dataclass(frozen=True)
class Plan:
    """All that is to be written for one resource."""

    collection: str
    resource: Object
    writes: tuple[Write, ...]


async def make(api: ApiServer, plan: Plan) -> None:
    """Make a resource and what belongs to it."""
    made = await api.request("POST", plan.collection, plan.resource)
    for write in plan.writes:
        await api.send(write.method, write.path, write.body.replace(UID, made["metadata"]["uid"]), write.kind)


async def make_all(api: ApiServer, plans: list[Plan]) -> None:
    """Make all resources, as many at a time as there are connections."""
    await all_of(make(api, plan) for plan in plans)
