"""The host's end of a pair to which the host routes: addresses and routes of its own, and who answers for whom.

The guest's addresses are routed to it one by one. Whoever looks for them on another link of the host's is answered by
the host (proxy ARP, NDP), and so is the guest that looks for its gateways.

Sources: ip-neighbour(8), linux/neighbour.h, Linux' net/ipv4/arp.c and net/ipv6/ndisc.c.
"""

import errno
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address, ip_interface

from insula.engine.interfacespec import Route, VethInterface
from insula.network.guestinterfaces import done_in
from insula.network.kinds.interfacedriver import Networks
from insula.network.links import Link, add_address, add_route, all_addresses, all_links, link
from insula.network.rtnetlink import MessageType, NetlinkFlag, NetlinkRequest, Rtnetlink, attribute
from insula.network.virtual.networksysctls import SETTINGS, NetworkSysctls

_NEIGHBOUR = struct.Struct("=BxxxiHBB")
"""ndmsg: family, index, state, flags, type."""
_DESTINATION = 1
_PERMANENT, _PROXY = 0x80, 0x08
Proxies = tuple[tuple[str, str], ...]
"""Addresses that the host answers for, each with the interface by which it does."""


def answer_for(index: int, address: str) -> NetlinkRequest:
    """Return the request that has the host answer for an address by an interface."""
    return _proxy(MessageType.NEW_NEIGHBOUR, NetlinkFlag.CREATE | NetlinkFlag.REPLACE, index, address)


def leave_unanswered(index: int, address: str) -> NetlinkRequest:
    """Return the request that ends that."""
    return _proxy(MessageType.DELETE_NEIGHBOUR, NetlinkFlag.NONE, index, address)


def _proxy(message: MessageType, flags: NetlinkFlag, index: int, address: str) -> NetlinkRequest:
    target = ip_address(address)
    family = socket.AF_INET if target.version == 4 else socket.AF_INET6
    body = _NEIGHBOUR.pack(family, index, _PERMANENT, _PROXY, 0) + attribute(_DESTINATION, target.packed)
    return NetlinkRequest(message=message, flags=flags, body=body, what=f"the answer for {address}")


def route_to_guest(networks: Networks, host_end: Link, wanted: VethInterface) -> Proxies:
    """Let the host route to a guest and answer for it; return what it answers for by other interfaces.

    Raises: OSError; what was done on the host's end goes with that, the rest is taken back by networks.undo.
    """
    assert wanted.routed is not None
    host, index = networks.host, host_end.index
    ipv6 = any(ip_address(each.address).version == 6 for each in wanted.addresses)
    elsewhere = neighbours_of(host, wanted)
    names = {host_end.name, *(name for _, name in elsewhere)}
    done_in(networks.here, lambda: _allow(host_end.name, names, ipv6=ipv6))
    for address in wanted.routed.addresses:
        host.perform(add_address(index, address))
    if not wanted.up:
        return ()  # routes go through what is switched on
    for address in wanted.addresses:
        whole = ip_address(address.address).max_prefixlen
        _unless_there(host, add_route(index, Route(gateway=None, destination=address.address, prefix=whole)))
    for route in wanted.routed.routes:
        _unless_there(host, add_route(index, route))
    own = {each.address for each in wanted.routed.addresses}
    for gateway in {each.gateway for each in wanted.routes if each.gateway is not None} - own:
        host.perform(answer_for(index, gateway))
    networks.undo.callback(answer_no_more, host, elsewhere)
    for text, name in elsewhere:
        found = link(host, name)
        if found is not None:
            host.perform(answer_for(found.index, text))
    return elsewhere


def neighbours_of(host: Rtnetlink, wanted: VethInterface) -> Proxies:
    """Return a guest's addresses that other interfaces of the host are neighbours of, each with such an interface."""
    names = {each.index: each.name for each in all_links(host) if each.mac != wanted.mac}
    own = [
        (names[index], ip_interface(f"{each.address}/{each.prefix}").network)
        for index, each in all_addresses(host)
        if index in names
    ]
    guests = [ip_address(each.address) for each in wanted.addresses]
    return tuple(
        (str(each), name)
        for each in guests
        for name, network in own
        if network.version == each.version and network.num_addresses > 1 and each in network
    )


def answer_no_more(host: Rtnetlink, proxied: Iterable[tuple[str, str]]) -> None:
    """End the host's answers for what a guest had. May be called again."""
    for address, name in proxied:
        found = link(host, name)
        if found is not None:
            with suppress(FileNotFoundError):
                host.perform(leave_unanswered(found.index, address))


def _allow(end: str, names: Iterable[str], *, ipv6: bool) -> None:
    """Let the host forward what comes from and goes to a guest, and answer neighbours by these interfaces."""
    NetworkSysctls().forward(end, (), ipv6=ipv6)
    for each in names if ipv6 else ():
        conf = SETTINGS / "ipv6/conf" / each
        if (conf / "accept_ra").read_text().strip() == "1":
            (conf / "accept_ra").write_text("2")  # a router that goes on listening to routers
        # Only a router answers for others, whatever else lets packets through: ndisc_recv_ns() in net/ipv6/ndisc.c.
        for name in ("forwarding", "proxy_ndp"):
            (conf / name).write_text("1")


def _unless_there(host: Rtnetlink, request: NetlinkRequest) -> None:
    try:
        host.perform(request)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
