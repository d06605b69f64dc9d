from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from lxml import etree

from insula.errors import InsulaError, OperationFailedError, UnsupportedConfigError
from insula.model.interfaces import Interface, InterfaceType, MacTableManager, PortOptions, SourceMode
from insula.model.network import NetworkDefinition, load_network
from insula.model.networkport import (
    NetworkPort,
    PlugType,
    PortOwner,
    actual_interface,
    dump_port,
    network_port,
    with_connections,
)
from insula.model.scalars import DomainName, NetworkName, YesNo
from insula.model.xmlmap import Part
from insula.model.xmlreader import load
from insula.model.xmlwriter import dump

SCHEMA = Path("/usr/share/libvirt/schemas/networkport.rng")
PORT = UUID("dd8fe884-6c02-601e-7551-cca97df1c5df")
OWNER = PortOwner(name=DomainName("web"), uuid=UUID("3e3fce45-4f53-4fa7-bb32-11f34168b82b"))
GROUPS = """
  <portgroup name='plain' default='yes'><vlan><tag id='10'/></vlan></portgroup>
  <portgroup name='fast' trustGuestRxFilters='yes'>
    <vlan trunk='yes'><tag id='20'/><tag id='30'/></vlan>
    <bandwidth><inbound average='1000'/></bandwidth>
    <virtualport><parameters profileid='fast'/></virtualport>
  </portgroup>
"""


def network(inside: str, attributes: str = "") -> NetworkDefinition:
    return load_network(f"<network{attributes}><name>lan</name>{inside}</network>", Part.LIVE)


def card(inside: str = "", source: str = "") -> Interface:
    xml = f"<interface type='network'><mac address='52:54:00:00:00:07'/><source network='lan'{source}/>{inside}"
    return load(Interface, "interface", f"{xml}</interface>", Part.LIVE)


def device(number: int, connections: int = 0) -> str:
    used = f" connections='{connections}'" if connections else ""
    return f"<interface dev='eth{number}'{used}/>"


def tags(interface: Interface) -> list[int]:
    return [each.id for each in interface.vlan.tags] if interface.vlan else []


def test_a_card_that_names_no_network_is_itself() -> None:
    plain = load(Interface, "interface", "<interface type='bridge'><source bridge='br0'/></interface>")
    assert actual_interface(plain, network("")) is plain


@pytest.mark.parametrize("mode", ["", "<forward/>", "<forward mode='route'/>", "<forward mode='open'/>"])
def test_a_card_of_a_network_with_a_bridge_of_its_own_is_a_port_of_it(mode: str) -> None:
    lan = network(f"{mode}<bridge name='virbr7'/><mtu size='1400'/>")
    actual = actual_interface(card(source=f" portid='{PORT}'"), lan)
    assert actual.type is InterfaceType.BRIDGE
    assert actual.source is not None
    assert (actual.source.bridge, actual.source.network, actual.source.port_id) == ("virbr7", "lan", PORT)
    assert actual.mtu == 1400
    port = network_port(actual, lan, OWNER)
    assert port is not None
    assert port.plug is not None
    assert (port.plug.type, port.plug.bridge, port.uuid) == (PlugType.NETWORK, "virbr7", PORT)


def test_a_card_of_a_network_that_names_a_bridge_is_a_port_of_that() -> None:
    lan = network("<forward mode='bridge'/><bridge name='br0'/><virtualport type='openvswitch'/>")
    actual = actual_interface(card("<mtu size='9000'/>"), lan)
    assert (actual.type, actual.source and actual.source.bridge, actual.mtu) == (InterfaceType.BRIDGE, "br0", 9000)
    assert actual.virtual_port == lan.virtual_port


@pytest.mark.parametrize("mode", ["bridge", "private", "vepa", "passthrough"])
def test_a_card_of_a_network_of_devices_is_a_macvlan_on_the_one_that_fewest_use(mode: str) -> None:
    lan = network(f"<forward mode='{mode}'>{device(1, 2)}{device(2)}{device(3, 1)}</forward>")
    actual = actual_interface(card(source=f" portid='{PORT}'"), lan)
    assert actual.type is InterfaceType.DIRECT
    assert actual.source is not None
    assert (actual.source.device, actual.source.mode) == ("eth2", SourceMode(mode))
    port = network_port(actual, lan, OWNER)
    assert port is not None
    assert port.plug is not None
    assert (port.plug.type, port.plug.device, port.plug.mode) == (PlugType.DIRECT, "eth2", SourceMode(mode))


def test_a_card_of_a_network_of_moved_devices_is_one_of_them() -> None:
    lan = network(f"<forward mode='hostdev'>{device(1, 1)}{device(2)}</forward>")
    actual = actual_interface(card(source=f" portid='{PORT}'"), lan)
    assert (actual.type, actual.source and actual.source.device) == (InterfaceType.HOSTDEV, "eth2")
    port = network_port(actual, lan, OWNER)
    assert port is not None
    assert port.plug is None


