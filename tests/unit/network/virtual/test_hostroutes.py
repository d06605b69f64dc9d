"""Routes of the host, as the kernel tells them."""

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any, cast

from insula.network.rtnetlink import NetlinkRequest, Rtnetlink
from insula.network.virtual.hostroutes import HostRoute, host_routes

AF_INET, AF_INET6 = 2, 10


def route(destination: str, *, device: int | None = 3, table: int = 254, kind: int = 1, flags: int = 0) -> bytes:
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    network = ip_network(destination)
    message = rtmsg()
    message["family"] = AF_INET if network.version == 4 else AF_INET6
    message["dst_len"], message["table"], message["type"], message["flags"] = (
        network.prefixlen,
        table & 255,
        kind,
        flags,
    )
    attributes: list[tuple[str, Any]] = [("RTA_TABLE", table)]
    if network.prefixlen:
        attributes.append(("RTA_DST", str(network.network_address)))
    if device is not None:
        attributes.append(("RTA_OIF", device))
    message["attrs"] = attributes
    message.encode()
    return bytes(message.data[16:])


class Told:
    """A kernel that tells these routes, whatever family it is asked for; each is of its own."""

    def __init__(self, *bodies: bytes) -> None:
        self.bodies = bodies

    def dump(self, request: NetlinkRequest, *, most: int | None = None) -> Sequence[bytes]:
        return [each for each in self.bodies if each[0] == request.body[0]]


def told(*bodies: bytes) -> tuple[HostRoute, ...]:
    return host_routes(cast("Rtnetlink", Told(*bodies)))


def test_routes_of_both_families_and_of_any_table_are_told() -> None:
    found = told(route("10.8.0.0/16"), route("fd00:1::/64", device=4), route("10.9.0.0/24", table=51820))
    assert [(str(each.destination), each.device) for each in found] == [
        ("10.8.0.0/16", 3),
        ("10.9.0.0/24", 3),
        ("fd00:1::/64", 4),
    ]


def test_addresses_that_somebody_keeps_for_himself_count_as_reached() -> None:
    found = told(route("10.244.0.0/16", device=None, kind=6))
    assert found == (HostRoute(destination=ip_network("10.244.0.0/16"), device=None),)


def test_what_takes_no_subnet_is_left_out() -> None:
    local, multicast, cloned = 2, 5, 0x200
    assert (
        told(
            route("0.0.0.0/0"),
            route("::/0"),
            route("192.168.1.7/32", table=255, kind=local),
            route("fe80::/64"),
            route("ff00::/8", kind=multicast),
            route("10.1.2.3/32", flags=cloned),
        )
        == ()
    )
