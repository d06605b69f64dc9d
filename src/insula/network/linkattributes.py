"""What messages about network interfaces are made of: their fixed structure, and their attributes by number.

Sources: rtnetlink(7), linux/if_link.h, linux/if.h.
"""

import struct
from enum import IntEnum

LINK = struct.Struct("=BxHiII")
"""ifinfomsg: family, hardware type, index, flags, mask of flags to change."""
UP = 0x1
"""The flag of an interface that is switched on (IFF_UP)."""


class LinkAttribute(IntEnum):
    """Attributes of a link (IFLA_…)."""

    ADDRESS = 1
    NAME = 3
    MTU = 4
    LINK = 5
    MASTER = 10
    INFO = 18
    NET_NS_PID = 19
    NET_NS_FD = 28
    EXT_MASK = 29
    CARRIER = 33
    LINK_NET_NS = 37


class LinkInfoAttribute(IntEnum):
    """Attributes within a link's info (IFLA_INFO_…), and within its data (VETH_INFO_…, IFLA_MACVLAN_…)."""

    KIND = 1
    DATA = 2
    VETH_PEER = 1
    MACVLAN_MODE = 1


def mac_bytes(mac: str) -> bytes:
    """Return the six bytes of a MAC address written with colons."""
    return bytes.fromhex(mac.replace(":", ""))
