"""Network interfaces as the kernel tells and takes them: one function a request, one dataclass an answer.

Sources: rtnetlink(7), veth(4), linux/if_link.h, linux/if_addr.h, linux/rtnetlink.h.
"""

import socket
import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from insula.engine.interfacespec import Address, Route
from insula.network.linkattributes import LINK, UP, LinkAttribute, LinkInfoAttribute, mac_bytes
from insula.network.rtnetlink import (
    MessageType,
    NetlinkFlag,
    NetlinkRequest,
    Rtnetlink,
    as_number,
    as_text,
    attribute,
    attributes,
    number,
    text,
)

LOOPBACK = 1
"""The index of lo: the first interface of every network namespace."""

_ADDRESS = struct.Struct("=BBBBI")
"""ifaddrmsg: family, prefix length, flags, scope, index."""
_ROUTE = struct.Struct("=BBBBBBBBI")
"""rtmsg: family, destination length, source length, service, table, protocol, scope, type, flags."""
_IP_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_SKIP_STATISTICS = 8
_TABLE_MAIN, _PROTOCOL_STATIC, _TYPE_UNICAST, _ON_LINK = 254, 4, 1, 4
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_SCOPE_ANY, _PROTOCOL_ANY = 255, 0
"""Of a route to be removed. Source: fib_table_delete() in Linux' net/ipv4/fib_trie.c."""
_NO_DUPLICATE_DETECTION = 0x02
_LOOPBACK = 0x8


class _AddressAttribute(IntEnum):
    """Attributes of an address (IFA_…)."""

    ADDRESS = 1
    LOCAL = 2
    BROADCAST = 4


class _RouteAttribute(IntEnum):
    """Attributes of a route (RTA_…)."""

    DESTINATION = 1
    DEVICE = 4
    GATEWAY = 5
    PRIORITY = 6


