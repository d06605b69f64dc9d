from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from insula.errors import InvalidArgumentError
from insula.model.devices import Devices
from insula.model.domain import DomainDefinition
from insula.model.extensions import DefinedShare, LxcNamespace, Metadata, ShareType
from insula.model.filesystems import Filesystem
from insula.model.foreign import ForeignAttribute, ForeignElement, Markup, inline, node_of
from insula.model.interfaces import Interface, InterfaceSource, InterfaceType, Vlan, VlanTag
from insula.model.resourcetuning import MemoryTune
from insula.model.scalars import OnOff
from insula.model.security import Capabilities, Capability, CapabilityState, Features
from insula.model.xmlmap import Foreign, Mapped, Part, Place
from insula.model.xmlreader import load
from insula.model.xmlsource import parse
from insula.model.xmlwriter import dump
from tests.unit.model.corpus import DOMAINS
from tests.unit.model.strategies import trees, values

EVERYTHING = Part.LIVE | Part.SECRET
MODERN = [each for each in DOMAINS if "linuxcontainer" not in each.name]
PARTS: tuple[type[Mapped], ...] = (Filesystem, Interface, Features, MemoryTune, Metadata, Devices)
SLOW = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)


@SLOW
@given(values(DomainDefinition))
def test_a_domain_that_was_written_reads_back_the_same(domain: DomainDefinition) -> None:
    assert load(DomainDefinition, "domain", dump(domain, "domain", EVERYTHING), EVERYTHING) == domain


@SLOW
@given(st.sampled_from(PARTS).flatmap(values))
def test_each_part_that_was_written_reads_back_the_same(value: Mapped) -> None:
    assert load(type(value), "x", dump(value, "x", EVERYTHING), EVERYTHING) == value


@SLOW
@given(st.sampled_from(MODERN), trees(), st.data())
def test_a_stranger_put_anywhere_into_a_domain_stays_there(
    path: Path, stranger: ForeignElement, data: st.DataObject
) -> None:
    root = parse(path.read_text())
    # lxml would let a stranger without namespace slip into a default one when it writes the test's own input.
    parents = [each for each in root.iter() if isinstance(each.tag, str) and None not in each.nsmap]
    parent = parents[data.draw(st.integers(0, len(parents) - 1))]
    parent.insert(data.draw(st.integers(0, len(parent))), parse(inline(stranger)))
    domain = DomainDefinition.load(etree.tostring(root, encoding="unicode"), EVERYTHING)
    written = dump(domain, "domain", EVERYTHING)
    assert load(DomainDefinition, "domain", written, EVERYTHING) == domain
    assert any(node_of(each) == stranger for each in parse(written).iter() if isinstance(each.tag, str))


def test_facts_are_written_in_order_with_two_spaces_and_single_quotes() -> None:
    vlan = Vlan(tags=(VlanTag(id=3),))
    card = Interface(type=InterfaceType.BRIDGE, source=InterfaceSource(bridge="br0"), vlan=vlan)
    assert dump(card, "interface") == (
        "<interface type='bridge'>\n  <source bridge='br0'/>\n  <vlan>\n    <tag id='3'/>\n  </vlan>\n</interface>\n"
    )


def test_an_element_with_nothing_in_it_is_one_tag() -> None:
    assert dump(Features(), "features") == "<features/>\n"


def test_a_namespace_is_declared_where_it_is_used_or_at_the_root() -> None:
    shared = LxcNamespace(network=DefinedShare(type=ShareType.NAME, value="a"))
    below = dump(shared, "lxc:namespace")
    assert below.count("xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'") == 1
    assert below.startswith("<lxc:namespace xmlns:lxc=")


def test_strangers_come_back_after_what_they_followed_even_when_that_is_gone() -> None:
    vlan = Vlan(
        tags=(VlanTag(id=1),),
        foreign=(
            Foreign(Place(after=("tags", 2)), ForeignElement(name="second")),
            Foreign(Place(before=("tags", 3)), Markup("<!--third-->")),
        ),
    )
    assert dump(vlan, "vlan") == "<vlan>\n  <tag id='1'/>\n  <second/>\n  <!--third-->\n</vlan>\n"


def test_two_strange_attributes_of_one_namespace_declare_it_once() -> None:
    tag = VlanTag(
        id=1,
        foreign=(
            Foreign(Place(), ForeignAttribute("a:x", "1", "urn:a")),
            Foreign(Place(), ForeignAttribute("a:y", "2", "urn:a")),
        ),
    )
    assert dump(tag, "tag") == "<tag id='1' xmlns:a='urn:a' a:x='1' a:y='2'/>\n"


def test_every_capability_is_written_under_its_own_name() -> None:
    states = tuple(CapabilityState(capability=each, state=OnOff.ON) for each in Capability)
    written = dump(Capabilities(states=states), "capabilities")
    assert written.count("state='on'") == len(Capability)
    assert "  <mknod state='on'/>\n" in written


def test_a_text_that_xml_cannot_hold_is_refused() -> None:
    card = Interface(type=InterfaceType.BRIDGE, source=InterfaceSource(bridge="br\x00"))
    with pytest.raises(InvalidArgumentError, match="XML cannot hold"):
        dump(card, "interface")


def test_a_value_changed_in_code_keeps_its_strangers() -> None:
    tag = load(VlanTag, "tag", "<tag id='1' colour='red'/>")
    assert dump(replace(tag, id=2), "tag") == "<tag id='2' colour='red'/>\n"
