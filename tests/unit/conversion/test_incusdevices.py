import pytest

from insula.model.devices import HostDeviceType, StartupPolicy
from insula.model.filesystems import FilesystemType
from insula.model.interfaces import InterfaceType, IpvlanMode, SourceMode
from insula.model.scalars import OnOff
from tests.unit.conversion.conversions import keys_of
from tests.unit.conversion.instances import TREE, instance


def test_disks_are_file_systems_with_the_owners_that_they_show() -> None:
    found = instance(
        devices="a: {type: disk, path: /a, source: /srv/a, readonly: 'true'}\n"
        "b: {type: disk, path: /b, source: /srv/b, shift: 'true'}\n"
        "c: {type: disk, path: /c, source: 'tmpfs:', size: 8MiB}\n"
        "d: {type: disk, path: /d, source: /dev/vdb}\n"
    )
    root, first, second, third, fourth = found.domain.devices.filesystems
    assert str(root.source.directory) == "/var/lib/incus/storage-pools/default/containers/web/rootfs"
    assert [first.idmap, second.idmap, first.read_only] == [OnOff.OFF, None, True]
    assert (third.type, third.source.usage, fourth.type) == (FilesystemType.RAM, 8192, FilesystemType.BLOCK)
    assert keys_of(found.findings) == {TREE}


def test_cards_are_of_all_kinds() -> None:
    found = instance(
        "volatile.eth0.hwaddr: 10:66:6a:01:02:03\n",
        "eth0: {type: nic, nictype: bridged, parent: br0, mtu: '1400', vlan: '7', host_name: v0}\n"
        "eth1: {type: nic, nictype: macvlan, parent: eth9, mode: vepa}\n"
        "eth2: {type: nic, nictype: ipvlan, parent: eth9, mode: l2}\n"
        "eth3: {type: nic, nictype: physical, parent: eth8}\n"
        "eth4: {type: nic, nictype: routed, ipv4.address: '192.0.2.7, 192.0.2.8'}\n",
    )
    bridged, macvlan, ipvlan, routed = found.domain.devices.interfaces
    assert (bridged.type, bridged.mac, bridged.mtu, bridged.target) == (
        InterfaceType.BRIDGE,
        "10:66:6a:01:02:03",
        1400,
        "v0",
    )
    assert bridged.vlan is not None and bridged.vlan.tags[0].id == 7
    assert macvlan.source is not None and macvlan.source.mode is SourceMode.VEPA
    assert ipvlan.source is not None and ipvlan.source.ipvlan is IpvlanMode.L2
    assert [str(each.address) for each in routed.ips] == ["192.0.2.7", "192.0.2.8"]
    assert found.domain.devices.host_devices[0].moved_interface == "eth8"
    assert keys_of(found.findings) == {TREE, "config.volatile.*"}


def test_nodes_are_the_hosts() -> None:
    found = instance(
        devices="a: {type: unix-char, source: /dev/fuse}\nb: {type: unix-block, path: /dev/x, mode: '0600'}\n"
    )
    kinds = [each.type for each in found.domain.devices.host_devices]
    assert kinds == [HostDeviceType.MISC, HostDeviceType.STORAGE] and keys_of(found.findings) == {TREE}


def test_a_managed_network_is_taken_to_be_a_bridge_and_named() -> None:
    found = instance(devices="eth0: {type: nic, network: incusbr0, name: eth0, ipv4.address: 192.0.2.7}")
    (card,) = found.domain.devices.interfaces
    assert card.source is not None and card.source.bridge == "incusbr0"
    assert keys_of(found.findings) == {TREE, "devices.eth0.network", "devices.eth0.ipv4.address"}


@pytest.mark.parametrize(
    "device",
    [
        "{type: proxy, listen: 'tcp:0.0.0.0:80'}",
        "{type: gpu}",
        "{type: usb, vendorid: 046d}",
        "{type: usb, vendorid: 0x046d, productid: c077}",
        "{type: usb, vendorid: 046d, productid: c077, serial: x}",
        "{}",
        "{type: nic, nictype: sriov, parent: eth0}",
        "{type: nic, nictype: bridged, parent: b, hwaddr: x}",
        "{type: nic, nictype: macvlan, parent: b, vlan: '3'}",
        "{type: nic, nictype: routed, ipv4.address: x}",
        "{type: disk, path: x}",
        "{type: disk, path: /x, pool: default, source: vol}",
        "{type: disk, path: /x, source: srv}",
        "{type: disk, path: /x, source: /srv, propagation: shared}",
        "{type: disk, path: /x, source: 'tmpfs:', size: much}",
        "{type: unix-char, source: /etc/x}",
        "{type: unix-char, source: /dev/fuse, path: /dev/other}",
    ],
)
def test_what_cannot_be_is_named(device: str) -> None:
    found = keys_of(instance(devices=f"odd: {device}").findings) - {TREE}
    assert found and all(each.startswith("devices.odd") for each in found)


def test_a_device_that_is_taken_away_is_none() -> None:
    assert keys_of(instance(devices="odd: {type: none}").findings) == {TREE}


def test_a_usb_device_is_known_by_its_model_or_its_place_and_may_be_absent_unless_it_is_required() -> None:
    devices = (
        "a: {type: usb, vendorid: 046d, productid: c077}\nb: {type: usb, busnum: '1', devnum: '4', required: 'true'}\n"
    )
    found = instance(devices=devices)
    mouse, other = (each.source for each in found.domain.devices.host_devices)
    assert (mouse.vendor, mouse.product, mouse.startup_policy) == (0x46D, 0xC077, StartupPolicy.OPTIONAL)
    assert other.address is not None and (other.address.bus, other.address.device) == (1, 4)
    assert other.startup_policy is None and keys_of(found.findings) == {TREE}
