"""Addresses and routes that are saved: which, and that the kernel's words for their state are left out."""

import errno
import socket
import struct
from typing import Any, cast

import pytest

from insula.engine.interfacespec import Address, Route
from insula.network.links import add_address, add_route
from insula.network.rtnetlink import MessageType, NetlinkFlag, NetlinkRequest, Rtnetlink, attribute, number
from insula.network.savedparts import (
    address_again,
    address_away,
    address_of,
    is_ipv4,
    is_route,
    route_again,
    routes_through,
    saved_addresses,
    saved_routes,
)

FOUR, SIX = Address(address="10.0.0.2", prefix=24), Address(address="2001:db8::2", prefix=64)
FAR = Route(gateway="10.0.0.1", destination="192.0.2.0", prefix=24, metric=7)


class Kernel:
    """Tells what it is given, whatever is asked."""

    def __init__(self, *bodies: bytes) -> None:
        self.bodies = bodies

    def dump(self, request: NetlinkRequest, *, most: int | None = None) -> list[bytes]:
        found = [each for each in self.bodies if request.body[0] in (0, each[0])]
        if most is not None and len(found) > most:
            raise OSError(errno.E2BIG, f"{request.what}: more than {most}")
        return found

    @property
    def socket(self) -> Rtnetlink:
        return cast("Rtnetlink", self)


def address(index: int, wanted: Address, *, flags: int = 0) -> bytes:
    body = bytearray(add_address(index, wanted).body)
    body[2] = flags
    return bytes(body)


def route(index: int, wanted: Route, *, protocol: int = 4, flags: int = 0) -> bytes:
    body = bytearray(add_route(index, wanted).body)
    body[5] = protocol
    struct.pack_into("=I", body, 8, flags)
    return bytes(body)


def test_addresses_of_the_link_are_saved_but_for_what_the_kernel_makes_of_others() -> None:
    secondary = address(2, Address(address="10.0.0.3", prefix=24), flags=1)
    told = (address(2, FOUR), address(3, FOUR), secondary, address(2, SIX, flags=1), address(2, SIX))
    assert saved_addresses(Kernel(*told).socket, 2) == [told[0], secondary, told[4]]
    assert [address_of(each) for each in (told[0], told[4])] == [
        bytes([10, 0, 0, 2]),
        socket.inet_pton(10, "2001:db8::2"),
    ]
    assert (is_ipv4(told[0]), is_ipv4(told[4])) == (True, False)


@pytest.mark.parametrize(("protocol", "kept"), [(2, False), (9, False), (1, False), (3, True), (4, True), (16, True)])
def test_routes_that_the_kernel_makes_or_learns_again_are_left_to_it(protocol: int, kept: bool) -> None:
    told = route(2, FAR, protocol=protocol)
    (found,) = routes_through(Kernel(told, route(3, FAR)).socket, 2)
    assert found == told
    assert len(saved_routes([found])) == kept


def test_a_table_of_routes_is_read_no_further_than_to_its_bound() -> None:
    told = [route(number, FAR) for number in range(1, 9)]
    assert len(routes_through(Kernel(*told).socket, 2, most=8)) == 1
    with pytest.raises(OSError, match="routes: more than 7") as caught:
        routes_through(Kernel(*told).socket, 2, most=7)
    assert caught.value.errno == errno.E2BIG


def test_what_tells_of_a_routes_state_is_not_said_to_the_kernel() -> None:
    (saved,) = saved_routes([route(2, FAR, flags=16 | 4 | 1)])
    assert struct.unpack_from("=I", saved, 8) == (4,)


def test_a_route_by_several_ways_is_saved_if_one_of_them_is_the_links() -> None:
    hops = b"".join(
        struct.pack("=HBBi", 16, 16 | 4, 0, index) + attribute(5, bytes([10, 0, 0, index])) for index in (2, 3)
    )
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 254, 3, 0, 1, 0) + number(6, 9) + attribute(9, hops)
    (found,) = routes_through(Kernel(body).socket, 3)
    assert routes_through(Kernel(body).socket, 4) == []
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    (saved,) = saved_routes([found])
    message: Any = rtmsg(struct.pack("=IHHII", 16 + len(saved), 24, 0, 1, 0) + saved)
    message.decode()
    assert [(each["oif"], each["flags"]) for each in message.get_attr("RTA_MULTIPATH")] == [(2, 4), (3, 4)]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (FAR, True),
        (Route(gateway="10.0.0.1", destination="192.0.2.0", prefix=24), True),
        (Route(gateway="10.0.0.1", destination="192.0.2.0", prefix=24, metric=8), False),
        (Route(gateway="10.0.0.1", destination="192.0.2.0", prefix=25, metric=7), False),
        (Route(gateway=None, destination="192.0.2.0", prefix=24, metric=7), False),
        (Route(gateway="10.0.0.1", metric=7), False),
    ],
)
def test_a_route_is_known_again(other: Route, same: bool) -> None:
    assert is_route(route(2, FAR), other) == same


def test_a_route_of_another_table_is_another_one() -> None:
    body = bytearray(route(2, FAR))
    body[4] = 100
    assert not is_route(bytes(body), FAR)


def test_what_was_saved_is_said_to_the_kernel_as_it_was() -> None:
    for request, kind in (
        (address_again(b"a"), MessageType.NEW_ADDRESS),
        (address_away(b"a"), MessageType.DELETE_ADDRESS),
        (route_again(b"a"), MessageType.NEW_ROUTE),
    ):
        assert (request.message, request.body) == (kind, b"a")
    assert route_again(b"a").flags == NetlinkFlag.CREATE | NetlinkFlag.EXCLUSIVE