class PeerNamespace(IntEnum):
    """Where the other end of a link is, as far as IFLA_LINK_NETNSID tells."""

    HERE = 0
    ELSEWHERE = 1
    DYING = 2
    """Its namespace has ended; the kernel removes both ends within some tens of milliseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """One interface. kind: as `ip link add type` has it, empty for hardware; link: the index of its other end."""

    index: int
    name: str
    kind: str
    mac: str
    mtu: int
    up: bool
    loopback: bool
    link: int | None
    master: int | None
    peer: PeerNamespace


@dataclass(frozen=True, kw_only=True, slots=True)
class Veth:
    """A pair to be made. host: a name, or a pattern such as `vnet%d` whose free number the kernel picks.

    place: where the guest's end comes into being, by `of_process` or `of_namespace`.

    up: whether the host's end is switched on; while it is off, the guest sees no carrier.
    """

    host: str
    host_mac: str
    guest: str
    guest_mac: str
    place: bytes
    mtu: int | None = None
    master: int | None = None
    up: bool = True


def link(kernel: Rtnetlink, name_or_index: str | int) -> Link | None:
    """Return the interface of that name or index, None when there is none."""
    index = name_or_index if isinstance(name_or_index, int) else 0
    body = LINK.pack(0, 0, index, 0, 0) + number(LinkAttribute.EXT_MASK, _SKIP_STATISTICS)
    if isinstance(name_or_index, str):
        body += text(LinkAttribute.NAME, name_or_index)
    answer = kernel.show(NetlinkRequest(message=MessageType.SHOW_LINK, body=body, what=f"interface {name_or_index}"))
    return None if answer is None else _parsed(answer)


def all_links(kernel: Rtnetlink, *, most: int | None = None) -> list[Link]:
    """Return every interface of the namespace. most, Raises: as `Rtnetlink.dump`."""
    body = LINK.pack(0, 0, 0, 0, 0) + number(LinkAttribute.EXT_MASK, _SKIP_STATISTICS)
    request = NetlinkRequest(message=MessageType.SHOW_LINK, body=body, what="interfaces")
    return [_parsed(each) for each in kernel.dump(request, most=most)]


def _parsed(body: bytes) -> Link:
    _family, _kind, index, flags, _change = LINK.unpack_from(body)
    found = attributes(body, LINK.size)
    info = attributes(found.get(LinkAttribute.INFO, b""))
    return Link(
        index=index,
        name=as_text(found[LinkAttribute.NAME]),
        kind=as_text(info.get(LinkInfoAttribute.KIND, b"")),
        mac=found.get(LinkAttribute.ADDRESS, b"").hex(":"),
        mtu=as_number(found[LinkAttribute.MTU]),
        up=bool(flags & UP),
        loopback=bool(flags & _LOOPBACK),
        link=as_number(found[LinkAttribute.LINK]) if LinkAttribute.LINK in found else None,
        master=as_number(found[LinkAttribute.MASTER]) if LinkAttribute.MASTER in found else None,
        peer=_peer(found.get(LinkAttribute.LINK_NET_NS)),
    )


def _peer(namespace: bytes | None) -> PeerNamespace:
    """Tell a peer that is going away: a namespace without users has no number. Source: peernet2id_alloc() in Linux."""
    if namespace is None:
        return PeerNamespace.HERE
    return PeerNamespace.DYING if namespace == b"\xff\xff\xff\xff" else PeerNamespace.ELSEWHERE


def create_veth(veth: Veth) -> NetlinkRequest:
    """Return the request that makes both ends: the host's in its bridge, the guest's in the guest's namespace.

    The guest's end stays down: the kernel refuses to open it before the pair is tied together.
    """
    guest = LINK.pack(0, 0, 0, 0, 0) + text(LinkAttribute.NAME, veth.guest) + veth.place
    host = LINK.pack(0, 0, 0, UP if veth.up else 0, UP) + text(LinkAttribute.NAME, veth.host)
    guest += attribute(LinkAttribute.ADDRESS, mac_bytes(veth.guest_mac))
    host += attribute(LinkAttribute.ADDRESS, mac_bytes(veth.host_mac))
    if veth.mtu is not None:
        guest += number(LinkAttribute.MTU, veth.mtu)
        host += number(LinkAttribute.MTU, veth.mtu)
    if veth.master is not None:
        host += number(LinkAttribute.MASTER, veth.master)
    info = text(LinkInfoAttribute.KIND, "veth") + attribute(
        LinkInfoAttribute.DATA, attribute(LinkInfoAttribute.VETH_PEER, guest)
    )
    return NetlinkRequest(
        message=MessageType.NEW_LINK,
        flags=NetlinkFlag.CREATE | NetlinkFlag.EXCLUSIVE,
        body=host + attribute(LinkAttribute.INFO, info),
        what=f"veth pair {veth.host} and {veth.guest}",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Macvlan:
    """A macvlan to be made in a guest's namespace. device: the index of the host's; mode: IFLA_MACVLAN_MODE's value.

    place: the guest's network, by `of_process` or `of_namespace`.
    """

    device: int
    mode: int
    guest: str
    guest_mac: str
    place: bytes
    mtu: int | None = None


def create_macvlan(macvlan: Macvlan) -> NetlinkRequest:
    """Return the request that makes it, in its place and under its final name, and switched off."""
    body = LINK.pack(0, 0, 0, 0, 0) + text(LinkAttribute.NAME, macvlan.guest) + macvlan.place
    body += number(LinkAttribute.LINK, macvlan.device) + attribute(LinkAttribute.ADDRESS, mac_bytes(macvlan.guest_mac))
    if macvlan.mtu is not None:
        body += number(LinkAttribute.MTU, macvlan.mtu)
    data = attribute(LinkInfoAttribute.DATA, number(LinkInfoAttribute.MACVLAN_MODE, macvlan.mode))
    return NetlinkRequest(
        message=MessageType.NEW_LINK,
        flags=NetlinkFlag.CREATE | NetlinkFlag.EXCLUSIVE,
        body=body + attribute(LinkAttribute.INFO, text(LinkInfoAttribute.KIND, "macvlan") + data),
        what=f"macvlan {macvlan.guest}",
    )


def of_process(pid: int) -> bytes:
    """Return the attribute of a new or moved link that puts it into a process's network namespace."""
    return number(LinkAttribute.NET_NS_PID, pid)


