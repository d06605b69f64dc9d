"""Ports of bridges as the kernel is told of them: pyroute2 must read what was meant."""

import struct
from typing import Any

import pytest

from insula.engine.interfacespec import BridgePort, PortVlans
from insula.network.bridgeports import as_wanted, carry, carry_none, know
from insula.network.rtnetlink import MessageType, NetlinkRequest

MAC = "52:54:00:00:00:01"


def decoded(request: NetlinkRequest) -> Any:
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    header = struct.pack("=IHHII", 16 + len(request.body), request.message, request.flags, 1, 0)
    message = ifinfmsg(header + request.body)
    message.decode()
    return message


@pytest.mark.parametrize(
    ("port", "guard", "learning", "isolated"),
    [
        (BridgePort(), 1, 1, 0),
        (BridgePort(isolated=True), 1, 1, 1),
        (BridgePort(trusted=True), 0, 1, 0),
        (BridgePort(only_mac=MAC), 1, 0, 0),
    ],
    ids=["usual", "isolated", "trusted", "one address"],
)
def test_a_port_may_do_what_is_wanted_whatever_it_might_before(
    port: BridgePort, guard: int, learning: int, isolated: int
) -> None:
    request = as_wanted(7, port)[0]
    assert (decoded(request)["family"], decoded(request)["index"]) == (7, 7)
    flags = {5: guard, 8: learning, 9: learning, 33: isolated}
    assert request.body.endswith(b"".join(struct.pack("=HHB3x", 5, flag, value) for flag, value in flags.items()))


def test_an_address_is_known_in_all_vlans_of_its_port() -> None:
    requests = as_wanted(7, BridgePort(vlans=PortVlans(native=42), only_mac=MAC))
    assert [each.message for each in requests[1:]] == [
        MessageType.DELETE_LINK,
        MessageType.SET_LINK,
        MessageType.NEW_NEIGHBOUR,
    ]


def test_an_address_that_a_bridge_knows_neither_ages_nor_moves() -> None:
    from pyroute2.netlink.rtnl.ndmsg import ndmsg

    request = know(7, MAC)
    message = ndmsg(struct.pack("=IHHII", 16 + len(request.body), request.message, request.flags, 1, 0) + request.body)
    message.decode()
    told = (message["family"], message["ifindex"], message["state"], message["flags"], message.get_attr("NDA_LLADDR"))
    assert told == (7, 7, 0x42, 0x04, MAC)


def carried(request: NetlinkRequest) -> list[tuple[int, int]]:
    """Return (flags, VLAN) of each that a message names."""
    specific = decoded(request).get_attr("IFLA_AF_SPEC")
    return [(each["flags"], each["vid"]) for each in specific.get_attrs("IFLA_BRIDGE_VLAN_INFO")]


@pytest.mark.parametrize(
    ("vlans", "told"),
    [
        (PortVlans(native=42), [(6, 42)]),
        (PortVlans(tagged=(10, 20)), [(0, 10), (0, 20)]),
        (PortVlans(tagged=(10,), native=7, native_tagged=True), [(0, 10), (2, 7)]),
    ],
    ids=["own", "trunk", "native tagged"],
)
def test_a_port_carries_vlans_with_and_without_tags(vlans: PortVlans, told: list[tuple[int, int]]) -> None:
    assert carry(7, vlans).message is MessageType.SET_LINK
    assert carried(carry(7, vlans)) == told


def test_all_vlans_are_taken_off_as_a_range() -> None:
    assert carry_none(7).message is MessageType.DELETE_LINK
    assert carried(carry_none(7)) == [(8, 1), (16, 4094)]
