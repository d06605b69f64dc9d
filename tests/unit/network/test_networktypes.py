"""From `<interface>` to what the engine connects, type by type."""

from pathlib import Path

import pytest

from insula.engine.interfacespec import (
    Address,
    BridgePort,
    IpvlanInterface,
    IpvlanLayer,
    MacvlanInterface,
    MacvlanMode,
    MovedInterface,
    Route,
    RoutedEnd,
    SwitchPort,
    VethInterface,
)
from insula.engine.interfacespec import Interface as SpecInterface
from insula.errors import UnsupportedConfigError
from insula.model.domain import DomainDefinition
from insula.model.interfaces import Interface, InterfaceType, SourceMode
from insula.model.pciaddress import PciAddress
from insula.network.networktypes import BUILT_IN, device_at, type_of

DOMAIN = """<domain type='lxc'><name>d</name><memory>65536</memory><os><type>exe</type></os>
<devices>{}</devices></domain>"""


def interface(xml: str) -> Interface:
    (found,) = DomainDefinition.load(DOMAIN.format(xml)).devices.interfaces
    return found


def translated(xml: str) -> SpecInterface:
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


@pytest.mark.parametrize("layer", list(IpvlanLayer))
def test_a_direct_card_is_an_ipvlan_where_our_word_says_so(layer: IpvlanLayer) -> None:
    ours = "xmlns:insula='https://insula.dev/xmlns/domain/1'"
    source = f"<source dev='eth7' insula:ipvlan='{layer.value}' {ours}/>"
    made = translated(f"<interface type='direct'><mac address='52:54:00:12:34:56'/>{source}</interface>")
    assert made == IpvlanInterface(guest="eth0", device="eth7", layer=layer, mac="52:54:00:12:34:56")


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
    ("kind", "element", "instead"),
    [
        ("bridge", "<script path='/etc/qemu-ifup'/>", "remove it"),
        ("bridge", "<virtualport type='802.1Qbg'/>", "remove it"),
        ("ethernet", "<vlan><tag id='42'/></vlan>", "plug it into a bridge"),
        ("ethernet", "<port isolated='yes'/>", "plug it into a bridge"),
        ("direct", "<bandwidth><inbound average='1000'/></bandwidth>", "root could take it off; plug it into a bridge"),
        ("direct", "<vlan><tag id='42'/></vlan>", "type vlan id 42"),
        ("direct", "<filterref filter='clean-traffic'/>", "root could take it off; plug it into a bridge"),
        ("direct", "<port isolated='yes'/>", "mode='private'"),
        ("direct", "<port insula:trusted='yes' xmlns:insula='https://insula.dev/xmlns/domain/1'/>", "remove it"),
        ("hostdev", "<bandwidth><outbound average='1000'/></bandwidth>", "plug it into a bridge"),
    ],
)
def test_what_would_silently_not_happen_is_refused_with_what_to_do(kind: str, element: str, instead: str) -> None:
    with pytest.raises(UnsupportedConfigError, match=f"{element[1:6]}.* is not there for type '{kind}'.*{instead}"):
        translated(f"<interface type='{kind}'><source bridge='br0' dev='eth1'/>{element}</interface>")


def test_what_a_port_has_beside_its_bridge_is_the_ports() -> None:
    made = translated("<interface type='bridge'><source bridge='br0'/><port isolated='yes'/></interface>")
    assert isinstance(made, VethInterface)
    assert made.port == BridgePort(isolated=True)


SINGLE = "<ip address='192.0.2.7' prefix='32'/><route address='0.0.0.0' gateway='192.0.2.1'/>"