PCI = "<address type='pci' domain='0' bus='3' slot='16' function='{}'{}/>"


def test_a_device_that_is_known_by_its_place_only_is_named_by_that() -> None:
    pool = PCI.format(1, " connections='1'") + PCI.format(3, "")
    lan = network(f"<forward mode='hostdev' managed='yes'><driver name='vfio'/><pf dev='eth3'/>{pool}</forward>")
    actual = actual_interface(card(source=f" portid='{PORT}'"), lan)
    assert (actual.type, actual.source and str(actual.source.address)) == (InterfaceType.HOSTDEV, "0000:03:10.3")
    shown = dump(actual, "interface", Part.LIVE)
    assert "<address type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x3'/>" in shown
    port = network_port(load(Interface, "interface", shown, Part.LIVE), lan, OWNER)
    assert port is not None
    assert port.plug is not None
    assert (port.plug.type, str(port.plug.address), port.plug.managed) == ("hostdev-pci", "0000:03:10.3", YesNo.YES)


def test_a_macvlan_needs_the_name_of_its_device() -> None:
    lan = network(f"<forward mode='passthrough'>{PCI.format(1, '')}</forward>")
    with pytest.raises(UnsupportedConfigError, match="names its devices by PCI address; name them by <interface>"):
        actual_interface(card(), lan)


@pytest.mark.parametrize("mode", ["passthrough", "hostdev"])
def test_a_device_that_only_one_guest_can_have_is_never_given_twice(mode: str) -> None:
    lan = network(f"<forward mode='{mode}'>{device(1, 1)}{device(2, 1)}</forward>")
    with pytest.raises(OperationFailedError, match="all 2 devices of the network 'lan' are in use"):
        actual_interface(card(), lan)


def test_a_card_keeps_the_device_that_it_has() -> None:
    lan = network(f"<forward mode='passthrough'>{device(1)}{device(2, 1)}</forward>")
    kept = actual_interface(card(source=" dev='eth2'"), lan)
    assert kept.source is not None
    assert kept.source.device == "eth2"
    other = actual_interface(card(source=" dev='eth7'"), lan)
    assert other.source is not None
    assert other.source.device == "eth1"


def test_cards_are_counted_by_device() -> None:
    lan = with_connections(network(f"<forward mode='vepa'>{device(1, 9)}{device(2)}</forward>"), 3, {"eth2": 3, "x": 1})
    assert lan.connections == 3
    assert lan.forward is not None
    assert [each.connections for each in lan.forward.interfaces] == [None, 3]
    assert with_connections(network("", " connections='2'"), 0, {}).connections is None


def test_the_default_portgroup_counts_for_a_card_that_names_none() -> None:
    lan = network(f"<bridge name='virbr7'/><vlan><tag id='5'/></vlan>{GROUPS}")
    assert tags(actual_interface(card(), lan)) == [10]
    assert tags(actual_interface(card(source=" portgroup='fast'"), lan)) == [20, 30]
    assert tags(actual_interface(card("<vlan><tag id='7'/></vlan>", " portgroup='fast'"), lan)) == [7]
    without = network("<bridge name='virbr7'/><vlan><tag id='5'/></vlan>")
    assert tags(actual_interface(card(), without)) == [5]


def test_bandwidth_is_the_cards_or_the_portgroups_and_never_the_networks() -> None:
    own = "<bandwidth><inbound average='7'/></bandwidth>"
    lan = network(f"<bridge name='virbr7'/><bandwidth><inbound average='5'/></bandwidth>{GROUPS}")

    def average(interface: Interface) -> int | None:
        bandwidth = actual_interface(interface, lan).bandwidth
        return bandwidth.inbound.average if bandwidth is not None and bandwidth.inbound is not None else None

    assert average(card()) is None
    assert average(card(source=" portgroup='fast'")) == 1000
    assert average(card(own, " portgroup='fast'")) == 7


def test_trust_and_isolation_come_from_whoever_is_nearest_to_the_card() -> None:
    lan = network(f"<bridge name='virbr7'/><port isolated='yes'/>{GROUPS}", " trustGuestRxFilters='no'")
    plain = actual_interface(card(), lan)
    assert (plain.trust_guest_filters, plain.port and plain.port.isolated) == (YesNo.NO, YesNo.YES)
    fast = actual_interface(card("<port isolated='no'/>", " portgroup='fast'"), lan)
    assert (fast.trust_guest_filters, fast.port and fast.port.isolated) == (YesNo.YES, YesNo.NO)
    distrusted = replace(card(source=" portgroup='fast'"), trust_guest_filters=YesNo.NO)
    assert actual_interface(distrusted, lan).trust_guest_filters is YesNo.NO


