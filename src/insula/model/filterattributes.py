"""The values that rules of network filters may have: which protocol has which, and how each is spelled.

Sources: libvirt's network filter format, and the grammar of its schema.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Any


class FilterProtocol(StrEnum):
    """What a rule is about. Those up to ipv6 see frames; the others what IP carries in them."""

    MAC = "mac"
    VLAN = "vlan"
    STP = "stp"
    ARP = "arp"
    RARP = "rarp"
    IP = "ip"
    IPV6 = "ipv6"
    TCP = "tcp"
    UDP = "udp"
    UDPLITE = "udplite"
    SCTP = "sctp"
    ICMP = "icmp"
    IGMP = "igmp"
    ESP = "esp"
    AH = "ah"
    ALL = "all"
    TCP_IPV6 = "tcp-ipv6"
    UDP_IPV6 = "udp-ipv6"
    UDPLITE_IPV6 = "udplite-ipv6"
    SCTP_IPV6 = "sctp-ipv6"
    ICMPV6 = "icmpv6"
    ESP_IPV6 = "esp-ipv6"
    AH_IPV6 = "ah-ipv6"
    ALL_IPV6 = "all-ipv6"

    @property
    def of_frames(self) -> bool:
        return self in _OF_FRAMES

    @property
    def of_ipv6(self) -> bool:
        """Whether its addresses are those of IPv6."""
        return self in (FilterProtocol.IPV6, FilterProtocol.ICMPV6) or self.value.endswith("-ipv6")


_OF_FRAMES = frozenset(
    (
        FilterProtocol.MAC,
        FilterProtocol.VLAN,
        FilterProtocol.STP,
        FilterProtocol.ARP,
        FilterProtocol.RARP,
        FilterProtocol.IP,
        FilterProtocol.IPV6,
    )
)

VARIABLE = re.compile(r"\$ *(?P<name>[A-Za-z0-9_]+)(?:\[ *(?P<iterator>@)?(?P<index>[0-9]{1,4}) *\])? *\Z")
"""`$IP`; `$IP[2]`, one value of a list; `$IP[@1]`, each in turn, by an iterator of its own."""

ETHER_TYPES = {"ipv4": 0x0800, "arp": 0x0806, "rarp": 0x8035, "vlan": 0x8100, "ipv6": 0x86DD}
ARP_OPCODES = {
    "request": 1,
    "reply": 2,
    "request_reverse": 3,
    "reply_reverse": 4,
    "drarp_request": 5,
    "drarp_reply": 6,
    "drarp_error": 7,
    "inarp_request": 8,
    "arp_nak": 10,
}
IP_PROTOCOLS = {
    "icmp": 1,
    "igmp": 2,
    "tcp": 6,
    "udp": 17,
    "esp": 50,
    "ah": 51,
    "icmpv6": 58,
    "sctp": 132,
    "udplite": 136,
}
TCP_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG")
STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID")
_MAC = re.compile(r"[0-9a-f]{1,2}(?::[0-9a-f]{1,2}){5}\Z")
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]{1,8}\Z")
_DECIMAL = re.compile(r"[0-9]{1,10}\Z")
_IP_SET = re.compile(r"[A-Za-z0-9_.:+ -]{1,31}\Z")


def read_number(text: str, most: int, words: Mapping[str, int] | None = None, least: int = 0) -> int:
    """Return the number that text is, decimal, hexadecimal with `0x`, or one of the words. Raises: ValueError."""
    plain = text.strip()
    if words and plain.lower() in words:
        return words[plain.lower()]
    if _HEXADECIMAL.match(plain):
        number = int(plain, 16)
    elif _DECIMAL.match(plain):
        number = int(plain)
    else:
        raise ValueError(f"'{text}', expected {_number_words(most, words, least)}")
    if not least <= number <= most:
        raise ValueError(f"'{text}', expected {_number_words(most, words, least)}")
    return number


def _number_words(most: int, words: Mapping[str, int] | None, least: int) -> str:
    listed = f"one of {', '.join(words)}, or " if words else ""
    return f"{listed}a number from {least} to {most}"


def read_mac(text: str) -> str:
    """Return a MAC address, or a mask of one, each number with both its digits. Raises: ValueError."""
    lower = text.strip().lower()
    if not _MAC.match(lower):
        raise ValueError(f"'{text}', expected a MAC address")
    return ":".join(each.zfill(2) for each in lower.split(":"))


def read_ipv4(text: str) -> IPv4Address:
    try:
        return IPv4Address(text.strip())
    except ValueError as error:
        raise ValueError(f"'{text}', expected an IPv4 address") from error


def read_ipv6(text: str) -> IPv6Address:
    try:
        return IPv6Address(text.strip())
    except ValueError as error:
        raise ValueError(f"'{text}', expected an IPv6 address") from error


def read_ipv4_mask(text: str) -> IPv4Address:
    """Return the mask that text is, as an address or as a number of bits. Raises: ValueError."""
    if _DECIMAL.match(text.strip()):
        bits = read_number(text, 32)
        return IPv4Address(0xFFFFFFFF << (32 - bits) & 0xFFFFFFFF)
    return read_ipv4(text)


def read_ipv6_mask(text: str) -> IPv6Address:
    """As `read_ipv4_mask`."""
    if _DECIMAL.match(text.strip()):
        bits, whole = read_number(text, 128), (1 << 128) - 1
        return IPv6Address(whole << (128 - bits) & whole)
    return read_ipv6(text)


def read_truth(text: str) -> bool:
    if text not in ("yes", "true", "1", "no", "false", "0"):
        raise ValueError(f"'{text}', expected 'yes' or 'no'")
    return text in ("yes", "true", "1")


def read_states(text: str) -> tuple[str, ...]:
    """Return the states of connections that text lists, none for NONE. Raises: ValueError."""
    return () if text == "NONE" else _listed(text, STATES)


def read_tcp_flags(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (the flags that are looked at, those of them that are set). Raises: ValueError."""
    looked_at, slash, are_set = text.partition("/")
    if not slash:
        raise ValueError(f"'{text}', expected the flags that are looked at, '/', and those that are set: SYN,ACK/SYN")
    return _flags(looked_at), _flags(are_set)


