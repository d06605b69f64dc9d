"""What messages about interfaces are made of."""

import socket

from insula.network.linkattributes import LINK, UP, LinkAttribute, mac_bytes


def test_a_mac_address_is_six_bytes() -> None:
    assert mac_bytes("52:54:00:12:34:56") == b"\x52\x54\x00\x12\x34\x56"


def test_the_fixed_part_is_as_long_as_the_kernels() -> None:
    assert LINK.size == 16
    assert LINK.unpack(LINK.pack(socket.AF_UNSPEC, 0, 7, UP, UP)) == (0, 0, 7, UP, UP)


def test_attributes_have_the_numbers_that_pyroute2_knows() -> None:
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    names = [each[0] for each in ifinfmsg.nla_map]
    expected = {
        LinkAttribute.ADDRESS: "IFLA_ADDRESS",
        LinkAttribute.NAME: "IFLA_IFNAME",
        LinkAttribute.MASTER: "IFLA_MASTER",
        LinkAttribute.INFO: "IFLA_LINKINFO",
    }
    assert {number: names[number] for number in expected} == expected
