"""Bridges as the kernel takes and tells them.

Sources: rtnetlink(7), ip-link(8) on bridges, linux/if_link.h (IFLA_BR_…), Linux' net/bridge/br_netlink.c and
br_stp_if.c.
"""

import errno
import os
import socket
import struct
from dataclasses import dataclass
from enum import IntEnum

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

KIND = "bridge"
_ALIAS = 20
"""IFLA_IFALIAS: a text that administrators see in `ip link`, at most 255 bytes."""
_SKIP_STATISTICS = 8
_TICKS_A_SECOND = 100
"""USER_HZ, by which the kernel takes times of bridges from programs."""
LEARNT_MOST = 8192
"""MAC addresses that a bridge learns from its guests, all together: whoever sends by more is answered, but by flooding.
An entry costs the kernel 128 bytes, and every new one some work."""
_FEWEST_DELAY = 2
"""Seconds that a bridge which speaks STP waits at least, whatever it is told. Source: BR_MIN_FORWARD_DELAY."""


class _BridgeAttribute(IntEnum):
    """Attributes within the data of a bridge's info (IFLA_BR_…)."""

    FORWARD_DELAY = 1
    STP_STATE = 5
    VLAN_FILTERING = 7
    LEARNT_MOST = 49


@dataclass(frozen=True, kw_only=True, slots=True)
class Bridge:
    """A bridge to be made. delay: seconds that a port listens and learns before it forwards, with STP at least two.

    mtu: None leaves it to the kernel, which takes the smallest of the ports'. vlans: whether ports are told apart by
    VLAN. Its table takes as many MAC addresses that it learns as `LEARNT_MOST`, where the kernel can count them.
    """

    name: str
    mac: str
    stp: bool = False
    delay: int = 0
    mtu: int | None = None
    vlans: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class HostBridge:
    """A link of the host under a bridge's name. kind: what it is; alias: what it is marked with, empty if with
    nothing."""

    index: int
    name: str
    kind: str
    mac: str
    mtu: int
    up: bool
    alias: str
    stp: bool
    delay: int
    vlans: bool
    learnt_most: int | None = None
    """None where the kernel does not count (before Linux 6.7)."""


def create_bridge(bridge: Bridge) -> NetlinkRequest:
    """Return the request that makes it, switched off, and without its MTU.

    A bridge takes the smallest MTU of its ports for its own until it is given one, and being made with one does not
    count: br_change_mtu() in Linux' net/bridge/br_device.c.
    Raises, when performed: OSError(EEXIST) if the name is taken.
    """
    body = LINK.pack(0, 0, 0, 0, 0) + text(LinkAttribute.NAME, bridge.name)
    body += attribute(LinkAttribute.ADDRESS, mac_bytes(bridge.mac))
    return NetlinkRequest(
        message=MessageType.NEW_LINK,
        flags=NetlinkFlag.CREATE | NetlinkFlag.EXCLUSIVE,
        body=body + _information(bridge),
        what=f"bridge {bridge.name}",
    )


def change_bridge(index: int, bridge: Bridge) -> NetlinkRequest:
    """Return the request that makes a bridge that is there what is wanted of STP, delay and VLANs."""
    body = LINK.pack(0, 0, index, 0, 0) + _information(bridge)
    return NetlinkRequest(message=MessageType.NEW_LINK, body=body, what=f"bridge {bridge.name}")


def _information(bridge: Bridge) -> bytes:
    """The kernel takes the delay before STP, and refuses one of less than two seconds for a bridge that speaks it."""
    delay = max(bridge.delay, _FEWEST_DELAY) if bridge.stp else bridge.delay
    data = number(_BridgeAttribute.FORWARD_DELAY, delay * _TICKS_A_SECOND)
    data += number(_BridgeAttribute.STP_STATE, int(bridge.stp))
    data += number(_BridgeAttribute.LEARNT_MOST, LEARNT_MOST)  # kernels without it pass over what they do not know
    if bridge.vlans:  # kernels without the feature refuse the attribute, whatever its value
        data += attribute(_BridgeAttribute.VLAN_FILTERING, b"\x01")
    information = text(LinkInfoAttribute.KIND, KIND) + attribute(LinkInfoAttribute.DATA, data)
    return attribute(LinkAttribute.INFO, information)


