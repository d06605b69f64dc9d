"""Telling a card's neighbours which IPv6 address it has: passt sends nothing to a guest that it has not heard of.

Source: RFC 4861, 7.2.6 (unsolicited neighbour advertisements); icmp6(7).
"""

import socket
import struct
from ipaddress import IPv6Address

_ADVERTISEMENT, _OVERRIDE = 136, 0x20
_TARGET_LINK_ADDRESS, _EIGHT_BYTES = 2, 1
_ALL_NODES = "ff02::1"
_HOPS = 255


def advertise(address: IPv6Address, mac: str, link: int) -> None:
    """Advertise an address of a link of the calling thread's network. link: its index. Raises: OSError."""
    told = struct.pack("!BBHB3x", _ADVERTISEMENT, 0, 0, _OVERRIDE) + address.packed
    told += struct.pack("!BB", _TARGET_LINK_ADDRESS, _EIGHT_BYTES) + bytes.fromhex(mac.replace(":", ""))
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as channel:
        channel.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOPS)
        channel.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, link)
        channel.bind((str(address), 0))
        channel.sendto(told, (_ALL_NODES, 0, 0, link))
