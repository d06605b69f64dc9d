"""What a card's definition says of its port, and what the port is then."""

from dataclasses import replace

import pytest

from insula.engine.interfacespec import BridgePort, PortProtection, PortVlans, TrafficLimits, TrafficRate
from insula.errors import UnsupportedConfigError
from insula.model.domain import DomainDefinition
from insula.model.interfaces import InterfaceSource, MacTableManager
from insula.network.cardports import bridge_port

DOMAIN = """<domain type='lxc'><name>d</name><memory>65536</memory><os><type>exe</type></os>
<devices><interface type='bridge'><source bridge='br0'/>{}</interface></devices></domain>"""


def port(xml: str) -> BridgePort:
    (card,) = DomainDefinition.load(DOMAIN.format(xml)).devices.interfaces
    return bridge_port(card)


@pytest.mark.parametrize(
    ("xml", "is_"),
    [
        ("", BridgePort()),
        ("<port isolated='yes'/>", BridgePort(isolated=True)),
        ("<port isolated='no'/>", BridgePort()),
        ("<port xmlns:insula='https://insula.dev/xmlns/domain/1' insula:trusted='yes'/>", BridgePort(trusted=True)),
        ("<vlan><tag id='42'/></vlan>", BridgePort(vlans=PortVlans(native=42))),
        ("<vlan trunk='yes'><tag id='42'/></vlan>", BridgePort(vlans=PortVlans(tagged=(42,)))),
        (
            "<vlan trunk='yes'><tag id='42'/><tag id='7' nativeMode='untagged'/></vlan>",
            BridgePort(vlans=PortVlans(tagged=(42,), native=7)),
        ),
        (
            "<vlan trunk='yes'><tag id='7' nativeMode='tagged'/></vlan>",
            BridgePort(vlans=PortVlans(native=7, native_tagged=True)),
        ),
        ("<bandwidth/>", BridgePort()),
        ("<bandwidth><inbound floor='10'/></bandwidth>", BridgePort(floor=10_000)),
        (
            "<bandwidth><inbound average='1000' peak='2000' burst='64'/><outbound average='128'/></bandwidth>",
            BridgePort(
                limits=TrafficLimits(
                    inbound=TrafficRate(average=1_000_000, peak=2_000_000, burst=65536),
                    outbound=TrafficRate(average=128_000),
                )
            ),
        ),
        (
            "<filterref filter='clean-traffic'><parameter name='IP' value='10.0.0.2'/></filterref>",
            BridgePort(protection=PortProtection(filter="clean-traffic", parameters=(("IP", "10.0.0.2"),))),
        ),
    ],
)
def test_each_element_has_its_place(xml: str, is_: BridgePort) -> None:
    assert port(xml) == is_


def test_a_bridge_that_learns_nothing_knows_the_cards_address() -> None:
    xml = DOMAIN.format("<mac address='52:54:00:00:00:07'/>")
    (card,) = DomainDefinition.load(xml).devices.interfaces
    source = InterfaceSource(bridge="br0", mac_table_manager=MacTableManager.LIBVIRT)
    assert bridge_port(replace(card, source=source)) == BridgePort(only_mac="52:54:00:00:00:07")


def test_a_peak_of_no_average_is_refused() -> None:
    with pytest.raises(UnsupportedConfigError, match="needs an average"):
        port("<bandwidth><inbound peak='2000'/></bandwidth>")
