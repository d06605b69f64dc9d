from pathlib import Path

import pytest

from insula.errorcodes import ErrorDomain
from insula.errors import UnsupportedConfigError, XmlError
from insula.model.filterattributes import FilterProtocol
from insula.model.nwfilter import (
    EntryKind,
    FilterDefinition,
    RuleAction,
    RuleDirection,
    default_priority,
    dump_filter,
    load_filter,
)

WHOLE = """\
<filter name='web' chain='ipv4-web' priority='-300'>
  <uuid>3e3fce45-4f53-4fa7-bb32-11f34168b82b</uuid>
  <!-- first the others -->
  <filterref filter='clean-traffic'>
    <parameter name='IP' value='192.0.2.7'/>
  </filterref>
  <rule action='accept' direction='in' priority='100' statematch='false'>
    <tcp match='yes' srcipaddr='$CLIENTS[@1]' srcipmask='24' dstportstart='80' dstportend='0x51' comment='web'/>
  </rule>
  <filterref filter='last'/>
  <rule action='drop' direction='inout' priority='500'/>
</filter>
"""


def filter_of(inside: str, attributes: str = "name='f'") -> FilterDefinition:
    return load_filter(f"<filter {attributes}>{inside}</filter>")


def rule(match: str) -> FilterDefinition:
    return filter_of(f"<rule action='accept' direction='in'>{match}</rule>")


def test_a_filter_is_written_as_it_was_read_in_its_order() -> None:
    read = load_filter(WHOLE)
    assert dump_filter(read) == WHOLE
    assert [each.kind for each in read.entries] == [
        EntryKind.FILTER_REFERENCE,
        EntryKind.RULE,
        EntryKind.FILTER_REFERENCE,
        EntryKind.RULE,
    ]
    assert read.references == ("clean-traffic", "last")
    first = read.entries[1]
    assert (first.action, first.direction, first.tracks) == (RuleAction.ACCEPT, RuleDirection.IN, False)
    assert first.match is not None
    assert first.match.given == {
        "srcipaddr": "$CLIENTS[@1]",
        "srcipmask": "24",
        "dstportstart": "80",
        "dstportend": "0x51",
        "comment": "web",
    }


def test_priorities_that_are_not_said_are_libvirts() -> None:
    made = filter_of("<rule action='drop' direction='in'/>", "name='f' chain='arp-mine'")
    assert (made.priority, made.entries[0].priority) == (-500, 500)
    root = filter_of("")
    assert (root.chain, root.priority, root.chain_priority) == ("root", None, 0)
    assert {each: default_priority(each) for each in ("mac", "ipv4-x", "ipv6", "rarp", "stp")} == {
        "mac": -800,
        "ipv4-x": -700,
        "ipv6": -600,
        "rarp": -400,
        "stp": -810,
    }


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        ("<network/>", "expected a <filter>"),
        ("<filter/>", "has no attribute 'name'"),
        ("<filter name='a/b'/>", "'a/b', expected 1 to 64 characters"),
        ("<filter name='f' chain='tcp'/>", "'tcp', expected 'root' or a name of at most 12 characters that begins"),
        ("<filter name='f' chain='ipv4-much-too-long'/>", "at most 12 characters"),
        ("<filter name='f' priority='1001'/>", "expected a whole number from -1000 to 1000"),
        ("<filter name='f'>\n<rule action='accept'/></filter>", "line 2: /filter/rule: has no attribute 'direction'"),
        ("<filter name='f'><rule direction='in'/></filter>", "has no attribute 'action'"),
        ("<filter name='f'><rule action='log' direction='in'/></filter>", "expected one of 'accept', 'drop'"),
        ("<filter name='f'><filterref/></filter>", "has no attribute 'filter'"),
        ("<filter name='f'><filterref filter='f'/></filter>", "the filter refers to itself"),
        (
            "<filter name='f'><filterref filter='g'><parameter name='a b' value='1'/></filterref></filter>",
            "the parameter 'a b' is '1'",
        ),
        ("<filter name='f'><rule action='drop' direction='in' statematch='yes'/></filter>", "'yes', expected 'false'"),
    ],
)
def test_what_a_filter_cannot_be_is_refused_with_its_place(xml: str, said: str) -> None:
    with pytest.raises((XmlError, UnsupportedConfigError)) as caught:
        load_filter(xml)
    assert said in str(caught.value)
    assert caught.value.domain is ErrorDomain.NWFILTER


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ("<tcp dstportstart='70000'/>", "@dstportstart: '70000', expected a number from 0 to 65535"),
        ("<tcp dstportstart='$A[x]'/>", "expected a variable such as $IP"),
        ("<udp flags='SYN/SYN'/>", "@flags: <udp> has no such attribute"),
        ("<ip srcipaddr='::1'/>", "'::1', expected an IPv4 address"),
        ("<ipv6 srcipaddr='192.0.2.1'/>", "expected an IPv6 address"),
        ("<mac srcmacaddr='52:54'/>", "expected a MAC address"),
        ("<mac protocolid='0x10'/>", "expected one of ipv4, arp, rarp, vlan, ipv6, or a number from 1536 to 65535"),
        ("<arp opcode='Shout'/>", "'Shout', expected one of request, reply"),
        ("<tcp surprise='1'/>", "@surprise: <tcp> has no such attribute"),
        ("<tcp/><udp/>", "a second time"),
        ("<tcp/><quic/>", "a rule is about one protocol"),
        ("<quic/>", "<quic> is no protocol, expected one of <mac>, <vlan>"),
    ],
)
def test_a_value_that_a_rule_cannot_have_is_refused_with_what_it_can_be(match: str, said: str) -> None:
    with pytest.raises(XmlError) as caught:
        rule(match)
    assert said in str(caught.value)


@pytest.mark.parametrize("protocol", FilterProtocol)
def test_every_protocol_is_read_and_written(protocol: FilterProtocol) -> None:
    made = rule(f"<{protocol.value} srcmacaddr='$MAC'/>")
    assert made.entries[0].match is not None
    assert made.entries[0].match.protocol is protocol
    assert load_filter(dump_filter(made)) == made


@pytest.mark.requires("libvirt.nwfilters")
def test_the_filters_that_libvirt_comes_with_are_read_and_written() -> None:
    files = sorted(Path("/usr/share/libvirt/nwfilter").glob("*.xml"))
    for each in files:
        read = load_filter(each.read_text())
        assert load_filter(dump_filter(read)) == read
        assert read.name == each.stem
