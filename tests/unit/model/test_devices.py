from pathlib import PurePosixPath

from insula.model.devices import CharacterDeviceType, Console, Devices, HostDevice, HostDeviceMode, HostDeviceType
from insula.model.foreign import ForeignElement
from insula.model.xmlmap import Part
from insula.model.xmlreader import load
from insula.model.xmlwriter import dump


def test_devices_are_sorted_by_kind_and_strangers_kept() -> None:
    devices = load(
        Devices,
        "devices",
        "<devices><console type='pty'/><input type='mouse' bus='usb'/><emulator>/usr/lib/x</emulator></devices>",
    )
    assert devices.emulator == PurePosixPath("/usr/lib/x")
    assert [each.type for each in devices.consoles] == [CharacterDeviceType.PTY]
    assert [each.item for each in devices.foreign] == [
        ForeignElement(name="input", attributes=(("type", "mouse"), ("bus", "usb")))
    ]
    tags = [line.strip().split()[0] for line in dump(devices, "devices").splitlines()]
    assert tags == ["<devices>", "<emulator>/usr/lib/x</emulator>", "<console", "<input", "</devices>"]


def test_the_terminal_of_a_pty_is_only_of_the_running_domain() -> None:
    xml = "<console type='pty' tty='/dev/pts/3'><source path='/dev/pts/3'/><target type='lxc' port='0'/></console>"
    assert load(Console, "console", xml).source is None
    console = load(Console, "console", xml, Part.LIVE)
    assert console.tty == PurePosixPath("/dev/pts/3")
    assert "pts" not in dump(console, "console")


def test_the_file_of_a_console_is_part_of_its_definition() -> None:
    console = load(Console, "console", "<console type='file'><source path='/var/log/x'/></console>")
    assert console.source is not None
    assert "<source path='/var/log/x'/>" in dump(console, "console")


def test_a_usb_device_is_named_by_product_or_by_place() -> None:
    device = load(
        HostDevice,
        "hostdev",
        "<hostdev type='usb'><source><vendor id='0x046d'/><product id='0xC52B'/>"
        "<address bus='010' device='0x2'/></source></hostdev>",
    )
    assert (device.mode, device.type) == (HostDeviceMode.SUBSYSTEM, HostDeviceType.USB)
    assert (device.source.vendor, device.source.product) == (0x046D, 0xC52B)
    assert device.source.address is not None
    assert (device.source.address.bus, device.source.address.device) == (8, 2)
    assert "<product id='0xc52b'/>" in dump(device, "hostdev")


def test_a_node_of_the_host_is_named_by_path() -> None:
    xml = "<hostdev mode='capabilities' type='misc'><source><char>/dev/fuse</char></source></hostdev>"
    assert load(HostDevice, "hostdev", xml).source.character == PurePosixPath("/dev/fuse")
