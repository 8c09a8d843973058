"""Which addresses a cluster gets."""

from ipaddress import IPv4Network

import pytest

from devcluster.errors import DevClusterError
from devcluster.slots import SLOTS, Subnet, choose_slot


def networks(*names: str) -> list[IPv4Network]:
    return [IPv4Network(name) for name in names]


def test_the_first_cluster_gets_the_first_slot() -> None:
    assert choose_slot(set(), networks("0.0.0.0/0", "192.0.2.0/24")) == 0


def test_the_lowest_free_slot_is_taken() -> None:
    assert choose_slot({0, 1, 3}, []) == 2


@pytest.mark.parametrize("route", ["10.200.0.0/16", "10.200.7.0/24", "10.200.0.0/15"])
def test_a_slot_whose_addresses_the_host_routes_elsewhere_is_passed_over(route: str) -> None:
    assert choose_slot(set(), networks(route)) == (2 if route.endswith("/15") else 1)


def test_no_slot_is_left_after_sixteen() -> None:
    with pytest.raises(DevClusterError, match=r"10\.200\.0\.0/16 to 10\.215\.0\.0/16 is free\n  next: end a cluster"):
        choose_slot(set(range(SLOTS)), [])


def test_a_private_network_that_covers_all_leaves_no_slot() -> None:
    with pytest.raises(DevClusterError, match="is free"):
        choose_slot(set(), networks("10.0.0.0/8"))


@pytest.mark.parametrize("slot", range(SLOTS))
def test_nothing_of_a_cluster_overlaps(slot: int) -> None:
    subnet = Subnet(slot)
    link = IPv4Network(f"{subnet.host}/30", strict=False)
    parts = [link, IPv4Network(subnet.pods), IPv4Network(subnet.services)]
    assert all(part.subnet_of(IPv4Network(subnet.cidr)) for part in parts)
    assert not any(one.overlaps(other) for one in parts for other in parts if one is not other)
    assert len(subnet.host_interface) < 16
    for address in (subnet.kubernetes_service, subnet.dns_service):
        assert IPv4Network(address).subnet_of(IPv4Network(subnet.services))
    assert IPv4Network(subnet.node).subnet_of(link)