@pytest.mark.parametrize(
    ("inside", "interface", "kind", "text"),
    [
        (
            "<bridge name='v'/>",
            card(source=" portgroup='fats'"),
            UnsupportedConfigError,
            "no portgroup 'fats'; .* none",
        ),
        (f"<bridge name='v'/>{GROUPS}", card(source=" portgroup='x'"), UnsupportedConfigError, "has 'plain', 'fast'"),
        ("", card(), OperationFailedError, "has no bridge yet; start it"),
        ("<forward mode='vepa'/>", card(), OperationFailedError, "of mode 'vepa' has no device of the host"),
        (
            "<bridge name='v'/>",
            card("<virtualport type='openvswitch'/>"),
            UnsupportedConfigError,
            "type 'openvswitch' is not supported in the network 'lan', which routes",
        ),
        (
            "<forward mode='bridge'/><bridge name='br0'/>",
            card("<virtualport type='802.1Qbh'/>"),
            UnsupportedConfigError,
            "which uses a bridge",
        ),
        (
            "<forward mode='vepa' dev='eth0'/>",
            card("<virtualport type='openvswitch'/>"),
            UnsupportedConfigError,
            "which uses devices of the host",
        ),
        (
            "<bridge name='v'/>",
            card("<bandwidth><inbound floor='9'/></bandwidth>"),
            UnsupportedConfigError,
            "network 'lan' has no inbound QoS set",
        ),
        (
            "<forward mode='bridge' dev='eth0'/>",
            card("<bandwidth><inbound floor='9'/></bandwidth>"),
            UnsupportedConfigError,
            "network 'lan' of mode 'bridge' has no bridge of its own",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    inside: str, interface: Interface, kind: type[InsulaError], text: str
) -> None:
    with pytest.raises(kind, match=text):
        actual_interface(interface, network(inside))


def test_a_guaranteed_rate_is_taken_from_what_the_network_has() -> None:
    lan = network("<bridge name='v'/><bandwidth><inbound average='100'/></bandwidth>")
    floor = card("<bandwidth><inbound average='9' floor='9'/></bandwidth>")
    assert actual_interface(floor, lan).bandwidth == floor.bandwidth


def test_of_isolation_and_trust_each_is_the_cards_or_else_the_networks() -> None:
    ours = "xmlns:insula='https://insula.dev/xmlns/domain/1'"
    lan = network(f"<bridge name='v'/><port isolated='yes' {ours} insula:trusted='yes'/>")
    own = card(f"<port {ours} insula:trusted='no'/>")
    assert actual_interface(own, lan).port == PortOptions(isolated=YesNo.YES, trusted=YesNo.NO)
    assert actual_interface(card(), lan).port == lan.port
    assert actual_interface(own, network("<bridge name='v'/>")).port == own.port


def test_a_card_says_itself_who_tells_its_bridge_of_its_address() -> None:
    lan = network("<bridge name='v' macTableManager='libvirt'/>")
    (managed, learns) = (actual_interface(card(), each).source for each in (lan, network("<bridge name='v'/>")))
    assert managed is not None and managed.mac_table_manager is MacTableManager.LIBVIRT
    assert learns is not None and learns.mac_table_manager is None


def test_a_port_is_of_its_own_network_only() -> None:
    lan = network("<bridge name='virbr7'/>")
    actual = actual_interface(card(source=f" portid='{PORT}'"), lan)
    assert network_port(actual, replace(lan, name=NetworkName("other")), OWNER) is None
    assert network_port(actual_interface(card(), lan), lan, OWNER) is None
    bare = load(Interface, "interface", "<interface type='user'/>")
    assert network_port(bare, lan, OWNER) is None


@pytest.mark.requires("libvirt-schemas")
@pytest.mark.parametrize(
    "inside",
    [
        f"<bridge name='virbr7' macTableManager='libvirt'/><port isolated='yes'/>{GROUPS}",
        f"<forward mode='vepa'>{device(1)}</forward>{GROUPS}",
        f"<forward mode='hostdev'>{device(1)}</forward>{GROUPS}",
        f"<forward mode='hostdev' managed='yes'><driver name='vfio'/>{PCI.format(1, '')}</forward>{GROUPS}",
    ],
)
def test_a_port_is_shown_as_libvirts_schema_has_it(inside: str) -> None:
    schema = etree.RelaxNG(etree.parse(SCHEMA))
    lan = network(inside)
    actual = actual_interface(card(source=f" portgroup='fast' portid='{PORT}'"), lan)
    port = network_port(actual, lan, OWNER)
    assert port is not None
    shown = dump_port(port)
    assert schema.validate(etree.fromstring(shown)), schema.error_log
    assert load(NetworkPort, "networkport", shown) == port
