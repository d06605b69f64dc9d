"""From `<interface>` to what the engine connects, type by type."""

import pytest

from insula.engine.interfacespec import Address, MacvlanInterface, MacvlanMode, Route, VethInterface
from insula.errors import UnsupportedConfigError
from insula.model.domain import DomainDefinition
from insula.model.interfaces import Interface, InterfaceType, SourceMode
from insula.network.networktypes import BUILT_IN, type_of

DOMAIN = """<domain type='lxc'><name>d</name><memory>65536</memory><os><type>exe</type></os>
<devices>{}</devices></domain>"""


def interface(xml: str) -> Interface:
    (found,) = DomainDefinition.load(DOMAIN.format(xml)).devices.interfaces
    return found


def translated(xml: str) -> VethInterface | MacvlanInterface:
    read = interface(xml)
    return type_of(read).translate(read, "eth0")


def test_a_bridge_port_with_everything() -> None:
    assert translated(
        """<interface type='bridge'>
             <mac address='52:54:00:12:34:56'/><source bridge='br0'/><target dev='web0'/>
             <ip address='10.0.0.2' family='ipv4' prefix='24'/>
             <ip address='2001:db8::2' family='ipv6' prefix='64'/>
             <ip address='10.9.0.2' prefix='32' peer='10.9.0.1'/>
             <route family='ipv4' address='0.0.0.0' gateway='10.0.0.1'/>
             <route address='192.0.2.0' netmask='255.255.255.0' gateway='10.0.0.1' metric='7'/>
             <route family='ipv6' address='2001:db8:1::' prefix='48' gateway='2001:db8::1'/>
             <mtu size='1400'/>
           </interface>"""
    ) == VethInterface(
        guest="eth0",
        host="web0",
        bridge="br0",
        mac="52:54:00:12:34:56",
        mtu=1400,
        addresses=(
            Address(address="10.0.0.2", prefix=24),
            Address(address="2001:db8::2", prefix=64),
            Address(address="10.9.0.2", prefix=32, peer="10.9.0.1"),
        ),
        routes=(
            Route(gateway="10.0.0.1"),
            Route(gateway="10.0.0.1", destination="192.0.2.0", prefix=24, metric=7),
            Route(gateway="2001:db8::1", destination="2001:db8:1::", prefix=48),
        ),
    )


def test_a_bare_bridge_port() -> None:
    xml = "<interface type='bridge'><mac address='52:54:00:12:34:56'/><source bridge='br0'/></interface>"
    assert translated(xml) == VethInterface(guest="eth0", bridge="br0", mac="52:54:00:12:34:56")


@pytest.mark.parametrize("mode", [each for each in SourceMode if each not in (SourceMode.CLIENT, SourceMode.SERVER)])
def test_a_direct_card_is_a_macvlan_of_its_mode(mode: SourceMode) -> None:
    source = f"<source dev='eth0' mode='{mode}'/><ip address='10.0.0.2' prefix='24'/><mtu size='1400'/>"
    assert translated(f"<interface type='direct'><mac address='52:54:00:12:34:56'/>{source}</interface>") == (
        MacvlanInterface(
            guest="eth0",
            device="eth0",
            mode=MacvlanMode(str(mode)),
            mac="52:54:00:12:34:56",
            mtu=1400,
            addresses=(Address(address="10.0.0.2", prefix=24),),
        )
    )


def test_the_mode_of_a_direct_card_is_vepa_unless_it_says_otherwise() -> None:
    made = translated("<interface type='direct'><source dev='eth0'/></interface>")
    assert isinstance(made, MacvlanInterface)
    assert made.mode is MacvlanMode.VEPA


def test_a_card_whose_link_is_down() -> None:
    assert not translated("<interface type='bridge'><source bridge='br0'/><link state='down'/></interface>").up


@pytest.mark.parametrize(
    ("address", "prefix"),
    [("10.0.0.1", 8), ("172.16.0.1", 16), ("192.168.0.1", 24), ("224.0.0.1", 24), ("2001:db8::1", 64)],
)
def test_an_address_without_prefix_gets_that_of_its_class(address: str, prefix: int) -> None:
    (found,) = translated(
        f"<interface type='bridge'><source bridge='br0'/><ip address='{address}'/></interface>"
    ).addresses
    assert found.prefix == prefix


def test_the_default_route_of_ipv6() -> None:
    (route,) = translated(
        "<interface type='bridge'><source bridge='b'/><route family='ipv6' address='::' gateway='fd00::1'/></interface>"
    ).routes
    assert route == Route(gateway="fd00::1")


@pytest.mark.parametrize(
    "element",
    [
        "<bandwidth><inbound average='1000'/></bandwidth>",
        "<vlan><tag id='42'/></vlan>",
        "<filterref filter='clean-traffic'/>",
        "<script path='/etc/qemu-ifup'/>",
        "<virtualport type='openvswitch'/>",
    ],
)
def test_what_would_silently_not_happen_is_refused(element: str) -> None:
    with pytest.raises(UnsupportedConfigError, match=element[1:6]):
        translated(f"<interface type='bridge'><source bridge='br0'/>{element}</interface>")


def test_addresses_for_the_hosts_side_are_refused() -> None:
    with pytest.raises(UnsupportedConfigError, match="<ip> in <source>"):
        translated("<interface type='bridge'><source bridge='br0'><ip address='10.0.0.1'/></source></interface>")


@pytest.mark.parametrize("kind", [kind for kind in InterfaceType if kind not in {each.type for each in BUILT_IN}])
def test_every_other_type_is_refused_by_name(kind: InterfaceType) -> None:
    with pytest.raises(UnsupportedConfigError, match=f"interface type '{kind}'"):
        type_of(Interface(type=kind))