def _flags(text: str) -> tuple[str, ...]:
    if text in ("ALL", "NONE"):
        return TCP_FLAGS if text == "ALL" else ()
    return _listed(text, TCP_FLAGS)


def _listed(text: str, words: tuple[str, ...]) -> tuple[str, ...]:
    listed = tuple(text.split(","))
    if not set(listed) <= set(words):
        raise ValueError(f"'{text}', expected some of {', '.join(words)}, with commas between them")
    return listed


def _read_ip_set(text: str) -> str:
    if not _IP_SET.match(text):
        raise ValueError(f"'{text}', expected the name of an IP set")
    return text


def _number_to(most: int, words: Mapping[str, int] | None = None, least: int = 0) -> Callable[[str], int]:
    return lambda text: read_number(text, most, words, least)


_ETHER_TYPE = _number_to(0xFFFF, ETHER_TYPES, 0x600)
_SHORT, _BYTE = _number_to(0xFFFF), _number_to(0xFF)
_SOURCE_MAC: Mapping[str, Callable[[str], Any]] = {"srcmacaddr": read_mac}
_SOURCE_MACS = {**_SOURCE_MAC, "srcmacmask": read_mac}
_MACS = {**_SOURCE_MACS, "dstmacaddr": read_mac, "dstmacmask": read_mac}
_ARP = {
    **_MACS,
    "arpsrcmacaddr": read_mac,
    "arpdstmacaddr": read_mac,
    "arpsrcipaddr": read_ipv4,
    "arpsrcipmask": read_ipv4_mask,
    "arpdstipaddr": read_ipv4,
    "arpdstipmask": read_ipv4_mask,
    "hwtype": _SHORT,
    "protocoltype": _SHORT,
    "opcode": _number_to(0xFFFF, ARP_OPCODES),
    "gratuitous": read_truth,
}
_PORTS = dict.fromkeys(("srcportstart", "srcportend", "dstportstart", "dstportend"), _SHORT)
_ICMP = {"type": _BYTE, "code": _BYTE}
_TYPES = {**_ICMP, "typeend": _BYTE, "codeend": _BYTE}
_DSCP = {"dscp": _number_to(0x3F)}


