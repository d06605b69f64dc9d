"""Which addresses the host reaches by which of its interfaces: what the subnet of a network must not take from it.

Sources: rtnetlink(7), linux/rtnetlink.h.
"""

import socket
import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from insula.network.rtnetlink import MessageType, NetlinkRequest, Rtnetlink, as_number, attributes

Subnet = IPv4Network | IPv6Network

_ROUTE = struct.Struct("=BBBBBBBBI")
"""rtmsg: family, destination length, source length, service, table, protocol, scope, type, flags."""
_LOCAL_TABLE, _CLONED = 255, 0x200
_KINDS = frozenset({1, 6, 7, 8})
"""RTN_UNICAST, and those by which somebody keeps addresses for himself: BLACKHOLE, UNREACHABLE, PROHIBIT."""
_MOST = 200_000
"""Routes that are read; a host with the whole Internet's has no use for our choice of a subnet."""
_BITS = {socket.AF_INET: 4, socket.AF_INET6: 16}


class _HostRouteAttribute(IntEnum):
    """Attributes of a route (RTA_…)."""

    DESTINATION = 1
    DEVICE = 4
    TABLE = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class HostRoute:
    """A route of the host, in whichever table. device: an interface's index, None where there are several or none."""

    destination: Subnet
    device: int | None


def host_routes(kernel: Rtnetlink) -> tuple[HostRoute, ...]:
    """Return the routes of both families, but default routes and those to addresses of the host itself.

    Those of other tables count as well: VPNs have theirs there.
    Raises: OSError; with E2BIG for more than 200,000 routes.
    """
    found = []
    for family in _BITS:
        request = NetlinkRequest(
            message=MessageType.SHOW_ROUTE, body=_ROUTE.pack(family, *bytes(7), 0), what="the host's routes"
        )
        found += [route for body in kernel.dump(request, most=_MOST) if (route := _parsed(body)) is not None]
    return tuple(found)


def _parsed(body: bytes) -> HostRoute | None:
    family, length, _source, _service, table, _protocol, _scope, kind, flags = _ROUTE.unpack_from(body)
    told = attributes(body, _ROUTE.size)
    if family not in _BITS or kind not in _KINDS or not length or flags & _CLONED:
        return None
    if (
        as_number(told[_HostRouteAttribute.TABLE] if _HostRouteAttribute.TABLE in told else bytes([table, 0, 0, 0]))
        == _LOCAL_TABLE
    ):
        return None
    destination = ip_network((ip_address(told[_HostRouteAttribute.DESTINATION]), length), strict=False)
    if destination.is_link_local or destination.is_multicast:
        return None
    device = as_number(told[_HostRouteAttribute.DEVICE]) if _HostRouteAttribute.DEVICE in told else None
    return HostRoute(destination=destination, device=device)
