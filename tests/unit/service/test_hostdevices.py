"""Device nodes of the host that a guest is given."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.spec import Device, DeviceKind
from insula.errors import UnsupportedConfigError
from insula.model.domain import DomainDefinition
from insula.service.hostdevices import devices_of, without_absent
from insula.service.usbchoice import located_alone
from tests.unit.service.fakes import domain_xml
from tests.unit.service.usbplugs import MOUSE, PLACED, UsbHost


def given(xml: str) -> tuple[Device, ...]:
    domain = DomainDefinition.load(domain_xml().replace("<devices>", f"<devices>{xml}"))
    return devices_of(domain.devices.host_devices, domain.shown_disks)


def test_a_character_device_is_shown_where_the_host_has_it() -> None:
    (device,) = given("<hostdev mode='capabilities' type='misc'><source><char>/dev/null</char></source></hostdev>")

    assert (device.kind, device.major, device.minor) == (DeviceKind.CHARACTER, 1, 3)
    assert (device.host, device.guest, device.access) == ("/dev/null", "null", "rwm")


def test_a_disk_is_shown_under_its_targets_name(monkeypatch: pytest.MonkeyPatch) -> None:
    status = os.stat_result((0o060660, 0, 0, 0, 0, 0, 0, 0, 0, 0), {"st_rdev": os.makedev(8, 16)})
    monkeypatch.setattr(os, "stat", lambda path: status)
    xml = "<disk type='block'><source dev='/dev/sdb'/><target dev='sda'/><readonly/></disk>"
    (device,) = given(xml)

    assert (device.kind, device.major, device.minor) == (DeviceKind.BLOCK, 8, 16)
    assert (device.host, device.guest, device.access) == ("/dev/sdb", "sda", "rm")


@pytest.mark.parametrize(
    ("more", "access"),
    [("", "rwm"), ("<readonly/>", "rm"), ("<driver name='loop' type='raw'/>", "rwm")],
)
def test_an_image_is_a_disk_whose_numbers_come_later(tmp_path: Path, more: str, access: str) -> None:
    (tmp_path / "disk").write_bytes(bytes(512))
    xml = f"<disk type='file'><source file='{tmp_path}/disk'/><target dev='vda'/>{more}</disk>"
    (device,) = given(xml)
    assert (device.kind, device.major, device.minor, device.guest) == (DeviceKind.BLOCK, 0, 0, "vda")
    assert (device.image, device.access) == (f"{tmp_path}/disk", access)
    (disc,) = given(xml.replace("<disk type='file'", "<disk type='file' device='cdrom'"))
    assert disc.access == "rm"


@pytest.mark.parametrize(
    ("xml", "error"),
    [
        (
            "<hostdev mode='capabilities' type='misc'><source><char>/dev/no-such</char></source></hostdev>",
            "the host has no device '/dev/no-such'",
        ),
        (
            "<disk type='volume'><source pool='default' volume='a.img'/><target dev='vda'/></disk>",
            "the disk 'vda' is a volume of a storage pool, and there are no pools yet: name the volume's file",
        ),
        (
            "<hostdev mode='capabilities' type='storage'><source><block>/dev/null</block></source></hostdev>",
            "'/dev/null' of the host is no block device",
        ),
        (
            "<hostdev mode='subsystem' type='scsi'><source/></hostdev>",
            "type='scsi'> cannot be given",
        ),
        ("<disk type='file'><source file='/srv/x.img'/><target dev='sda'/></disk>", "'/srv/x.img' cannot be used: No"),
        ("<disk type='file'><source file='/dev'/><target dev='sda'/></disk>", "'/dev' is no file"),
        ("<disk type='file'><source file='/proc/version'/><target dev='sda'/></disk>", "'/proc/version' is empty"),
        (
            "<disk type='file'><driver type='qcow2'/><source file='/x'/><target dev='sda'/></disk>",
            "'sda' is of format 'qcow2' by driver 'loop': the kernel makes devices of raw images only",
        ),
        ("<disk type='dir'><source dir='/srv'/><target dev='sda'/></disk>", "disk 'sda' of type 'dir' cannot be"),
    ],
)
def test_what_cannot_be_given_is_named(xml: str, error: str) -> None:
    with pytest.raises(UnsupportedConfigError, match=error):
        given(xml)


def test_a_network_device_has_no_node() -> None:
    xml = "<hostdev mode='capabilities' type='net'><source><interface>eth1</interface></source></hostdev>"
    assert given(xml) == ()


def test_an_empty_drive_is_none() -> None:
    assert given("<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>") == ()


def test_a_usb_device_has_its_node_where_the_host_has_it_and_an_absent_one_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = UsbHost(monkeypatch)
    assert given(MOUSE) == ()
    host.plug(12)
    (device,) = given(PLACED.format(12))
    assert (device.kind, device.major, device.minor) == (DeviceKind.CHARACTER, 189, 12)
    assert (device.host, device.guest, device.mode) == ("/dev/bus/usb/001/012", "bus/usb/001/012", 0o664)


def test_what_a_guest_has_lost_is_left_out_and_what_has_a_model_stays_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    UsbHost(monkeypatch).plug(4)
    domain = DomainDefinition.load(domain_xml().replace("<devices>", f"<devices>{MOUSE}{PLACED.format(7)}"))
    (mouse, _) = domain.devices.host_devices
    found = located_alone(replace(domain, devices=replace(domain.devices, host_devices=(mouse,)))).devices.host_devices
    assert without_absent((*found, domain.devices.host_devices[1]), {"bus/usb/001/004"}) == found
    assert without_absent((*found, domain.devices.host_devices[1]), set()) == (mouse,)