@pytest.mark.parametrize(
    ("source", "more", "routed"),
    [
        ("", "", None),
        ("", "<ip address='10.0.0.2' prefix='24'/>", None),
        ("", "<ip address='10.9.0.2' prefix='32' peer='10.9.0.1'/>", None),
        ("", SINGLE, RoutedEnd()),
        ("", "<ip address='2001:db8::7' prefix='128'/>", RoutedEnd()),
        (
            "<ip address='10.0.0.1' prefix='32'/><route address='10.6.0.0' prefix='16' gateway='10.0.0.2'/>",
            "<ip address='10.0.0.2' prefix='24'/>",
            RoutedEnd(
                addresses=(Address(address="10.0.0.1", prefix=32),),
                routes=(Route(gateway="10.0.0.2", destination="10.6.0.0", prefix=16),),
            ),
        ),
    ],
    ids=["nothing", "a network", "a peer", "single", "single of IPv6", "the host's side"],
)
def test_a_card_is_routed_to_if_its_addresses_are_single_or_the_host_has_a_side(
    source: str, more: str, routed: RoutedEnd | None
) -> None:
    made = translated(f"<interface type='ethernet'><source>{source}</source>{more}</interface>")
    assert isinstance(made, VethInterface)
    assert made.routed == routed


def test_a_card_of_open_vswitch_is_known_to_its_controller_by_its_id_or_one_that_stays() -> None:
    def made(port: str) -> SwitchPort | None:
        mac = "<mac address='52:54:00:12:34:56'/><source bridge='ovs0'/>"
        found = translated(f"<interface type='bridge'>{mac}{port}</interface>")
        assert isinstance(found, VethInterface)
        assert found.bridge == "ovs0"
        return found.switch

    identity = "0b9b8d9e-0000-4000-8000-00163e000006"
    parameters = f"<parameters interfaceid='{identity}' profileid='web'/>"
    assert made(f"<virtualport type='openvswitch'>{parameters}</virtualport>") == SwitchPort(
        interface=identity, profile="web"
    )
    own = made("<virtualport type='openvswitch'/>")
    assert own is not None and own.interface is not None
    assert own == made("<virtualport type='openvswitch'/>")
    assert made("") is None


def place_on_the_bus(function: int) -> PciAddress:
    xml = f"<source><address type='pci' domain='0' bus='3' slot='16' function='{function}'/></source>"
    source = interface(f"<interface type='hostdev'>{xml}</interface>").source
    assert source is not None and source.address is not None
    return source.address


def test_a_device_of_the_host_is_found_by_its_place_on_the_bus(tmp_path: Path) -> None:
    (tmp_path / "bus/pci/devices/0000:03:10.1/net/enp3s16f1").mkdir(parents=True)
    address = place_on_the_bus(1)
    assert device_at(address, tmp_path) == "enp3s16f1"
    with pytest.raises(UnsupportedConfigError, match=r"no network device at 0000:03:10.2 of the host"):
        device_at(place_on_the_bus(2), tmp_path)


def test_a_device_of_the_host_has_the_cards_address_while_the_guest_has_it() -> None:
    made = translated("<interface type='hostdev'><mac address='52:54:00:12:34:56'/><source dev='eth7'/></interface>")
    assert made == MovedInterface(guest="eth0", device="eth7", mac="52:54:00:12:34:56")
    with pytest.raises(UnsupportedConfigError, match="names no device"):
        type_of(Interface(type=InterfaceType.HOSTDEV)).translate(Interface(type=InterfaceType.HOSTDEV), "eth0")


def test_addresses_for_the_hosts_side_are_refused() -> None:
    with pytest.raises(UnsupportedConfigError, match="<ip> or <route> in <source>"):
        translated("<interface type='bridge'><source bridge='br0'><ip address='10.0.0.1'/></source></interface>")


@pytest.mark.parametrize("kind", [kind for kind in InterfaceType if kind not in {each.type for each in BUILT_IN}])
def test_every_other_type_is_refused_by_name(kind: InterfaceType) -> None:
    with pytest.raises(UnsupportedConfigError, match=f"interface type '{kind}'"):
        type_of(Interface(type=kind))
