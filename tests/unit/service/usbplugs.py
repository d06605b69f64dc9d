"""A host with USB for tests of the service: what is plugged in, and a node for each."""

import os
import stat

import pytest

from insula.kernel.usbbus import NODES, UsbAddress, UsbDevice

MOUSE = "<hostdev mode='subsystem' type='usb'><source><vendor id='0x046d'/><product id='0xc077'/></source></hostdev>"
OPTIONAL = MOUSE.replace("<source>", "<source startupPolicy='optional'>")
PLACED = "<hostdev mode='subsystem' type='usb'><source><address bus='1' device='{}'/></source></hostdev>"


class UsbHost:
    """What is plugged in; a test changes it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.present: list[UsbDevice] = []
        monkeypatch.setattr("insula.service.usbchoice.usb_devices", lambda: list(self.present))
        real = os.stat

        def status(path: object, *args: object, **options: object) -> os.stat_result:
            if not str(path).startswith(f"{NODES}/"):
                return real(path, *args, **options)  # type: ignore[arg-type]
            if all(str(each.address.node) != str(path) for each in self.present):
                raise FileNotFoundError(2, "No such file or directory", str(path))
            number = os.makedev(189, int(str(path).rpartition("/")[2]))
            return os.stat_result((stat.S_IFCHR | 0o664, *[0] * 9), {"st_rdev": number})

        monkeypatch.setattr(os, "stat", status)

    def plug(self, number: int, *, vendor: int = 0x046D, product: int = 0xC077) -> None:
        address = UsbAddress(bus=1, device=number)
        self.present.append(UsbDevice(address=address, vendor=vendor, product=product, port=f"1-{number}"))

    def pull(self, number: int) -> None:
        self.present = [each for each in self.present if each.address.device != number]
