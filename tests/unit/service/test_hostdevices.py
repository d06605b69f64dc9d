"""Device nodes of the host that a guest is given."""

import os

import pytest

from insula.engine.spec import DeviceKind
from insula.errors import UnsupportedConfigError
from insula.model.domain import DomainDefinition
from insula.service.hostdevices import devices_of
from tests.unit.service.fakes import domain_xml


def with_device(xml: str) -> DomainDefinition:
    return DomainDefinition.load(domain_xml().replace("<devices>", f"<devices>{xml}"))


def test_a_character_device_is_shown_where_the_host_has_it() -> None:
    (device,) = devices_of(
        with_device("<hostdev mode='capabilities' type='misc'><source><char>/dev/null</char></source></hostdev>")
    )

    assert (device.kind, device.major, device.minor) == (DeviceKind.CHARACTER, 1, 3)
    assert (device.host, device.guest, device.access) == ("/dev/null", "null", "rwm")


def test_a_disk_is_shown_under_its_targets_name(monkeypatch: pytest.MonkeyPatch) -> None:
    status = os.stat_result((0o060660, 0, 0, 0, 0, 0, 0, 0, 0, 0), {"st_rdev": os.makedev(8, 16)})
    monkeypatch.setattr(os, "stat", lambda path: status)
    xml = "<disk type='block'><source dev='/dev/sdb'/><target dev='sda'/><readonly/></disk>"
    (device,) = devices_of(with_device(xml))

    assert (device.kind, device.major, device.minor) == (DeviceKind.BLOCK, 8, 16)
    assert (device.host, device.guest, device.access) == ("/dev/sdb", "sda", "rm")


@pytest.mark.parametrize(
    ("xml", "error"),
    [
        (
            "<hostdev mode='capabilities' type='misc'><source><char>/dev/no-such</char></source></hostdev>",
            "the host has no device '/dev/no-such'",
        ),
        (
            "<hostdev mode='capabilities' type='storage'><source><block>/dev/null</block></source></hostdev>",
            "'/dev/null' of the host is no block device",
        ),
        (
            "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1'/><product id='0x2'/></source></hostdev>",
            "type='usb'> cannot be given",
        ),
        ("<disk type='file'><source file='/srv/x.img'/><target dev='sda'/></disk>", "disk 'sda' of type 'file'"),
    ],
)
def test_what_cannot_be_given_is_named(xml: str, error: str) -> None:
    with pytest.raises(UnsupportedConfigError, match=error):
        devices_of(with_device(xml))


def test_a_network_device_has_no_node() -> None:
    xml = "<hostdev mode='capabilities' type='net'><source><interface>eth1</interface></source></hostdev>"
    assert devices_of(with_device(xml)) == ()
