import pytest

from insula.conversion.domaindraft import HOST
from insula.conversion.lxcnetworks import lxc_network_keys
from insula.model.domain import DomainDefinition
from insula.model.interfaces import InterfaceType, IpvlanMode, NativeMode, SourceMode
from tests.unit.conversion.conversions import converted, keys_of

ROOT = "lxc.rootfs.path = /srv/web\nlxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n"


def _read(text: str) -> tuple[DomainDefinition, set[str]]:
    found = converted("lxc-tools", ROOT + text)
    return found.domain, keys_of(found.findings)


def test_a_card_on_a_bridge_has_all_that_its_keys_say() -> None:
    domain, findings = _read(
        "lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.flags = up\nlxc.net.0.hwaddr = 00:16:3e:01:02:03\n"
        "lxc.net.0.name = eth0\nlxc.net.0.mtu = 1400\nlxc.net.0.veth.pair = vethweb\n"
        "lxc.net.0.ipv4.address = 192.0.2.7/24\nlxc.net.0.ipv4.gateway = 192.0.2.1\n"
        "lxc.net.0.ipv6.address = 2001:db8::7/64\n"
    )
    (card,) = domain.devices.interfaces
    assert findings == set()
    assert (card.type, card.source and card.source.bridge, card.mac) == (
        InterfaceType.BRIDGE,
        "br0",
        "00:16:3e:01:02:03",
    )
    assert (card.guest and card.guest.device, card.mtu, card.target) == ("eth0", 1400, "vethweb")
    assert [str(each.address) for each in card.ips] == ["192.0.2.7", "2001:db8::7"]
    assert [str(each.gateway) for each in card.routes] == ["192.0.2.1"]


def test_the_keys_before_lxc_2_1_say_the_same() -> None:
    domain, findings = _read(
        "lxc.network.type = veth\nlxc.network.link = lxcbr0\nlxc.network.flags = up\n"
        "lxc.network.ipv4 = 192.0.2.7/24 192.0.2.255\nlxc.network.ipv4.gateway = auto\n"
    )
    assert domain.devices.interfaces[0].source is not None
    assert findings == {"lxc.network.ipv4", "lxc.network.ipv4.gateway"}


@pytest.mark.parametrize(
    ("text", "mode"), [("", SourceMode.PRIVATE), ("lxc.net.0.macvlan.mode = passthru", SourceMode.PASSTHROUGH)]
)
def test_a_macvlan_is_of_its_mode(text: str, mode: SourceMode) -> None:
    domain, findings = _read(f"lxc.net.0.type = macvlan\nlxc.net.0.link = eth0\nlxc.net.0.flags = up\n{text}")
    card = domain.devices.interfaces[0]
    assert (card.type, card.source and card.source.mode, findings) == (InterfaceType.DIRECT, mode, set())


def test_an_ipvlan_is_of_its_mode() -> None:
    domain, findings = _read(
        "lxc.net.0.type = ipvlan\nlxc.net.0.link = eth0\nlxc.net.0.flags = up\nlxc.net.0.ipvlan.mode = l3s\n"
        "lxc.net.0.ipvlan.isolation = private\n"
    )
    source = domain.devices.interfaces[0].source
    assert source is not None and source.ipvlan is IpvlanMode.L3S
    assert findings == {"lxc.net.0.ipvlan.isolation"}


def test_devices_of_the_host_move_into_the_guest() -> None:
    domain, findings = _read(
        "lxc.net.0.type = phys\nlxc.net.0.link = eth1\nlxc.net.0.name = eth0\n"
        "lxc.net.1.type = vlan\nlxc.net.1.link = eth2\nlxc.net.1.vlan.id = 7\n"
    )
    assert [each.moved_interface for each in domain.devices.host_devices] == ["eth1", "eth2.7"]
    assert findings == {"lxc.net.0.name", "lxc.net.1.type"}


def test_the_hosts_network_is_shared_and_none_is_private() -> None:
    domain, _ = _read("lxc.net.0.type = none")
    assert domain.lxc is not None and domain.lxc.network == HOST
    domain, _ = _read("lxc.net.0.type = empty\nlxc.net.0.flags = up")
    assert domain.features is not None and domain.features.private_network


def test_tags_of_a_port_are_the_bridges() -> None:
    domain, findings = _read(
        "lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.flags = up\nlxc.net.0.veth.vlan.id = 5\n"
        "lxc.net.0.veth.vlan.tagged.id = 6\nlxc.net.0.veth.vlan.tagged.id = many\n"
    )
    vlan = domain.devices.interfaces[0].vlan
    assert vlan is not None
    assert [(each.id, each.native_mode) for each in vlan.tags] == [(5, NativeMode.UNTAGGED), (6, None)]
    assert findings == {"lxc.net.0.veth.vlan.tagged.id"}


@pytest.mark.parametrize(
    "text",
    [
        "lxc.net.0.link = br0",
        "lxc.net.0.type = carrier-pigeon",
        "lxc.net.0.type = macvlan",
        "lxc.net.0.type = ipvlan",
        "lxc.net.0.type = phys",
        "lxc.net.0.type = vlan\nlxc.net.0.link = eth0",
        "lxc.net.0.type = veth\nlxc.net.0.flags = up\nlxc.net.0.script.up = /x",
        "lxc.net.0.type = veth\nlxc.net.0.flags = up\nlxc.net.0.hwaddr = 00:16:3e:xx:xx:xx",
        "lxc.net.0.type = veth\nlxc.net.0.flags = up\nlxc.net.0.hwaddr = nonsense",
        "lxc.net.0.type = veth\nlxc.net.0.flags = up\nlxc.net.0.mtu = 7",
        "lxc.net.0.type = veth\nlxc.net.0.flags = up\nlxc.net.0.nonsense = 7",
        "lxc.net.0.type = veth\nlxc.net.0.flags = up\nlxc.net.0.veth.mode = router",
        "lxc.net.0.type = veth",
    ],
)
def test_what_cannot_be_is_named(text: str) -> None:
    _, findings = _read(text)
    assert findings


def test_a_domains_cards_are_written_one_number_each() -> None:
    text = (
        "lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.flags = up\n"
        "lxc.net.1.type = phys\nlxc.net.1.link = eth1\n"
    )
    domain, _ = _read(text)
    written = dict(lxc_network_keys(domain))
    assert written["lxc.net.0.link"] == "br0" and written["lxc.net.1.link"] == "eth1"
