from ipaddress import ip_address

import pytest

from insula.model.interfaces import (
    AddressFamily,
    Interface,
    InterfaceRoute,
    InterfaceType,
    LinkState,
    VirtualPortType,
    family_of,
    is_generated_device,
)
from insula.model.xmlmap import Part
from insula.model.xmlreader import load
from insula.model.xmlwriter import dump


def interface(inside: str, parts: Part = Part.DEFINITION, kind: str = "bridge") -> Interface:
    return load(Interface, "interface", f"<interface type='{kind}'>{inside}</interface>", parts)


def test_a_card_on_a_bridge_has_address_routes_name_and_limits() -> None:
    card = interface(
        "<source bridge='br0'/><ip address='192.0.2.5' prefix='24'/><ip address='2001:db8::5' prefix='64'/>"
        "<route address='0.0.0.0' prefix='0' gateway='192.0.2.1'/><guest dev='lan0'/><mtu size='1400'/>"
        "<link state='down'/><bandwidth><inbound average='10'/></bandwidth>"
    )
    assert card.source is not None
    assert card.source.bridge == "br0"
    assert [str(each.address) for each in card.ips] == ["192.0.2.5", "2001:db8::5"]
    assert card.routes[0].gateway == ip_address("192.0.2.1")
    assert card.guest is not None
    assert (card.guest.device, card.mtu, card.link) == ("lan0", 1400, LinkState.DOWN)
    assert card.bandwidth is not None
    assert card.bandwidth.inbound is not None
    assert card.bandwidth.inbound.average == 10


@pytest.mark.parametrize("kind", list(InterfaceType))
def test_every_type_of_libvirt_is_understood(kind: InterfaceType) -> None:
    assert interface("", kind=kind.value).type is kind


def test_names_made_up_at_start_are_no_part_of_a_definition() -> None:
    assert interface("<target dev='vnet3'/>").target is None
    assert interface("<target dev='vnet3'/>", Part.LIVE).target == "vnet3"
    assert interface("<target dev='lan-of-ada'/>").target == "lan-of-ada"
    assert is_generated_device("macvtap0")
    assert not is_generated_device(None)


def test_the_name_a_card_really_has_is_only_of_the_running_domain() -> None:
    card = interface("<guest dev='eth0' actual='eth7'/>", Part.LIVE)
    assert dump(card, "interface", Part.LIVE).count("actual='eth7'") == 1
    assert "actual" not in dump(card, "interface")


def test_a_port_of_open_vswitch_has_tags_and_an_id() -> None:
    card = interface(
        "<virtualport type='openvswitch'><parameters interfaceid='09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f'/></virtualport>"
        "<vlan trunk='yes'><tag id='42'/><tag id='43' nativeMode='untagged'/></vlan>"
    )
    assert card.virtual_port is not None
    assert card.virtual_port.type is VirtualPortType.OPENVSWITCH
    assert card.vlan is not None
    assert [each.id for each in card.vlan.tags] == [42, 43]


def test_an_address_tells_its_family() -> None:
    assert family_of(ip_address("192.0.2.1")) is AddressFamily.IPV4
    assert family_of(ip_address("2001:db8::1")) is AddressFamily.IPV6


@pytest.mark.parametrize(("gateway", "network"), [("192.0.2.1", "0.0.0.0/0"), ("fd00::1", "::/0")])
def test_a_route_without_an_address_is_the_default_one(gateway: str, network: str) -> None:
    route = InterfaceRoute(gateway=ip_address(gateway))
    assert str(route.network) == network