def of_namespace(namespace: int) -> bytes:
    """Return the attribute of a new or moved link that puts it into the namespace of an open file of its."""
    return number(LinkAttribute.NET_NS_FD, namespace)


def move(index: int, place: bytes, name: str) -> NetlinkRequest:
    """Return the request that moves an interface into another network namespace, switched off, under a name.

    place: by `of_process` or `of_namespace`.
    """
    body = LINK.pack(0, 0, index, 0, UP) + text(LinkAttribute.NAME, name) + place
    return NetlinkRequest(message=MessageType.NEW_LINK, body=body, what=f"interface {index} to be moved as {name}")


def delete_link(index: int) -> NetlinkRequest:
    """Return the request that removes an interface. It costs a grace period of RCU (16 ms seen)."""
    return NetlinkRequest(message=MessageType.DELETE_LINK, body=LINK.pack(0, 0, index, 0, 0), what=f"interface {index}")


def switch(index: int, *, up: bool) -> NetlinkRequest:
    """Return the request that switches an interface on or off."""
    body = LINK.pack(0, 0, index, UP if up else 0, UP)
    return NetlinkRequest(message=MessageType.NEW_LINK, body=body, what=f"interface {index} {'up' if up else 'down'}")


def rename_down(index: int, name: str) -> NetlinkRequest:
    """Return the request that switches an interface off and gives it another name (or pattern)."""
    body = LINK.pack(0, 0, index, 0, UP) + text(LinkAttribute.NAME, name)
    return NetlinkRequest(message=MessageType.NEW_LINK, body=body, what=f"interface {index} to be named {name}")


def rename(index: int, name: str) -> NetlinkRequest:
    """Return the request that gives an interface another name as it is; older kernels refuse (EBUSY) while it is on.

    Source: IFF_LIVE_RENAME_OK and dev_change_name() in Linux' net/core/dev.c.
    """
    body = LINK.pack(0, 0, index, 0, 0) + text(LinkAttribute.NAME, name)
    return NetlinkRequest(message=MessageType.NEW_LINK, body=body, what=f"interface {index} to be named {name}")


def set_master(index: int, master: int | None) -> NetlinkRequest:
    """Return the request that makes an interface a port of another one, a bridge for one; None of nobody."""
    body = LINK.pack(0, 0, index, 0, 0) + number(LinkAttribute.MASTER, master or 0)
    subject = f"interface {index} as a port of {master}" if master else f"interface {index} as nobody's port"
    return NetlinkRequest(message=MessageType.NEW_LINK, body=body, what=subject)


def set_mtu(index: int, mtu: int) -> NetlinkRequest:
    """Return the request that sets how many bytes a packet may have."""
    body = LINK.pack(0, 0, index, 0, 0) + number(LinkAttribute.MTU, mtu)
    return NetlinkRequest(message=MessageType.NEW_LINK, body=body, what=f"an MTU of {mtu}")


def set_carrier(index: int, *, on: bool) -> NetlinkRequest:
    """Return the request that gives an interface a carrier, or takes it: of those of software, a tap has it said."""
    body = LINK.pack(0, 0, index, 0, 0) + attribute(LinkAttribute.CARRIER, bytes([on]))
    return NetlinkRequest(message=MessageType.NEW_LINK, body=body, what=f"interface {index} with a carrier")


def add_address(index: int, address: Address) -> NetlinkRequest:
    """Return the request that gives an interface an address.

    IPv4 gets its broadcast address; IPv6 is usable at once, without duplicate detection: the administrator gave it, and
    a guest's services bind to it as soon as they start.
    """
    return NetlinkRequest(
        message=MessageType.NEW_ADDRESS,
        flags=NetlinkFlag.CREATE | NetlinkFlag.EXCLUSIVE,
        body=_address_body(index, address),
        what=f"address {address.address}/{address.prefix}",
    )


