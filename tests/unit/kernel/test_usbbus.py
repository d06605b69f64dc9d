"""USB devices as sysfs shows them."""

import errno
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from insula.kernel.usbbus import UsbAddress, UsbDevice, model_name, usb_devices


def plugged(bus: Path, port: str, **facts: str) -> None:
    (bus / port).mkdir(parents=True)
    for name, value in facts.items():
        (bus / port / name).write_text(f"{value}\n")


def test_devices_are_told_by_address_and_their_interfaces_are_none(tmp_path: Path) -> None:
    plugged(tmp_path, "1-1.2", busnum="1", devnum="12", idVendor="046d", idProduct="c077")
    plugged(tmp_path, "usb1", busnum="1", devnum="1", idVendor="1d6b", idProduct="0002")
    plugged(tmp_path, "1-1.2:1.0", bInterfaceNumber="00")

    hub, mouse = usb_devices(tmp_path)

    assert (hub.address, hub.port) == (UsbAddress(bus=1, device=1), "usb1")
    expected = UsbDevice(address=UsbAddress(bus=1, device=12), vendor=0x046D, product=0xC077, port="1-1.2")
    assert mouse == expected
    assert (str(mouse.address), str(mouse.address.node)) == ("001:012", "/dev/bus/usb/001/012")


def test_one_that_is_pulled_out_meanwhile_is_no_device(tmp_path: Path) -> None:
    plugged(tmp_path, "1-1", busnum="1", devnum="2", idVendor="046d")
    plugged(tmp_path, "1-2", busnum="", devnum="3", idVendor="046d", idProduct="c077")
    assert usb_devices(tmp_path) == []


@pytest.mark.parametrize(("number", "listed"), [(errno.ENODEV, True), (errno.EIO, False)])
def test_one_that_goes_as_it_is_read_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, listed: bool
) -> None:
    plugged(tmp_path, "1-1", busnum="1", devnum="2", idVendor="046d", idProduct="c077")
    plugged(tmp_path, "1-2", busnum="1", devnum="3", idVendor="046d", idProduct="c077")
    read = Path.read_text

    def going(path: Path) -> str:
        if path.parent.name == "1-1":
            raise OSError(number, os.strerror(number))
        return read(path)

    monkeypatch.setattr(Path, "read_text", going)
    with nullcontext() if listed else pytest.raises(OSError, match=os.strerror(number)):
        assert [each.port for each in usb_devices(tmp_path)] == ["1-2"]


def test_a_host_without_usb_has_none(tmp_path: Path) -> None:
    assert usb_devices(tmp_path / "usb") == []


def test_a_model_is_written_as_lsusb_does() -> None:
    assert model_name(0x46D, 0x2) == "046d:0002"
