"""Which addresses are public, so that a URL of unknown origin may lead there.

Python's `is_global` and `is_private` are not used: before 3.11.10 they were wrong about several ranges (CVE-2024-4032).
The ranges are those of the IANA registries of special-purpose addresses, and the clouds' metadata addresses.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SPECIAL: Final[dict[Network, str]] = {
    ip_network(network): kind
    for kind, networks in {
        "unspecified": ["0.0.0.0/8"],
        "private": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
        "shared by a carrier's customers": ["100.64.0.0/10"],
        "loopback": ["127.0.0.0/8"],
        "link-local": ["169.254.0.0/16"],
        "a cloud's metadata": ["168.63.129.16/32"],  # Azure's is public in form
        "reserved": ["192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4"],
        "for documentation": ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"],
        "multicast": ["224.0.0.0/4"],
        "a tunnel": ["2002::/16"],  # 6to4; Teredo is within the next
        "for protocols": ["2001::/23"],
    }.items()
    for network in networks
}
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All of IPv6 that is public is in here: no other part of it needs a name."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""How a network of IPv6 alone reaches IPv4 (RFC 6052): as public as the address within."""
_EMBEDDING: Final = {
    _NAT64: 0,
    IPv6Network("64:ff9b:1::/48"): 0,  # NAT64 of one network (RFC 8215)
    IPv6Network("::ffff:0:0/96"): 0,  # IPv4-mapped
    IPv6Network("::ffff:0:0:0/96"): 0,  # IPv4-translated
    IPv6Network("2002::/16"): 80,  # 6to4
}
"""IPv6 addresses that stand for an IPv4 address, and how many bits are behind it."""
_NEVER: Final[Sequence[Network]] = tuple(
    ip_network(network)
    for network in (
        *("0.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "224.0.0.0/4"),
        *("240.0.0.0/4", "::/128", "fe80::/10", "fd00:ec2::/32", "fd20:ce::/32", "fd00:42::/32", "ff00::/8"),
    )
)
"""What no setting allows: metadata of the clouds, and what is no single machine."""


def parse_address(text: str) -> Address:
    """Give an address, without the zone that a resolver adds to one of a link.

    Raises:
        ValueError: It is none.
    """
    return ip_address(text.partition("%")[0])


def fault_of_address(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Say what kind of address it is that must not be reached; None if it may be.

    Args:
        address: Where a connection would go.
        allowed: Networks that may be reached although they are not public.
    """
    if any(_is_in(form, network) for form in (address, *_embedded(address)) for network in _NEVER):
        return _kind(address) or "a cloud's metadata"
    if any(_is_in(address, network) for network in allowed):
        return None
    return _kind(address)


def _is_in(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network


def _kind(address: Address) -> str | None:
    if _is_in(address, _NAT64):
        return next(_kind(inner) for inner in _embedded(address))
    for network, kind in _SPECIAL.items():
        if _is_in(address, network):
            return kind
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return "loopback" if address.is_loopback else "not public"
    return None


def _embedded(address: Address) -> Iterator[IPv4Address]:
    for network, bits in _EMBEDDING.items():
        if _is_in(address, network):
            yield IPv4Address(int(address) >> bits & 0xFFFFFFFF)
