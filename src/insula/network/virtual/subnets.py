"""Free subnets: such as collide with nothing that the host reaches, and with no other network's. Pure."""

import hashlib
from collections.abc import Collection, Iterator
from ipaddress import IPv4Network, IPv6Network

from insula.errors import OperationFailedError
from insula.network.virtual.hostroutes import Subnet

_FIRST_IPV4 = IPv4Network("192.168.122.0/24")
"""libvirt's own default: what administrators know, if it is free."""
_IPV4_POOLS = (IPv4Network("192.168.0.0/16"), IPv4Network("172.16.0.0/12"), IPv4Network("10.0.0.0/8"))
"""Private addresses: RFC 1918."""
_ULA = IPv6Network("fd00::/8")
"""Addresses that everybody may give himself: RFC 4193, where the 40 bits behind fd are of chance."""


def colliding(subnet: Subnet, taken: Collection[Subnet]) -> Subnet | None:
    """Return a taken subnet that has addresses of this one, None if there is none; default routes take nothing."""
    return next(
        (each for each in taken if each.prefixlen and each.version == subnet.version and _overlap(subnet, each)), None
    )


def _overlap(one: Subnet, other: Subnet) -> bool:
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network):
        return one.overlaps(other)
    return isinstance(one, IPv6Network) and isinstance(other, IPv6Network) and one.overlaps(other)


def free_ipv4(taken: Collection[Subnet]) -> IPv4Network:
    """Return a free private subnet of 254 hosts: libvirt's default, else the first one from 192.168.123.0 on.

    taken: what the host's routes and addresses and other networks, running or not, have.
    Raises: OperationFailedError when all private addresses are taken.
    """
    for subnet in _ipv4_candidates():
        if colliding(subnet, taken) is None:
            return subnet
    raise OperationFailedError("no private IPv4 subnet is free: every one has a route or is another network's")


def _ipv4_candidates() -> Iterator[IPv4Network]:
    yield _FIRST_IPV4
    first = list(_IPV4_POOLS[0].subnets(new_prefix=24))
    start = first.index(_FIRST_IPV4)
    yield from first[start + 1 :]
    yield from first[1:start]
    for pool in _IPV4_POOLS[1:]:
        yield from pool.subnets(new_prefix=24)


def free_ula(seed: str, taken: Collection[Subnet]) -> IPv6Network:
    """Return a free /64 of unique local addresses, the same one for the same seed as long as that is free.

    seed: such as the network's UUID: random is what counts (RFC 4193, 3.2), so that sites that are joined later do not
    meet. Raises: OperationFailedError if a hundred of them are taken, which chance does not allow.
    """
    for number in range(100):
        digest = hashlib.sha256(f"{seed} {number}".encode()).digest()
        prefix = int(_ULA.network_address) | int.from_bytes(digest[:7], "big") << 64
        subnet = IPv6Network((prefix, 64))
        if colliding(subnet, taken) is None:
            return subnet
    raise OperationFailedError("no IPv6 subnet of local addresses is free: fd00::/8 has a route")
