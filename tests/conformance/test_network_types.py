"""What every network type must do; a new one is one line in SAMPLES."""

from collections.abc import Mapping

import pytest

from insula.engine.codec import decode, encode
from insula.engine.spec import ContainerSpec, DirectoryRoot
from insula.model.domain import DomainDefinition
from insula.model.interfaces import Interface, InterfaceType
from insula.model.validate import problems
from insula.network.networktypes import BUILT_IN, NetworkType, type_of

DOMAIN = """<domain type='lxc'><name>d</name><memory>65536</memory><os><type>exe</type></os>
<devices><interface type='{type}'>{source}<mac address='52:54:00:12:34:56'/>{more}</interface></devices></domain>"""

SAMPLES: Mapping[InterfaceType, str] = {
    InterfaceType.BRIDGE: "<source bridge='br0'/>",
    InterfaceType.ETHERNET: "",
    InterfaceType.DIRECT: "<source dev='eth0'/>",
    InterfaceType.HOSTDEV: "<source dev='eth0'/>",
    InterfaceType.USER: "",
}

types = pytest.mark.parametrize("plug", BUILT_IN, ids=lambda plug: str(plug.type))


def interface(kind: InterfaceType, source: str, more: str = "") -> Interface:
    (found,) = DomainDefinition.load(DOMAIN.format(type=kind, source=source, more=more)).devices.interfaces
    return found


def test_every_type_is_tried_here() -> None:
    assert {plug.type for plug in BUILT_IN} == set(SAMPLES)
    assert len(BUILT_IN) == len(SAMPLES)


@types
def test_it_is_found_by_its_word(plug: NetworkType) -> None:
    assert type_of(interface(plug.type, SAMPLES[plug.type])) is plug


@types
def test_name_mac_mtu_and_addresses_reach_the_engine_and_survive_json(plug: NetworkType) -> None:
    more = "<mtu size='1400'/><ip address='10.0.0.2' prefix='24'/><route address='0.0.0.0' gateway='10.0.0.1'/>"
    made = plug.translate(interface(plug.type, SAMPLES[plug.type], more), "lan0")
    assert (made.guest, made.mac, made.mtu) == ("lan0", "52:54:00:12:34:56", 1400)
    assert [(each.address, each.prefix) for each in made.addresses] == [("10.0.0.2", 24)]
    assert [each.gateway for each in made.routes] == ["10.0.0.1"]
    spec = ContainerSpec(name="d", uuid="u", root=DirectoryRoot(path="/srv"), interfaces=(made,), privileged=True)
    assert decode(ContainerSpec, encode(spec)) == spec


@pytest.mark.parametrize("plug", [each for each in BUILT_IN if SAMPLES[each.type]], ids=lambda plug: str(plug.type))
def test_a_definition_without_its_source_is_refused(plug: NetworkType) -> None:
    (problem,) = problems(DomainDefinition.load(DOMAIN.format(type=plug.type, source="", more="")))
    assert f"interface 1 is of type {plug.type} and names no " in problem


@types
def test_a_link_that_is_down_stays_down(plug: NetworkType) -> None:
    made = plug.translate(interface(plug.type, SAMPLES[plug.type], "<link state='down'/>"), "eth0")
    assert not made.up
