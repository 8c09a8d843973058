"""What is known about a cluster."""

from dataclasses import dataclass
from enum import StrEnum

from devcluster import readiness, records
from devcluster.paths import ClusterPaths, state_root
from devcluster.processes import memory_bytes
from devcluster.spec import load_spec, unknown_cluster


class State(StrEnum):
    """How a cluster is."""

    RUNNING = "running"
    STARTING = "starting"  # processes run; `up` has not seen all of it ready, or the API server does not answer
    FAILED = "failed"  # ended by itself
    STOPPED = "stopped"


@dataclass(frozen=True)
class Status:
    """A cluster as it is now; `pid` is of the process that ends all of it, `host` an address that its pods reach."""

    name: str
    state: State
    pid: int | None
    processes: int
    memory_bytes: int
    server: str
    node: str
    host: str
    sync_frequency: str
    kubeconfig: str
    logs: str
    audit_log: str
    failure: str | None

    def to_json(self) -> dict[str, object]:
        """Give the fields in JSON's spelling."""
        words = {name: name.split("_") for name in self.__dataclass_fields__}
        return {
            first + "".join(word.capitalize() for word in rest): getattr(self, name)
            for name, (first, *rest) in words.items()
        }


def of(paths: ClusterPaths) -> Status:
    """Look at a cluster.

    Raises:
        DevClusterError: there is none of this name.
    """
    spec = load_spec(paths)
    if spec is None:
        raise unknown_cluster(paths.name)
    record, failure = records.running(paths), records.failure_text(paths)
    if record:
        state = State.RUNNING if record.complete and readiness.answers(paths) else State.STARTING
    else:
        state = State.FAILED if records.load_record(paths) else State.STOPPED
    members = record.process.members() if record else []
    return Status(
        name=paths.name,
        state=state,
        pid=record.process.holder.pid if record else None,
        processes=len(members),
        memory_bytes=memory_bytes(members),
        server=spec.subnet.api_url,
        node=spec.subnet.node,
        host=spec.subnet.host,
        sync_frequency=spec.sync_frequency,
        kubeconfig=str(paths.kubeconfig),
        logs=str(paths.logs),
        audit_log=str(paths.audit_log),
        failure=None if record else failure or _unsaid(state),
    )


def _unsaid(state: State) -> str | None:
    return "the node was killed from outside" if state is State.FAILED else None


def names() -> list[str]:
    """List this user's clusters, running or not."""
    return sorted(file.parent.name for file in state_root().glob("*/cluster.json"))
