"""Free subnets."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.errors import OperationFailedError
from insula.network.virtual.hostroutes import Subnet
from insula.network.virtual.subnets import colliding, free_ipv4, free_ula

VPN, DOCKER = ip_network("10.0.0.0/8"), ip_network("172.17.0.0/16")


def test_libvirts_default_is_the_first_choice_and_the_next_ones_follow() -> None:
    assert free_ipv4([VPN, DOCKER]) == ip_network("192.168.122.0/24")
    assert free_ipv4([ip_network("192.168.122.0/25")]) == ip_network("192.168.123.0/24")
    assert free_ipv4([ip_network("192.168.64.0/18"), ip_network("192.168.128.0/17")]) == ip_network("192.168.1.0/24")


def test_other_private_addresses_serve_where_the_first_are_all_taken() -> None:
    assert free_ipv4([ip_network("192.168.0.0/16"), DOCKER]) == ip_network("172.16.0.0/24")
    assert free_ipv4([ip_network("192.168.0.0/16"), ip_network("172.16.0.0/12")]) == ip_network("10.0.0.0/24")
    with pytest.raises(OperationFailedError, match="no private IPv4 subnet is free"):
        free_ipv4([ip_network("192.168.0.0/16"), ip_network("172.16.0.0/12"), VPN])


def test_a_default_route_takes_nothing() -> None:
    assert colliding(ip_network("192.168.122.0/24"), [ip_network("0.0.0.0/0"), ip_network("::/0")]) is None


@pytest.mark.parametrize("other", ["192.168.122.7/32", "192.168.0.0/16", "192.168.122.0/24"])
def test_a_part_and_a_whole_collide(other: str) -> None:
    taken = [ip_network("fd00::/8"), ip_network(other)]
    assert colliding(ip_network("192.168.122.0/24"), taken) == ip_network(other)


subnets = st.builds(
    lambda address, length: IPv4Network((address, length), strict=False), st.ip_addresses(v=4), st.integers(9, 32)
)


@given(st.lists(subnets, max_size=20))
def test_what_is_given_out_is_private_and_has_nothing_of_others(taken: list[Subnet]) -> None:
    found = free_ipv4(taken)
    assert found.is_private
    assert colliding(found, taken) is None


def test_local_ipv6_addresses_follow_from_the_network_and_move_on_when_taken() -> None:
    first = free_ula("one", [])
    assert first == free_ula("one", [])
    assert first != free_ula("two", [])
    assert first.prefixlen == 64
    assert first.subnet_of(IPv6Network("fd00::/8"))
    assert free_ula("one", [first]) != first
    with pytest.raises(OperationFailedError, match="fd00::/8"):
        free_ula("one", [IPv6Network("fd00::/8")])


def test_families_do_not_collide_with_one_another() -> None:
    assert colliding(ip_network("192.168.122.0/24"), [ip_network("fd00::/8")]) is None
    assert IPv4Address("192.168.122.1") in ip_network("192.168.122.0/24")