def remove_address(index: int, address: Address) -> NetlinkRequest:
    """Return the request that takes an address off an interface."""
    return NetlinkRequest(
        message=MessageType.DELETE_ADDRESS,
        body=_address_body(index, address),
        what=f"address {address.address}/{address.prefix}",
    )


def _address_body(index: int, address: Address) -> bytes:
    local = ip_address(address.address)
    peer = ip_address(address.peer) if address.peer else local
    flags = _NO_DUPLICATE_DETECTION if local.version == 6 else 0
    body = _ADDRESS.pack(_family(local), address.prefix, flags, _SCOPE_UNIVERSE, index)
    body += attribute(_AddressAttribute.LOCAL, local.packed) + attribute(_AddressAttribute.ADDRESS, peer.packed)
    if local.version == 4 and address.peer is None and address.prefix < 31:
        network = ip_network((local, address.prefix), strict=False)
        body += attribute(_AddressAttribute.BROADCAST, network.broadcast_address.packed)
    return body


def add_route(index: int, route: Route) -> NetlinkRequest:
    """Return the request that adds a route through an interface.

    The gateway is taken to be on the link even where no address says so, as with a /32 address.
    """
    return NetlinkRequest(
        message=MessageType.NEW_ROUTE,
        flags=NetlinkFlag.CREATE | NetlinkFlag.EXCLUSIVE,
        body=_route_body(index, route),
        what=route_name(route),
    )


def remove_route(index: int, route: Route) -> NetlinkRequest:
    """Return the request that removes a route through an interface from the main table, whoever has made it."""
    body = _route_body(index, route, removed=True)
    return NetlinkRequest(message=MessageType.DELETE_ROUTE, body=body, what=route_name(route))


def route_name(route: Route) -> str:
    """Return what a route is called in messages."""
    subject = f"route to {route.destination}/{route.prefix}" if route.destination else "default route"
    return f"{subject} by {route.gateway}" if route.gateway else subject


def _route_body(index: int, route: Route, *, removed: bool = False) -> bytes:
    gateway = ip_address(route.gateway) if route.gateway else None
    target = ip_address(route.destination) if route.destination else None
    known = target or gateway
    family = _family(known) if known else socket.AF_INET
    scope = _SCOPE_UNIVERSE if gateway or family == socket.AF_INET6 else _SCOPE_LINK
    flags = _ON_LINK if gateway else 0
    protocol = _PROTOCOL_STATIC
    if removed:
        scope, protocol, flags = _SCOPE_ANY, _PROTOCOL_ANY, 0
    prefix = route.prefix if target else 0
    body = _ROUTE.pack(family, prefix, 0, 0, _TABLE_MAIN, protocol, scope, _TYPE_UNICAST, flags)
    body += number(_RouteAttribute.DEVICE, index)
    if target:
        body += attribute(_RouteAttribute.DESTINATION, target.packed)
    if gateway:
        body += attribute(_RouteAttribute.GATEWAY, gateway.packed)
    if route.metric is not None:
        body += number(_RouteAttribute.PRIORITY, route.metric)
    return body


def all_addresses(kernel: Rtnetlink, *, most: int | None = None) -> list[tuple[int, Address]]:
    """Return (index of the interface, address) for every IP address of the namespace, in the kernel's order.

    The kernel tells of every family that it has; a guest's root can give lo an MCTP address.
    most, Raises: as `Rtnetlink.dump`.
    """
    request = NetlinkRequest(message=MessageType.SHOW_ADDRESS, body=_ADDRESS.pack(0, 0, 0, 0, 0), what="addresses")
    return [_parsed_address(each) for each in kernel.dump(request, most=most) if each[0] in _IP_FAMILIES]


def _parsed_address(body: bytes) -> tuple[int, Address]:
    _, prefix, _, _, index = _ADDRESS.unpack_from(body)
    found = attributes(body, _ADDRESS.size)
    far = found.get(_AddressAttribute.ADDRESS, b"")
    near = found.get(_AddressAttribute.LOCAL, far)
    peer = str(ip_address(far)) if far and far != near else None
    return index, Address(address=str(ip_address(near)), prefix=prefix, peer=peer)


def _family(address: IPv4Address | IPv6Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
