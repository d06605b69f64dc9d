"""The virtual functions of a network device, below a directory that stands for /sys."""

from pathlib import Path

from insula.network.virtual.virtualfunctions import VirtualFunction, virtual_functions


def test_functions_are_told_by_number_with_the_devices_that_are_not_a_guests(tmp_path: Path) -> None:
    bus = tmp_path / "devices/pci0000:00"
    (bus / "0000:03:00.0").mkdir(parents=True)
    device = tmp_path / "class/net/eth0"
    device.mkdir(parents=True)
    (device / "device").symlink_to(bus / "0000:03:00.0")
    for number in (0, 2, 10):
        function = bus / f"0000:03:10.{number % 8}"
        function.mkdir(exist_ok=True)
        (bus / "0000:03:00.0" / f"virtfn{number}").symlink_to(function)
    (bus / "0000:03:10.0/net/eth1").mkdir(parents=True)
    assert virtual_functions("eth0", tmp_path) == (
        VirtualFunction(address="0000:03:10.0", device="eth1"),
        VirtualFunction(address="0000:03:10.2", device=None),
        VirtualFunction(address="0000:03:10.2", device=None),
    )


def test_a_device_without_functions_and_one_that_is_not_there_have_none(tmp_path: Path) -> None:
    (tmp_path / "class/net/eth0/device").mkdir(parents=True)
    assert virtual_functions("eth0", tmp_path) == ()
    assert virtual_functions("eth9", tmp_path) == ()
