"""What a rule of a network filter looks at, as nftables' expressions: pure.

All stands in the family bridge, where the fields of IP are behind the kind of frame, so each rule names that first.
"""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from insula.errors import OperationUnsupportedError
from insula.model.filterattributes import ETHER_TYPES, IP_PROTOCOLS, READERS, FilterProtocol
from insula.network.firewall.filterrules import LEARNT, FilterRule
from insula.network.firewall.nftwords import Expression, field, match, meta, span, tracked

_SWAPPED = (("src", "dst"), ("dst", "src"), ("arpsrc", "arpdst"), ("arpdst", "arpsrc"))
_ARP_FIELDS = {
    # Bits from the beginning of the message, and how many. Source: RFC 826, with addresses of 6 and 4 bytes.
    "hwtype": ("htype", 0, 16),
    "protocoltype": ("ptype", 16, 16),
    "opcode": ("operation", 48, 16),
    "arpsrcmacaddr": ("saddr ether", 64, 48),
    "arpsrcipaddr": ("saddr ip", 112, 32),
    "arpdstmacaddr": ("daddr ether", 144, 48),
    "arpdstipaddr": ("daddr ip", 192, 32),
}
_TCP_FLAG_BITS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32}
_NOT_THERE = {
    "gratuitous": "nftables cannot compare two fields of a frame",
    "ipset": "nftables does not know sets of ipset; list the addresses as a parameter",
    "ipsetflags": "nftables does not know sets of ipset; list the addresses as a parameter",
}


def reversed_values(values: Mapping[str, str]) -> dict[str, str]:
    """Return what the same values are on the way back: what was the source is the destination."""
    return {_swapped(name): value for name, value in values.items()}


def _swapped(name: str) -> str:
    for prefix, other in _SWAPPED:
        if name.startswith(prefix):
            return other + name.removeprefix(prefix)
    return name


def looks_at(rule: FilterRule, values: Mapping[str, str], learnt: str) -> list[Expression]:
    """Return what must hold for a frame of such a rule. learnt: the name of the set of the guest's addresses.

    Raises: OperationUnsupportedError for what nftables has no words for.
    """
    if rule.protocol is None:
        return []
    for name, why in _NOT_THERE.items():
        if name in values:
            raise OperationUnsupportedError(f"the network filter '{rule.of}': '{name}' is not there: {why}")
    if rule.protocol is FilterProtocol.STP:
        raise OperationUnsupportedError(
            f"the network filter '{rule.of}': rules for <stp> are not there: a bridge that speaks STP takes those "
            "frames before any filter"
        )
    return list(_FrameMatches(rule, values, learnt).all())


def _arp_word(offset: int, length: int) -> Expression:
    """Return a part of an ARP message, in bits."""
    return {"payload": {"base": "nh", "offset": offset, "len": length}}


