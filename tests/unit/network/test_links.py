"""Requests about links, addresses and routes: pyroute2's decoder is the oracle for what we encode."""

import struct
import sys
from typing import Any, cast

import pytest

from insula.engine.interfacespec import Address, Route
from insula.network.links import (
    LOOPBACK,
    Macvlan,
    PeerNamespace,
    Veth,
    add_address,
    add_route,
    all_addresses,
    all_links,
    create_macvlan,
    create_veth,
    delete_link,
    link,
    move,
    of_namespace,
    of_process,
    rename_down,
    switch,
)
from insula.network.rtnetlink import MessageType, NetlinkRequest, Rtnetlink, attribute

VETH = Veth(
    host="vnet%d",
    host_mac="fe:54:00:12:34:56",
    guest="eth0",
    guest_mac="52:54:00:12:34:56",
    place=of_process(4711),
    mtu=9000,
    master=7,
)


def decoded(request: NetlinkRequest) -> Any:
    """Return the request as pyroute2 reads it."""
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    kind = {MessageType.NEW_ADDRESS: ifaddrmsg, MessageType.NEW_ROUTE: rtmsg}.get(request.message, ifinfmsg)
    header = struct.pack("=IHHII", 16 + len(request.body), request.message, request.flags, 1, 0)
    message = kind(header + request.body)
    message.decode()
    return message


def test_a_pair_is_one_message_that_says_everything_about_both_ends() -> None:
    request = create_veth(VETH)
    host = decoded(request)
    assert request.message is MessageType.NEW_LINK
    assert host.get_attr("IFLA_IFNAME") == "vnet%d"
    assert host.get_attr("IFLA_ADDRESS") == "fe:54:00:12:34:56"
    assert host.get_attr("IFLA_MTU") == 9000
    assert host.get_attr("IFLA_MASTER") == 7
    assert (host["flags"], host["change"]) == (1, 1)
    info = host.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "veth"
    guest = info.get_attr("IFLA_INFO_DATA").get_attr("VETH_INFO_PEER")
    assert guest.get_attr("IFLA_IFNAME") == "eth0"
    assert guest.get_attr("IFLA_ADDRESS") == "52:54:00:12:34:56"
    assert guest.get_attr("IFLA_MTU") == 9000
    assert guest.get_attr("IFLA_NET_NS_PID") == 4711


def test_a_card_without_link_leaves_the_hosts_end_off() -> None:
    host = decoded(
        create_veth(
            Veth(host="h", host_mac=VETH.host_mac, guest="g", guest_mac=VETH.guest_mac, place=of_process(1), up=False)
        )
    )
    assert (host["flags"], host["change"]) == (0, 1)
    assert host.get_attr("IFLA_MASTER") is None
    assert host.get_attr("IFLA_MTU") is None


def test_a_macvlan_is_made_in_its_place_on_a_device_of_ours() -> None:
    macvlan = Macvlan(device=3, mode=4, guest="eth0", guest_mac=VETH.guest_mac, place=of_process(4711), mtu=1400)
    message = decoded(create_macvlan(macvlan))
    assert message.get_attr("IFLA_IFNAME") == "eth0"
    assert message.get_attr("IFLA_ADDRESS") == VETH.guest_mac
    assert message.get_attr("IFLA_LINK") == 3
    assert message.get_attr("IFLA_MTU") == 1400
    assert message.get_attr("IFLA_NET_NS_PID") == 4711
    info = message.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "macvlan"
    assert info.get_attr("IFLA_INFO_DATA").get_attr("IFLA_MACVLAN_MODE") == "bridge"


def test_a_device_moves_switched_off_and_under_its_new_name() -> None:
    there, back = decoded(move(3, of_process(4711), "wan")), decoded(move(4, of_namespace(9), "eth1"))
    for message, index, name in ((there, 3, "wan"), (back, 4, "eth1")):
        assert (message["index"], message["flags"], message["change"]) == (index, 0, 1)
        assert message.get_attr("IFLA_IFNAME") == name
    assert there.get_attr("IFLA_NET_NS_PID") == 4711
    assert back.get_attr("IFLA_NET_NS_FD") == 9


