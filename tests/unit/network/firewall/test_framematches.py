"""What rules look at."""

import pytest

from insula.engine.interfacespec import PortProtection
from insula.errors import OperationUnsupportedError
from insula.model.filterattributes import FilterProtocol
from insula.model.nwfilter import load_filter
from insula.network.firewall.filterrules import LEARNT, FilterRule, rules_of
from insula.network.firewall.framematches import looks_at, reversed_values
from insula.network.firewall.nftwords import Expression
from insula.network.firewall.portrules import PortRules


def rule_of(match: str) -> FilterRule:
    definition = load_filter(f"<filter name='f'><rule action='drop' direction='out'>{match}</rule></filter>")
    port = PortRules(host="vnet0", mac="52:54:00:00:00:01", protection=PortProtection(filter="f"))
    return rules_of(port, lambda _name: definition)[0]


def seen(match: str) -> list[tuple[Expression, str, object]]:
    """Return (what is looked at, how it is compared, with what) for each, but for the kind of frame."""
    rule = rule_of(match)
    said = [each["match"] for each in looks_at(rule, rule.values, "learnt/vnet0")]
    pairs = [(each["left"], each["op"], each["right"]) for each in said]
    return [each for each in pairs if each[0] != {"payload": {"protocol": "ether", "field": "type"}}]


def payload(protocol: str, name: str) -> Expression:
    return {"payload": {"protocol": protocol, "field": name}}


def in_arp(offset: int, length: int) -> Expression:
    return {"payload": {"base": "nh", "offset": offset, "len": length}}


IP_OVER_ARP = ((in_arp(32, 8), "==", 6), (in_arp(16, 16), "==", 0x0800), (in_arp(40, 8), "==", 4))
"""Only then an address of IPv4 stands where it is looked for."""


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("<mac srcmacaddr='52:54:0:0:0:1'/>", [(payload("ether", "saddr"), "==", "52:54:00:00:00:01")]),
        (
            "<mac match='no' dstmacaddr='52:54:12:0:0:0' dstmacmask='ff:ff:0:0:0:0'/>",
            [({"&": [payload("ether", "daddr"), "ff:ff:00:00:00:00"]}, "!=", "52:54:00:00:00:00")],
        ),
        (
            "<ip srcipaddr='192.0.2.7' srcipmask='24'/>",
            [(payload("ip", "saddr"), "==", {"prefix": {"addr": "192.0.2.0", "len": 24}})],
        ),
        (
            "<ip srcipaddr='192.0.2.7' srcipmask='255.0.255.0'/>",
            [({"&": [payload("ip", "saddr"), "255.0.255.0"]}, "==", "192.0.2.0")],
        ),
        (
            "<udp-ipv6 srcipfrom='2001:db8::1' srcipto='2001:db8::9' dstportstart='53'/>",
            [
                (payload("ip6", "saddr"), "==", {"range": ["2001:db8::1", "2001:db8::9"]}),
                ({"meta": {"key": "l4proto"}}, "==", 17),
                (payload("udp", "dport"), "==", 53),
            ],
        ),
        (
            "<tcp flags='SYN,ACK/SYN' dstportstart='1' dstportend='9'/>",
            [
                ({"meta": {"key": "l4proto"}}, "==", 6),
                (payload("tcp", "dport"), "==", {"range": [1, 9]}),
                ({"&": [payload("tcp", "flags"), 18]}, "==", 2),
            ],
        ),
        (
            "<arp opcode='Reply' arpsrcipaddr='192.0.2.7'/>",
            [*IP_OVER_ARP, (payload("arp", "operation"), "==", 2), (payload("arp", "saddr ip"), "==", "192.0.2.7")],
        ),
        (
            "<arp arpsrcmacaddr='52:54:0:0:0:1'/>",
            [
                (in_arp(32, 8), "==", 6),
                (in_arp(0, 16), "==", 1),
                (payload("arp", "saddr ether"), "==", "52:54:00:00:00:01"),
            ],
        ),
        ("<arp match='no' arpsrcipaddr='192.0.2.7'/>", [(payload("arp", "saddr ip"), "!=", "192.0.2.7")]),
        ("<rarp arpsrcipaddr='192.0.2.7'/>", [*IP_OVER_ARP, (in_arp(112, 32), "==", 0xC0000207)]),
        ("<vlan vlanid='7'/>", [(payload("vlan", "id"), "==", 7)]),
        (
            "<icmpv6 type='1'/>",
            [({"meta": {"key": "l4proto"}}, "==", 58), (payload("icmpv6", "type"), "==", 1)],
        ),
        ("<all state='NEW,INVALID'/>", [({"ct": {"key": "state"}}, "in", ["new", "invalid"])]),
    ],
)
def test_values_become_what_is_looked_at(match: str, expected: list[tuple[Expression, str, object]]) -> None:
    assert seen(match) == expected


@pytest.mark.parametrize("protocol", FilterProtocol)
def test_every_rule_but_that_for_any_frame_names_the_kind_of_frame(protocol: FilterProtocol) -> None:
    if protocol is FilterProtocol.STP:
        with pytest.raises(OperationUnsupportedError, match="rules for <stp> are not there"):
            looks_at(rule_of("<stp/>"), {}, "learnt")
        return
    said = looks_at(rule_of(f"<{protocol.value}/>"), {}, "learnt")
    kinds = [each for each in said if each["match"]["left"] == payload("ether", "type")]
    assert len(kinds) == (0 if protocol is FilterProtocol.MAC else 1)


@pytest.mark.parametrize("match", ["<arp gratuitous='yes'/>", "<tcp ipset='mine' ipsetflags='src'/>"])
def test_what_nftables_has_no_words_for_is_refused(match: str) -> None:
    with pytest.raises(OperationUnsupportedError, match=r"'f': '(gratuitous|ipset)' is not there"):
        seen(match)


def test_a_learnt_address_is_looked_up() -> None:
    assert seen("<ip srcipaddr='$IP'/>") == [(payload("ip", "saddr"), "==", "@learnt/vnet0")]


def test_on_the_way_back_the_source_is_the_destination() -> None:
    there = {"srcmacaddr": "a", "dstipaddr": "b", "arpsrcipaddr": "c", "dstportstart": "d", "type": "e"}
    back = {"dstmacaddr": "a", "srcipaddr": "b", "arpdstipaddr": "c", "srcportstart": "d", "type": "e"}
    assert reversed_values(there) == back
    assert reversed_values(back) == there
    assert LEARNT not in reversed_values(there).values()