class _FrameMatches:
    """One rule's values, read."""

    def __init__(self, rule: FilterRule, values: Mapping[str, str], learnt: str) -> None:
        self._op = "!=" if rule.inverted else "=="
        assert rule.protocol is not None
        self._protocol = rule.protocol
        self._learnt = f"@{learnt}"
        readers = READERS[rule.protocol]
        self._values: dict[str, Any] = {
            name: text if text == LEARNT else readers[name](text) for name, text in values.items()
        }

    def all(self) -> Iterator[Expression]:
        protocol = self._protocol
        if protocol in (FilterProtocol.ARP, FilterProtocol.RARP):
            yield _kind(protocol.value)
        elif protocol is FilterProtocol.VLAN:
            yield _kind("vlan")
        elif protocol is not FilterProtocol.MAC:
            yield _kind("ipv6" if protocol.of_ipv6 else "ipv4")
        yield from self._cards()
        if protocol in (FilterProtocol.ARP, FilterProtocol.RARP):
            yield from self._arp()
        elif protocol is FilterProtocol.MAC:
            yield from self._equal("protocolid", field("ether", "type"))
        elif protocol is FilterProtocol.VLAN:
            yield from self._equal("vlanid", field("vlan", "id"))
            yield from self._equal("encap-protocol", field("vlan", "type"))
        else:
            yield from self._addresses()
            yield from self._carried()

    def _cards(self) -> Iterator[Expression]:
        for side, name in (("src", "saddr"), ("dst", "daddr")):
            address, mask = self._values.get(f"{side}macaddr"), self._values.get(f"{side}macmask")
            if address is None:
                continue
            looked_at = field("ether", name)
            if mask is not None:
                looked_at, address = {"&": [looked_at, mask]}, _masked_mac(address, mask)
            yield match(looked_at, address, self._op)

    def _arp(self) -> Iterator[Expression]:
        named = self._protocol is FilterProtocol.ARP
        yield from self._arp_sizes()
        for attribute, (word, offset, length) in _ARP_FIELDS.items():
            value = self._values.get(attribute)
            if value is None:
                continue
            looked_at = field("arp", word) if named else _arp_word(offset, length)
            if attribute.endswith("ipaddr"):
                mask = self._values.get(attribute.replace("addr", "mask"))
                yield self._address(looked_at, value, mask, numbers=not named)
            else:
                yield match(looked_at, value if named else _number(value), self._op)

    def _arp_sizes(self) -> Iterator[Expression]:
        """The addresses stand where `_ARP_FIELDS` has them only if they are of these kinds and sizes, which the sender
        says; of other messages nobody knows what they claim, as in ebtables(8). A rule for all that has other values
        is for those, too."""
        if self._op != "==":
            return
        of_cards = any(name.startswith(("arpsrcmac", "arpdstmac")) for name in self._values)
        of_ip = any(name.startswith(("arpsrcip", "arpdstip")) for name in self._values)
        if of_cards or of_ip:
            yield match(_arp_word(32, 8), 6)
        if of_cards:
            yield match(_arp_word(0, 16), 1)
        if of_ip:
            yield match(_arp_word(16, 16), 0x0800)
            yield match(_arp_word(40, 8), 4)

    def _addresses(self) -> Iterator[Expression]:
        header = "ip6" if self._protocol.of_ipv6 else "ip"
        for side, name in (("src", "saddr"), ("dst", "daddr")):
            address = self._values.get(f"{side}ipaddr")
            if address is not None:
                yield self._address(field(header, name), address, self._values.get(f"{side}ipmask"))
            first, last = self._values.get(f"{side}ipfrom"), self._values.get(f"{side}ipto")
            if first is not None:
                yield match(field(header, name), span(str(first), str(last if last is not None else first)), self._op)
        yield from self._equal("dscp", field(header, "dscp"))

    def _address(self, looked_at: Expression, address: Any, mask: Any, *, numbers: bool = False) -> Expression:
        if address == LEARNT:
            return match(looked_at, self._learnt, self._op)
        if mask is None or int(mask) == 2**mask.max_prefixlen - 1:
            return match(looked_at, int(address) if numbers else str(address), self._op)
        value = type(address)(int(address) & int(mask))
        bits = _prefix_length(mask)
        if numbers:
            return match({"&": [looked_at, int(mask)]}, int(value), self._op)
        if bits is None:
            return match({"&": [looked_at, str(mask)]}, str(value), self._op)
        return match(looked_at, {"prefix": {"addr": str(value), "len": bits}}, self._op)

    def _carried(self) -> Iterator[Expression]:
        """What stands in an IP packet: by the rule's protocol, or by the number that a rule for frames names."""
        protocol = self._protocol
        if protocol.of_frames:
            yield from self._equal("protocol", meta("l4proto") if protocol.of_ipv6 else field("ip", "protocol"))
            ports = "th"
        else:
            word = protocol.value.removesuffix("-ipv6")
            if word != "all":
                yield match(meta("l4proto"), IP_PROTOCOLS[word])
            ports = word
        for side, name in (("src", "sport"), ("dst", "dport")):
            first, last = self._values.get(f"{side}portstart"), self._values.get(f"{side}portend")
            if first is not None or last is not None:
                low = first if first is not None else last
                yield match(field(ports, name), span(low, last if last is not None else low), self._op)
        for name in ("type", "code"):
            first, last = self._values.get(name), self._values.get(f"{name}end")
            if first is not None:
                icmp = "icmpv6" if protocol.of_ipv6 else "icmp"
                yield match(field(icmp, name), span(first, last if last is not None else first), self._op)
        if "flags" in self._values:
            looked_at, are_set = (sum(_TCP_FLAG_BITS[each] for each in part) for part in self._values["flags"])
            yield match({"&": [field("tcp", "flags"), looked_at]}, are_set, self._op)
        if states := self._values.get("state"):
            yield tracked("state", *(each.lower() for each in states))
        if "connlimit-above" in self._values:
            yield {"ct count": {"val": self._values["connlimit-above"], "inv": self._op == "=="}}

    def _equal(self, attribute: str, looked_at: Expression) -> Iterator[Expression]:
        if (value := self._values.get(attribute)) is not None:
            yield match(looked_at, value, self._op)


def _kind(word: str) -> Expression:
    return match(field("ether", "type"), ETHER_TYPES[word])


def _prefix_length(mask: IPv4Address | IPv6Address) -> int | None:
    """Return the number of bits in front that are set, None if there are others behind them."""
    bits, width = int(mask), mask.max_prefixlen
    length = bits.bit_count()
    return length if bits == ((1 << width) - 1) >> (width - length) << (width - length) else None


def _masked_mac(address: str, mask: str) -> str:
    number = _number(address) & _number(mask)
    return ":".join(f"{each:02x}" for each in number.to_bytes(6, "big"))


def _number(value: Any) -> int:
    return int(value.replace(":", ""), 16) if isinstance(value, str) else int(value)
