"""The link between host and node: a veth pair, and one route. Nothing of the host's packet filter is touched."""

import json
import socket
from ipaddress import IPv4Network

from devcluster.errors import DevClusterError
from devcluster.shell import find_program, run, wait_until
from devcluster.slots import Subnet

NODE_INTERFACE = "eth0"


def host_routes() -> list[IPv4Network]:
    """List the networks that the host has routes to; a default route is 0.0.0.0/0."""
    ip = find_program("ip", "iproute2")
    routes = json.loads(run([ip, "-json", "route", "show"]).stdout or "[]")
    names = ["0.0.0.0/0" if route["dst"] == "default" else route["dst"] for route in routes]
    return [IPv4Network(name, strict=False) for name in names]


def connect(subnet: Subnet, pid: int) -> None:
    """Connect the host with the network namespace of a process; the node's end is configured from inside.

    When that namespace ends, the kernel removes the pair and with it the host's route.
    """
    disconnect(subnet)
    interface = subnet.host_interface
    _ip(
        f"link add {interface} type veth peer name {NODE_INTERFACE} netns {pid}",
        f"addr add {subnet.host}/30 dev {interface}",
        f"link set {interface} up",
        f"route add {subnet.cidr} via {subnet.node} dev {interface}",
    )


def disconnect(subnet: Subnet) -> None:
    """Remove the pair if there is one."""
    if _exists(subnet.host_interface):
        # The kernel may be removing it at this moment: what counts is that it is gone.
        run([find_program("ip", "iproute2"), "link", "delete", subnet.host_interface], check=False)
        if not wait_until(lambda: not _exists(subnet.host_interface), seconds=5):
            raise DevClusterError(f"the interface {subnet.host_interface} cannot be removed")


def configure_node(subnet: Subnet) -> None:
    """Give the node its addresses and routes; runs inside of its network namespace.

    Raises:
        DevClusterError: the host did not connect it within 10 s.
    """
    if not wait_until(lambda: _exists(NODE_INTERFACE), seconds=10, interval=0.01):
        raise DevClusterError(f"the host's end of the link {subnet.host_interface} did not come")
    _ip(
        "link set lo up",
        f"addr add {subnet.node}/30 dev {NODE_INTERFACE}",
        f"link set {NODE_INTERFACE} up",
        # A Service's address is translated on its way out only if there is a way out.
        f"route add default via {subnet.host} dev {NODE_INTERFACE}",
    )


def _ip(*commands: str) -> None:
    run([find_program("ip", "iproute2"), "-batch", "-"], stdin="\n".join(commands) + "\n")


def _exists(interface: str) -> bool:
    return interface in (name for _, name in socket.if_nameindex())
