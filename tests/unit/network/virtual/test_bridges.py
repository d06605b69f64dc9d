"""Requests about bridges: pyroute2's decoder is the oracle for what we encode, and its encoder for what we read."""

import struct
from dataclasses import replace
from typing import Any

import pytest

from insula.network.rtnetlink import MessageType, NetlinkFlag, NetlinkRequest
from insula.network.virtual.bridges import (
    LEARNT_MOST,
    Bridge,
    HostBridge,
    as_made,
    change_bridge,
    create_bridge,
    mark,
    parse_bridge,
    set_mac,
)

PLAIN = Bridge(name="virbr0", mac="52:54:00:00:00:01")


def decoded(request: NetlinkRequest) -> Any:
    """Return the request as pyroute2 reads it."""
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    header = struct.pack("=IHHII", 16 + len(request.body), request.message, request.flags, 1, 0)
    message = ifinfmsg(header + request.body)
    message.decode()
    return message


def data_of(request: NetlinkRequest) -> Any:
    information = decoded(request).get_attr("IFLA_LINKINFO")
    assert information.get_attr("IFLA_INFO_KIND") == "bridge"
    return information.get_attr("IFLA_INFO_DATA")


def test_a_bridge_is_made_with_its_name_and_address_and_never_taken_over() -> None:
    request = create_bridge(PLAIN)
    assert request.flags == NetlinkFlag.CREATE | NetlinkFlag.EXCLUSIVE
    assert decoded(request).get_attr("IFLA_IFNAME") == "virbr0"
    assert decoded(request).get_attr("IFLA_ADDRESS") == "52:54:00:00:00:01"
    assert decoded(request).get_attr("IFLA_MTU") is None, "or its ports would change it all the same"


def test_a_plain_bridge_forwards_at_once() -> None:
    data = data_of(create_bridge(PLAIN))
    assert (data.get_attr("IFLA_BR_FORWARD_DELAY"), data.get_attr("IFLA_BR_STP_STATE")) == (0, 0)
    assert data.get_attr("IFLA_BR_VLAN_FILTERING") is None


@pytest.mark.parametrize(("delay", "ticks"), [(0, 200), (2, 200), (15, 1500)])
def test_a_bridge_that_speaks_stp_waits_as_long_as_the_kernel_wants_it_to(delay: int, ticks: int) -> None:
    data = data_of(change_bridge(7, Bridge(name="virbr0", mac=PLAIN.mac, stp=True, delay=delay)))
    assert (data.get_attr("IFLA_BR_FORWARD_DELAY"), data.get_attr("IFLA_BR_STP_STATE")) == (ticks, 1)


def test_vlans_are_told_apart_where_that_is_wanted() -> None:
    data = data_of(create_bridge(Bridge(name="virbr0", mac=PLAIN.mac, vlans=True)))
    assert data.get_attr("IFLA_BR_VLAN_FILTERING") == 1


def test_a_bridge_learns_no_more_addresses_than_it_may() -> None:
    """pyroute2 does not know the attribute, so it is looked for as it is written."""
    assert struct.pack("=HHI", 8, 49, LEARNT_MOST) in create_bridge(PLAIN).body
    found = HostBridge(
        index=7,
        name="virbr0",
        kind="bridge",
        mac=PLAIN.mac,
        mtu=1500,
        up=True,
        alias="",
        stp=False,
        delay=0,
        vlans=False,
    )
    assert [as_made(PLAIN, replace(found, learnt_most=each)) for each in (None, LEARNT_MOST, 0)] == [True, True, False]


def test_marks_and_addresses_name_the_link_they_are_for() -> None:
    assert decoded(mark(7, "insula network x")).get_attr("IFLA_IFALIAS") == "insula network x"
    assert decoded(set_mac(7, "52:54:00:00:00:02")).get_attr("IFLA_ADDRESS") == "52:54:00:00:00:02"
    assert [decoded(each)["index"] for each in (mark(7, "x"), set_mac(7, PLAIN.mac))] == [7, 7]


def told(**attributes: Any) -> bytes:
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    message = ifinfmsg()
    message["index"], message["flags"] = 7, 1
    message["attrs"] = [(f"IFLA_{name}", value) for name, value in attributes.items()]
    message["header"]["type"] = MessageType.NEW_LINK
    message.encode()
    return bytes(message.data[16:])


def test_what_the_kernel_tells_of_a_bridge_is_understood() -> None:
    data = [("IFLA_BR_FORWARD_DELAY", 1500), ("IFLA_BR_STP_STATE", 1), ("IFLA_BR_VLAN_FILTERING", 1)]
    body = told(
        IFNAME="virbr0",
        ADDRESS=PLAIN.mac,
        MTU=1500,
        IFALIAS="ours",
        LINKINFO={"attrs": [("IFLA_INFO_KIND", "bridge"), ("IFLA_INFO_DATA", {"attrs": data})]},
    )
    found = parse_bridge(body)
    assert (found.index, found.name, found.kind, found.mac, found.up) == (7, "virbr0", "bridge", PLAIN.mac, True)
    assert (found.alias, found.stp, found.delay, found.vlans, found.mtu) == ("ours", True, 15, True, 1500)
    assert as_made(Bridge(name="virbr0", mac=PLAIN.mac, stp=True, delay=15, vlans=True), found)
    assert not as_made(PLAIN, found)


def test_a_link_that_is_no_bridge_is_told_as_what_it_is() -> None:
    found = parse_bridge(told(IFNAME="virbr0", LINKINFO={"attrs": [("IFLA_INFO_KIND", "dummy")]}))
    assert (found.kind, found.stp, found.alias) == ("dummy", False, "")


def test_a_message_that_is_cut_short_is_told() -> None:
    with pytest.raises(OSError, match="cut short"):
        parse_bridge(b"\0" * 7)
