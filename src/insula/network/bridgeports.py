"""Ports of the host's bridges: which VLANs they carry, what they reach, and what the bridge believes of them.

Sources: bridge(8), linux/if_bridge.h, linux/if_link.h (IFLA_BRPORT_…), linux/neighbour.h; net/bridge/br_netlink.c,
br_stp_bpdu.c and br_fdb.c in Linux.
"""

import socket
import struct
from enum import IntEnum

from insula.engine.interfacespec import BridgePort, PortVlans
from insula.network.linkattributes import LINK, mac_bytes
from insula.network.rtnetlink import MessageType, NetlinkFlag, NetlinkRequest, attribute

_BRIDGE_FAMILY = getattr(socket, "AF_BRIDGE", 7)
_NESTED = 0x8000
_PORT_INFORMATION, _SPECIFIC = 12, 26
"""Attributes of a link (IFLA_PROTINFO, IFLA_AF_SPEC)."""
_VLAN_INFORMATION = 2
"""IFLA_BRIDGE_VLAN_INFO: flags, number."""
_VLAN = struct.Struct("=HH")
_NATIVE, _UNTAGGED, _FIRST, _LAST = 2, 4, 8, 16
"""BRIDGE_VLAN_INFO_…: PVID, UNTAGGED, RANGE_BEGIN, RANGE_END."""
_ALL = (1, 4094)
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
"""ndmsg: family, interface, state, flags, type."""
_STATIC, _OF_THE_BRIDGE, _LINK_ADDRESS = 0x40 | 0x02, 0x04, 2
"""NUD_NOARP and NUD_REACHABLE, by which an entry neither ages nor moves; NTF_MASTER; NDA_LLADDR."""


class _PortFlag(IntEnum):
    """Attributes of a port, a byte each."""

    GUARD = 5
    """A frame of STP that comes in by it takes it off the bridge; of no effect while the bridge speaks no STP."""
    LEARNING = 8
    UNICAST_FLOOD = 9
    """Whether it is sent what is for nobody that the bridge knows."""
    ISOLATED = 33


def as_wanted(index: int, port: BridgePort) -> tuple[NetlinkRequest, ...]:
    """Return the requests that make a port of a bridge what is wanted, whatever it was."""
    requests = [_behave(index, port)]
    if port.vlans is not None:
        requests += (carry_none(index), carry(index, port.vlans))
    if port.only_mac is not None:  # in each of the port's VLANs, so after those
        requests.append(know(index, port.only_mac))
    return tuple(requests)


def _behave(index: int, port: BridgePort) -> NetlinkRequest:
    flags = {
        _PortFlag.GUARD: not port.trusted,
        _PortFlag.LEARNING: port.only_mac is None,
        _PortFlag.UNICAST_FLOOD: port.only_mac is None,
        _PortFlag.ISOLATED: port.isolated,
    }
    told = b"".join(attribute(flag, bytes([value])) for flag, value in flags.items())
    body = LINK.pack(_BRIDGE_FAMILY, 0, index, 0, 0) + attribute(_PORT_INFORMATION | _NESTED, told)
    return NetlinkRequest(message=MessageType.SET_LINK, body=body, what="what the port may do")


def know(index: int, mac: str) -> NetlinkRequest:
    """Return the request that has a port's bridge know a MAC address there for good, until the port leaves it."""
    body = _NEIGHBOUR.pack(_BRIDGE_FAMILY, index, _STATIC, _OF_THE_BRIDGE, 0)
    return NetlinkRequest(
        message=MessageType.NEW_NEIGHBOUR,
        flags=NetlinkFlag.CREATE | NetlinkFlag.REPLACE,
        body=body + attribute(_LINK_ADDRESS, mac_bytes(mac)),
        what=f"the MAC address {mac} in the bridge's table",
    )


def carry_none(index: int) -> NetlinkRequest:
    """Return the request that takes all VLANs off a port."""
    first, last = (_VLAN.pack(flag, vlan) for flag, vlan in zip((_FIRST, _LAST), _ALL, strict=True))
    return _vlans(MessageType.DELETE_LINK, index, first, last)


def carry(index: int, vlans: PortVlans) -> NetlinkRequest:
    """Return the request that adds VLANs to a port."""
    told = [_VLAN.pack(0, each) for each in vlans.tagged if each != vlans.native]
    if vlans.native is not None:
        told.append(_VLAN.pack(_NATIVE | (0 if vlans.native_tagged else _UNTAGGED), vlans.native))
    return _vlans(MessageType.SET_LINK, index, *told)


def _vlans(message: MessageType, index: int, *told: bytes) -> NetlinkRequest:
    listed = b"".join(attribute(_VLAN_INFORMATION, each) for each in told)
    body = LINK.pack(_BRIDGE_FAMILY, 0, index, 0, 0) + attribute(_SPECIFIC | _NESTED, listed)
    return NetlinkRequest(message=message, body=body, what="the VLANs of a port")