@pytest.mark.parametrize(
    ("address", "family", "local", "far", "broadcast", "flags"),
    [
        (Address(address="10.0.0.2", prefix=24), 2, "10.0.0.2", "10.0.0.2", "10.0.0.255", 0),
        (Address(address="10.0.0.2", prefix=31), 2, "10.0.0.2", "10.0.0.2", None, 0),
        (Address(address="10.0.0.2", prefix=32, peer="10.0.0.1"), 2, "10.0.0.2", "10.0.0.1", None, 0),
        (Address(address="2001:db8::2", prefix=64), 10, "2001:db8::2", "2001:db8::2", None, 2),
    ],
)
def test_an_address_is_given_as_ip_would_give_it(
    address: Address, family: int, local: str, far: str, broadcast: str | None, flags: int
) -> None:
    message = decoded(add_address(3, address))
    assert (message["family"], message["index"], message["prefixlen"]) == (family, 3, address.prefix)
    assert message["flags"] == flags
    assert message.get_attr("IFA_LOCAL") == local
    assert message.get_attr("IFA_ADDRESS") == far
    assert message.get_attr("IFA_BROADCAST") == broadcast


@pytest.mark.parametrize(
    ("route", "family", "target", "prefix", "gateway", "metric"),
    [
        (Route(gateway="10.0.0.1"), 2, None, 0, "10.0.0.1", None),
        (Route(gateway="10.0.0.1", destination="192.0.2.0", prefix=24, metric=5), 2, "192.0.2.0", 24, "10.0.0.1", 5),
        (Route(gateway="2001:db8::1"), 10, None, 0, "2001:db8::1", None),
        (Route(gateway=None, destination="192.0.2.0", prefix=24), 2, "192.0.2.0", 24, None, None),
    ],
)
def test_a_route_is_given_as_ip_would_give_it(
    route: Route, family: int, target: str | None, prefix: int, gateway: str | None, metric: int | None
) -> None:
    message = decoded(add_route(3, route))
    assert (message["family"], message["dst_len"]) == (family, prefix)
    assert message.get_attr("RTA_OIF") == 3
    assert message.get_attr("RTA_DST") == target
    assert message.get_attr("RTA_GATEWAY") == gateway
    assert message.get_attr("RTA_PRIORITY") == metric
    assert message["table"] == 254
    assert message["type"] == 1


def test_switching_touches_nothing_but_the_up_flag() -> None:
    on, off = decoded(switch(5, up=True)), decoded(switch(5, up=False))
    assert [(each["index"], each["flags"], each["change"]) for each in (on, off)] == [(5, 1, 1), (5, 0, 1)]


def test_renaming_switches_off_first() -> None:
    message = decoded(rename_down(5, "dying%d"))
    assert (message["index"], message["flags"], message["change"]) == (5, 0, 1)
    assert message.get_attr("IFLA_IFNAME") == "dying%d"


def test_a_link_is_removed_by_its_index() -> None:
    request = delete_link(5)
    assert request.message is MessageType.DELETE_LINK
    assert decoded(request)["index"] == 5


def test_errors_will_name_what_was_asked_for() -> None:
    assert add_address(1, Address(address="10.0.0.2", prefix=24)).what == "address 10.0.0.2/24"
    assert add_route(1, Route(gateway="10.0.0.1")).what == "default route by 10.0.0.1"
    assert add_route(1, Route(gateway=None, destination="192.0.2.0", prefix=24)).what == "route to 192.0.2.0/24"


def test_lo_is_found_by_index_and_by_name_and_is_a_loopback_without_peer() -> None:
    with Rtnetlink() as kernel:
        by_index, by_name = link(kernel, LOOPBACK), link(kernel, "lo")
    assert by_index is not None
    assert by_index == by_name
    assert by_index.name == "lo"
    assert by_index.loopback
    assert by_index.peer is PeerNamespace.HERE
    assert by_index.mtu > 0


def test_an_unknown_interface_is_none() -> None:
    with Rtnetlink() as kernel:
        assert link(kernel, "nosuchlink0") is None


def test_lo_is_among_all_links_and_its_address_among_all_addresses() -> None:
    with Rtnetlink() as kernel:
        assert "lo" in {each.name for each in all_links(kernel)}
        addresses = all_addresses(kernel)
    loopback = [address for index, address in addresses if index == LOOPBACK]
    assert all(address.address in ("127.0.0.1", "::1") or address.prefix for address in loopback)


class TellingKernel:
    """Tells what it is given, whatever is asked."""

    def __init__(self, *bodies: bytes) -> None:
        self.bodies = bodies

    def dump(self, request: NetlinkRequest, *, most: int | None = None) -> list[bytes]:
        return list(self.bodies)


def test_an_address_of_a_family_that_a_guest_chose_hides_none_of_the_others() -> None:
    mctp = bytes([45, 0, 0, 0]) + (1).to_bytes(4, sys.byteorder) + attribute(2, b"\x09")
    kernel = TellingKernel(mctp, add_address(2, Address(address="10.0.0.2", prefix=24)).body)
    assert [(index, each.address) for index, each in all_addresses(cast("Rtnetlink", kernel))] == [(2, "10.0.0.2")]
