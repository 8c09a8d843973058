"""A namespace of the test cluster, changed as users do it: with kubectl."""

import json
from dataclasses import dataclass
from typing import Any

from devcluster import Cluster, CommandFailedError
from tests.support.http import Answer, call
from tests.support.objects import objects_of
from tests.support.waiting import wait_for

Object = dict[str, Any]


def agent_deployment(name: str, **spec: Any) -> Object:
    """Give an AgentDeployment that needs no model server, with `spec` laid over it."""
    base = {"agent": {"instructions": "Be brief."}, "models": [{"model": "test"}]}
    return {
        "apiVersion": "mizzen.dev/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": name},
        "spec": {key: value for key, value in {**base, **spec}.items() if value is not None},
    }


@dataclass(frozen=True)
class Namespace:
    """One namespace."""

    cluster: Cluster
    name: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in this namespace and give what it printed."""
        return self.cluster.kubectl("--namespace", self.name, *arguments, stdin=stdin).stdout

    def apply(self, manifest: Object, *arguments: str) -> str:
        """Apply an object."""
        return self.kubectl("apply", "-f", "-", *arguments, stdin=json.dumps(manifest))

    def refusal(self, manifest: Object, *arguments: str) -> str:
        """Apply an object that must be refused, and give what kubectl said."""
        try:
            said = self.apply(manifest, *arguments)
        except CommandFailedError as error:
            return error.output
        raise AssertionError(f"it was accepted: {said}")

    def find(self, kind: str, name: str) -> Object | None:
        """Give an object, or None if there is none."""
        return objects_of(self.cluster.kubeconfig).find(kind, self.name, name)

    def get(self, kind: str, name: str) -> Object:
        """Give an object that must be there."""
        found = self.find(kind, name)
        assert found is not None, f"there is no {kind} {name} in {self.name}"
        return found

    def list(self, kinds: str, selector: str = "") -> list[Object]:
        """Give all objects of one kind, or of several with commas between them."""
        objects = objects_of(self.cluster.kubeconfig)
        return [item for kind in kinds.split(",") for item in objects.list(kind, self.name, selector)]

    def condition(self, agent: str, kind: str) -> Object:
        """Give a condition of an agent; an empty one if it has none yet."""
        conditions = self.get("agd", agent).get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def wait_ready(self, agent: str, seconds: int = 120) -> None:
        """Wait as a user does; a failure shows the conditions."""
        try:
            self.kubectl("wait", "--for=condition=Ready", f"agd/{agent}", f"--timeout={seconds}s")
        except CommandFailedError as error:
            status = json.dumps(self.get("agd", agent).get("status"), indent=1)
            raise AssertionError(f"{error}\n{status}\n{self.kubectl('get', 'pods')}") from error

    def wait_condition(self, agent: str, kind: str, status: str, reason: str, seconds: float = 60) -> str:
        """Wait for a condition and give its message."""

        def probe() -> str | None:
            condition = self.condition(agent, kind)
            seen = (condition.get("status"), condition.get("reason"))
            assert seen == (status, reason), condition
            return str(condition["message"])

        return wait_for(probe, f"{kind}={status} {reason} of {agent}", seconds=seconds, interval=0.2)

    def address(self, service: str) -> str:
        """Give the address of a Service; the host has a route to it."""
        spec = self.get("service", service)["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"

    def ask(self, agent: str, question: str) -> Answer:
        """Ask an agent through its Service."""
        return call(f"{self.address(agent)}/v1/run", {"input": question})