def mark(index: int, alias: str) -> NetlinkRequest:
    """Return the request that gives a link the text by which we know it."""
    body = LINK.pack(0, 0, index, 0, 0) + attribute(_ALIAS, os.fsencode(alias))
    return NetlinkRequest(message=MessageType.NEW_LINK, body=body, what=f"the mark of interface {index}")


def set_mac(index: int, mac: str) -> NetlinkRequest:
    """Return the request that gives a link a MAC address."""
    body = LINK.pack(0, 0, index, 0, 0) + attribute(LinkAttribute.ADDRESS, mac_bytes(mac))
    return NetlinkRequest(message=MessageType.NEW_LINK, body=body, what=f"the MAC address {mac}")


def bridge_named(kernel: Rtnetlink, name: str) -> HostBridge | None:
    """Return what link of the host has that name, whether or not it is a bridge; None if there is none."""
    body = LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + number(LinkAttribute.EXT_MASK, _SKIP_STATISTICS)
    body += text(LinkAttribute.NAME, name)
    answer = kernel.show(NetlinkRequest(message=MessageType.SHOW_LINK, body=body, what=f"interface {name}"))
    return None if answer is None else parse_bridge(answer)


def all_bridges(kernel: Rtnetlink) -> list[HostBridge]:
    """Return every bridge of the host. The kernel sends no other link (IFLA_INFO_KIND as a filter of a dump)."""
    body = LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + number(LinkAttribute.EXT_MASK, _SKIP_STATISTICS)
    body += attribute(LinkAttribute.INFO, text(LinkInfoAttribute.KIND, KIND))
    request = NetlinkRequest(message=MessageType.SHOW_LINK, body=body, what="bridges")
    return [each for each in map(parse_bridge, kernel.dump(request)) if each.kind == KIND]


def parse_bridge(body: bytes) -> HostBridge:
    """Return what a message of the kernel's about a link tells. Raises: OSError(EPROTO) for one that is cut short."""
    try:
        _family, _type, index, flags, _change = LINK.unpack_from(body)
        found = attributes(body, LINK.size)
        information = attributes(found.get(LinkAttribute.INFO, b""))
        data = attributes(information.get(LinkInfoAttribute.DATA, b""))
        kind = as_text(information.get(LinkInfoAttribute.KIND, b""))
        is_bridge = kind == KIND
        return HostBridge(
            index=index,
            name=as_text(found.get(LinkAttribute.NAME, b"")),
            kind=kind,
            mac=found.get(LinkAttribute.ADDRESS, b"").hex(":"),
            mtu=as_number(found.get(LinkAttribute.MTU, bytes(4))),
            up=bool(flags & UP),
            alias=as_text(found.get(_ALIAS, b"")),
            stp=is_bridge and as_number(data.get(_BridgeAttribute.STP_STATE, bytes(4))) != 0,
            delay=as_number(data.get(_BridgeAttribute.FORWARD_DELAY, bytes(4))) // _TICKS_A_SECOND if is_bridge else 0,
            vlans=is_bridge and data.get(_BridgeAttribute.VLAN_FILTERING, b"\0") != b"\0",
            learnt_most=as_number(data[_BridgeAttribute.LEARNT_MOST]) if _BridgeAttribute.LEARNT_MOST in data else None,
        )
    except struct.error as error:
        raise OSError(errno.EPROTO, f"a message about a link is cut short: {error}") from error


def as_made(bridge: Bridge, found: HostBridge) -> bool:
    """Whether a bridge that was found speaks STP, waits, learns and tells VLANs apart as is wanted."""
    delay = max(bridge.delay, _FEWEST_DELAY) if bridge.stp else bridge.delay
    counted = found.learnt_most in (None, LEARNT_MOST)
    return counted and (bridge.stp, delay, bridge.vlans) == (found.stp, found.delay, found.vlans)
