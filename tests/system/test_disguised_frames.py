"""Frames that hide what they are from a port's filter: extension headers, fragments, options, odd sizes and kinds."""

import socket
import struct
from ipaddress import IPv6Address

import pytest

from tests.exchanges import in_order
from tests.system.test_port_filters import GUEST, GUEST_6, MAC, NEIGHBOUR, NEIGHBOUR_MAC, OTHER, Ports, ports
from tests.waiting import patience

__all__ = ["ports"]
pytestmark = pytest.mark.requires("nft")

OTHER_6, LINK_LOCAL = "2001:db8:1::66", "fe80::5054:ff:feaa:1"
ALL_NODES = "ff02::1"
HOP, DESTINATION, FRAGMENT, ICMP_6, UDP, NOTHING_MORE = 0, 60, 44, 58, 17, 59
MARK = b"disguised"


def ethernet(kind: int, payload: bytes) -> bytes:
    return _mac(NEIGHBOUR_MAC) + _mac(MAC) + struct.pack("!H", kind) + payload


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ipv6(source: str, following: int, payload: bytes, to: str = ALL_NODES) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(payload), following, 255)
    return ethernet(0x86DD, head + IPv6Address(source).packed + IPv6Address(to).packed + payload)


def options(following: int, payload: bytes) -> bytes:
    """An extension header of options, with nothing but padding in it."""
    return bytes((following, 0, 1, 4, 0, 0, 0, 0)) + payload


def fragment(following: int, payload: bytes, *, offset: int = 0, more: bool = False) -> bytes:
    return struct.pack("!BBHI", following, 0, offset | more, 4711) + payload


def ipv4(source: str, protocol: int, payload: bytes, *, options: bytes = b"", fragment: int = 0) -> bytes:
    words = 5 + len(options) // 4
    head = struct.pack(
        "!BBHHHBBH4s4s",
        0x40 | words,
        0,
        4 * words + len(payload),
        4711,
        fragment,
        64,
        protocol,
        0,
        socket.inet_aton(source),
        socket.inet_aton(NEIGHBOUR),
    )
    total = sum(struct.unpack(f"!{words * 2}H", head + options))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + head[12:]
    return ethernet(0x0800, head + options + payload)


def arp(*, size: int = 6, sender: str = GUEST, hardware: int = 1) -> bytes:
    message = struct.pack("!HHBBH", hardware, 0x0800, size, 4, 2) + _mac(MAC) + socket.inet_aton(sender)
    return ethernet(0x0806, message + _mac(NEIGHBOUR_MAC) + socket.inet_aton(NEIGHBOUR) + MARK)


ADVERTISEMENT = bytes((134, 0, 0, 0, 64, 0, 7, 8)) + bytes(8) + MARK
SERVER = struct.pack("!HHHH", 547, 546, 8 + len(MARK), 0) + MARK
OFFER = struct.pack("!HHHH", 67, 68, 8 + len(MARK), 0) + MARK
SNAP = b"\xaa\xaa\x03\0\0\0\x08\0" + ipv4(OTHER, UDP, SERVER)[14:]

SPOOFING = "".join(f"<filterref filter='no-{each}-spoofing'/>" for each in ("mac", "arp", "ip", "ipv6"))
ROGUE = "<filterref filter='no-rogue-servers'/>"

DROPPED = {
    "another's IPv6 address in a first fragment": ipv6(OTHER_6, FRAGMENT, fragment(UDP, SERVER, more=True)),
    "another's IPv6 address in a later fragment": ipv6(OTHER_6, FRAGMENT, fragment(UDP, MARK, offset=8)),
    "another's IPv6 address before options": ipv6(OTHER_6, HOP, options(NOTHING_MORE, MARK)),
    "another's IPv4 address before options": ipv4(OTHER, UDP, SERVER, options=b"\x01" * 8),
    "another's IPv4 address in a later fragment": ipv4(OTHER, UDP, MARK, fragment=1),
    "an advertisement behind hop-by-hop options": ipv6(LINK_LOCAL, HOP, options(ICMP_6, ADVERTISEMENT)),
    "an advertisement behind many options": ipv6(
        LINK_LOCAL, HOP, options(DESTINATION, options(DESTINATION, options(ICMP_6, ADVERTISEMENT)))
    ),
    "an advertisement in a first fragment": ipv6(LINK_LOCAL, FRAGMENT, fragment(ICMP_6, ADVERTISEMENT, more=True)),
    "a first fragment that hides what it carries": ipv6(
        LINK_LOCAL, FRAGMENT, fragment(DESTINATION, bytes((UDP, 2)) + MARK[:6], more=True)
    ),
    "a server's answer behind options": ipv6(LINK_LOCAL, DESTINATION, options(UDP, SERVER)),
    "a server's answer in a first fragment": ipv6(LINK_LOCAL, FRAGMENT, fragment(UDP, SERVER, more=True)),
    "an offer with options of IPv4": ipv4(GUEST, UDP, OFFER, options=b"\x01" * 4),
    "an offer in a first fragment": ipv4(GUEST, UDP, OFFER, fragment=0x2000),
    "another's address in ARP": arp(sender=OTHER),
    "ARP of another size of addresses": arp(size=8),
    "ARP of another kind of network": arp(hardware=6),
}


@pytest.mark.parametrize("frame", DROPPED.values(), ids=DROPPED)
def test_a_frame_is_seen_for_what_it_is(ports: Ports, frame: bytes) -> None:
    ports.define(f"<filter name='own'>{SPOOFING}{ROGUE}</filter>")
    ports.protect("own", addresses=(GUEST, GUEST_6))
    assert not passes(ports, frame)


def test_a_packet_within_an_802_3_frame_is_no_ipv4_that_clean_traffic_lets_through(ports: Ports) -> None:
    frame = ethernet(len(SNAP), SNAP)
    assert passes(ports, frame)
    ports.protect("clean-traffic")
    assert not passes(ports, frame)


def test_what_a_guest_may_send_passes_with_options_and_in_fragments(ports: Ports) -> None:
    ports.define(f"<filter name='own'>{SPOOFING}{ROGUE}</filter>")
    ports.protect("own", addresses=(GUEST, GUEST_6))
    for frame in (
        ipv6(GUEST_6, HOP, options(NOTHING_MORE, MARK)),
        ipv6(GUEST_6, FRAGMENT, fragment(UDP, struct.pack("!HHHH", 4000, 4000, 99, 0) + MARK[:8], more=True)),
        ipv6(GUEST_6, FRAGMENT, fragment(UDP, MARK, offset=8)),
        ipv4(GUEST, UDP, MARK, fragment=1),
        arp(),
    ):
        assert passes(ports, frame)


def passes(ports: Ports, frame: bytes) -> bool:
    """Whether a frame of the guest's comes to its neighbour, before another that surely does."""
    last = ethernet(0x0806, struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + _mac(MAC) + socket.inet_aton(GUEST) + bytes(10))
    with ports.neighbour.network():
        receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    with ports.guest.network():
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with receiver, sender:
        receiver.settimeout(patience(5))
        sender.bind(("eth0", 0))
        marker = b"last one"
        with in_order():
            sender.send(frame)
            if frame != last:
                sender.send(last + marker)
        while True:
            got = receiver.recv(2048)
            if got.startswith(frame[:40]) and marker not in got:
                return True
            if marker in got:
                return False
