"""A cluster's addresses. Each cluster has a slot from 0 to 15, and everything of it lies in 10.(200+slot).0.0/16."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network

from devcluster.errors import DevClusterError

SLOTS = 16


@dataclass(frozen=True)
class Subnet:
    """The addresses and interface names that follow from a slot."""

    slot: int

    @property
    def cidr(self) -> str:
        """All of the cluster: node, pods and Services; the host has one route to it."""
        return f"10.{200 + self.slot}.0.0/16"

    def _address(self, rest: str) -> str:
        return f"10.{200 + self.slot}.{rest}"

    @property
    def host(self) -> str:
        """The host's end of the veth pair; pods reach what listens there."""
        return self._address("0.1")

    @property
    def node(self) -> str:
        """The node's end of the veth pair: API server, kubelet, NodePorts."""
        return self._address("0.2")

    @property
    def pods(self) -> str:
        """The pods' network."""
        return self._address("64.0/18")

    @property
    def services(self) -> str:
        """The Services' network."""
        return self._address("128.0/17")

    @property
    def kubernetes_service(self) -> str:
        """The API server inside the cluster."""
        return self._address("128.1")

    @property
    def dns_service(self) -> str:
        """The cluster's DNS."""
        return self._address("128.10")

    @property
    def host_interface(self) -> str:
        """Its name must fit into 15 characters, so it cannot carry the cluster's."""
        return f"mzn-{self.slot}"

    @property
    def api_url(self) -> str:
        """The API server, from the host and from inside."""
        return f"https://{self.node}:6443"


def choose_slot(taken: Collection[int], routes: Iterable[IPv4Network]) -> int:
    """Give the lowest slot that no cluster has and whose addresses no route of the host covers.

    Args:
        taken: slots of other clusters, running or not.
        routes: the host's routes; a default route does not count.

    Raises:
        DevClusterError: there is none.
    """
    occupied = [route for route in routes if route.prefixlen > 0]
    for slot in range(SLOTS):
        network = IPv4Network(Subnet(slot).cidr)
        if slot not in taken and not any(network.overlaps(route) for route in occupied):
            return slot
    raise DevClusterError(
        f"none of the {SLOTS} address ranges 10.200.0.0/16 to 10.{199 + SLOTS}.0.0/16 is free",
        "end a cluster that is no longer needed: `python -m devcluster list`, then `python -m devcluster down NAME`",
    )