def _addresses(address: Callable[[str], Any], mask: Callable[[str], Any]) -> dict[str, Callable[[str], Any]]:
    return {"srcipaddr": address, "srcipmask": mask, "dstipaddr": address, "dstipmask": mask}


def _carried(address: Callable[[str], Any], mask: Callable[[str], Any]) -> dict[str, Callable[[str], Any]]:
    """Return what is said of all that IP carries."""
    return {
        **_SOURCE_MAC,
        **_addresses(address, mask),
        **dict.fromkeys(("srcipfrom", "srcipto", "dstipfrom", "dstipto"), address),
        **_DSCP,
        "connlimit-above": _SHORT,
        "state": read_states,
        "ipset": _read_ip_set,
        "ipsetflags": str,
    }


_IN_IPV4, _IN_IPV6 = _carried(read_ipv4, read_ipv4_mask), _carried(read_ipv6, read_ipv6_mask)
_TCP = {**_PORTS, "flags": read_tcp_flags}
_IP_PROTOCOL = {"protocol": _number_to(0xFF, IP_PROTOCOLS)}

READERS: Mapping[FilterProtocol, Mapping[str, Callable[[str], Any]]] = {
    FilterProtocol.MAC: {**_MACS, "protocolid": _ETHER_TYPE},
    FilterProtocol.VLAN: {**_MACS, "vlanid": _number_to(0xFFF), "encap-protocol": _ETHER_TYPE},
    FilterProtocol.STP: {**_SOURCE_MACS, "type": _BYTE, "flags": _BYTE},
    FilterProtocol.ARP: _ARP,
    FilterProtocol.RARP: _ARP,
    FilterProtocol.IP: {**_MACS, **_addresses(read_ipv4, read_ipv4_mask), **_PORTS, **_IP_PROTOCOL, **_DSCP},
    FilterProtocol.IPV6: {
        **_MACS,
        **_addresses(read_ipv6, read_ipv6_mask),
        **_PORTS,
        **_IP_PROTOCOL,
        **_DSCP,
        **_TYPES,
    },
    FilterProtocol.TCP: {**_IN_IPV4, **_TCP},
    FilterProtocol.UDP: {**_IN_IPV4, **_PORTS},
    FilterProtocol.UDPLITE: _IN_IPV4,
    FilterProtocol.SCTP: {**_IN_IPV4, **_PORTS},
    FilterProtocol.ICMP: {**_IN_IPV4, **_ICMP},
    FilterProtocol.IGMP: _IN_IPV4,
    FilterProtocol.ESP: _IN_IPV4,
    FilterProtocol.AH: _IN_IPV4,
    FilterProtocol.ALL: _IN_IPV4,
    FilterProtocol.TCP_IPV6: {**_IN_IPV6, **_TCP},
    FilterProtocol.UDP_IPV6: {**_IN_IPV6, **_PORTS},
    FilterProtocol.UDPLITE_IPV6: _IN_IPV6,
    FilterProtocol.SCTP_IPV6: {**_IN_IPV6, **_PORTS},
    FilterProtocol.ICMPV6: {**_IN_IPV6, **_ICMP},
    FilterProtocol.ESP_IPV6: _IN_IPV6,
    FilterProtocol.AH_IPV6: _IN_IPV6,
    FilterProtocol.ALL_IPV6: _IN_IPV6,
}
"""What each protocol's values are, by their names in XML."""


def check_value(protocol: FilterProtocol, attribute: str, text: str) -> None:
    """Refuse a value that a rule of a protocol cannot have. Raises: ValueError in words."""
    if attribute == "comment":
        return
    reader = READERS[protocol].get(attribute)
    if reader is None:
        raise ValueError(f"<{protocol.value}> has no such attribute")
    if text.lstrip().startswith("$"):
        if not VARIABLE.match(text.strip()):
            raise ValueError(f"'{text}', expected a variable such as $IP, $IP[2] or $IP[@1]")
        return
    reader(text)
