"""Addresses and routes of a link as the kernel's own messages, by which they can be put back with all they have.

What the kernel makes by itself once addresses are there, or learns from routers again, is left to it.
Sources: rtnetlink(7), linux/if_addr.h, linux/rtnetlink.h.
"""

import socket
import struct
from collections.abc import Iterable
from ipaddress import ip_address

from insula.engine.interfacespec import Route
from insula.network.rtnetlink import MessageType, NetlinkFlag, NetlinkRequest, Rtnetlink, as_number, attributes

_ADDRESS = struct.Struct("=BBBBI")
"""ifaddrmsg: family, prefix length, flags, scope, index."""
_ROUTE = struct.Struct("=BBBBBBBBI")
"""rtmsg: family, destination length, source length, service, table, protocol, scope, type, flags."""
_NEXT_HOP = struct.Struct("=HBBi")
"""rtnexthop: length with its attributes, flags, weight, index."""
_TEMPORARY = 0x01
"""Of an IPv6 address that the kernel makes from another one (IFA_F_TEMPORARY)."""
_ADDRESS_ITSELF, _LOCAL = 1, 2
"""Attributes of an address (IFA_ADDRESS, IFA_LOCAL)."""
_TARGET, _OUTGOING, _GATEWAY, _METRIC, _SEVERAL = 1, 4, 5, 6, 9
"""Attributes of a route (RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_MULTIPATH)."""
_BY_ITSELF = frozenset({1, 2, 9})
"""Who made a route that the kernel makes again: RTPROT_REDIRECT, RTPROT_KERNEL, RTPROT_RA."""
_TABLE_MAIN = 254
_ON_LINK = 4
"""The only flag of a route that is asked for; the others tell of its state (RTNH_F_…), and are refused."""


def saved_addresses(kernel: Rtnetlink, index: int) -> list[bytes]:
    """Return the messages of a link's addresses, in the kernel's order: of IPv4, the first of a network is its source.

    Raises: OSError.
    """
    request = NetlinkRequest(message=MessageType.SHOW_ADDRESS, body=_ADDRESS.pack(0, 0, 0, 0, 0), what="addresses")
    return [each for each in kernel.dump(request) if _is_kept(each, index)]


def _is_kept(address: bytes, index: int) -> bool:
    family, _, flags, _, owner = _ADDRESS.unpack_from(address)
    return owner == index and family in (socket.AF_INET, socket.AF_INET6) and not _made(family, flags)


def _made(family: int, flags: int) -> bool:
    return family == socket.AF_INET6 and bool(flags & _TEMPORARY)


def address_of(message: bytes) -> bytes:
    """Return the address that a message is of, as the kernel's bytes."""
    parts = attributes(message, _ADDRESS.size)
    return parts.get(_LOCAL) or parts.get(_ADDRESS_ITSELF, b"")


def routes_through(kernel: Rtnetlink, index: int, *, most: int | None = None) -> list[bytes]:
    """Return the messages of all routes that go through a link, in all tables.

    most: how many routes of each family are read, through whatever link; what a guest makes, the kernel does not bound.
    Raises: OSError; with E2BIG for more.
    """
    found: list[bytes] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        body = _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
        found += kernel.dump(NetlinkRequest(message=MessageType.SHOW_ROUTE, body=body, what="routes"), most=most)
    return [each for each in found if _goes_through(each, index)]


def saved_routes(routes: Iterable[bytes]) -> list[bytes]:
    """Return those of `routes_through` that the kernel does not make by itself, as it takes them."""
    return [_addable(each) for each in routes if _ROUTE.unpack_from(each)[5] not in _BY_ITSELF]


def is_route(message: bytes, route: Route) -> bool:
    """Whether a message is of a route of the main table that leads there by the same gateway; without a metric: any."""
    header, parts = _ROUTE.unpack_from(message), attributes(message, _ROUTE.size)
    target = ip_address(route.destination).packed if route.destination else b""
    gateway = ip_address(route.gateway).packed if route.gateway else b""
    found = (header[4], header[1], parts.get(_TARGET, b""), parts.get(_GATEWAY, b""))
    if found != (_TABLE_MAIN, route.prefix if target else 0, target, gateway):
        return False
    return route.metric is None or as_number(parts.get(_METRIC, bytes(4))) == route.metric


def _goes_through(route: bytes, index: int) -> bool:
    parts = attributes(route, _ROUTE.size)
    if _OUTGOING in parts:
        return as_number(parts[_OUTGOING]) == index
    several = parts.get(_SEVERAL, b"")
    return index in (_NEXT_HOP.unpack_from(several, place)[3] for place in _hops(several))


def _addable(route: bytes) -> bytes:
    """Return a route's message without what tells of its state: the kernel does not take it back."""
    made = bytearray(route)
    *head, flags = _ROUTE.unpack_from(route)
    _ROUTE.pack_into(made, 0, *head, flags & _ON_LINK)
    several = attributes(route, _ROUTE.size).get(_SEVERAL)
    if several is not None:
        start = route.index(several, _ROUTE.size)
        for place in _hops(several):
            length, flags, weight, index = _NEXT_HOP.unpack_from(several, place)
            _NEXT_HOP.pack_into(made, start + place, length, flags & _ON_LINK, weight, index)
    return bytes(made)


def _hops(several: bytes) -> list[int]:
    """Return where each way of a route begins."""
    places, place = [], 0
    while place + _NEXT_HOP.size <= len(several):
        length = _NEXT_HOP.unpack_from(several, place)[0]
        if length < _NEXT_HOP.size:
            break
        places.append(place)
        place += length + (-length % 4)
    return places


def is_ipv4(message: bytes) -> bool:
    """Whether an address's or a route's message is of IPv4."""
    return message[0] == socket.AF_INET


def address_again(message: bytes) -> NetlinkRequest:
    """Return the request that gives a link an address that was saved."""
    flags = NetlinkFlag.CREATE | NetlinkFlag.EXCLUSIVE
    return NetlinkRequest(message=MessageType.NEW_ADDRESS, flags=flags, body=message, what="a former address")


def address_away(message: bytes) -> NetlinkRequest:
    """Return the request that takes an address that was saved off its link."""
    return NetlinkRequest(message=MessageType.DELETE_ADDRESS, body=message, what="a former address")


def route_again(message: bytes) -> NetlinkRequest:
    """Return the request that makes a route that was saved."""
    flags = NetlinkFlag.CREATE | NetlinkFlag.EXCLUSIVE
    return NetlinkRequest(message=MessageType.NEW_ROUTE, flags=flags, body=message, what="a former route")
