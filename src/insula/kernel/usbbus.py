"""USB devices of the host, as sysfs shows them.

Source: kernel documents `ABI/testing/sysfs-bus-usb` and `ABI/stable/sysfs-bus-usb` (busnum, devnum, idVendor,
idProduct); interfaces of devices stand in the same directory, with a colon in their names. The kernel counts a bus's
device numbers on to 127 before it gives one again.
"""

import errno
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

DEVICES = Path("/sys/bus/usb/devices")
NODES = PurePosixPath("/dev/bus/usb")


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class UsbAddress:
    """Where a device is until it is pulled out: the numbers of its bus and on it."""

    bus: int
    device: int

    def __str__(self) -> str:
        return f"{self.bus:03d}:{self.device:03d}"

    @property
    def node(self) -> PurePosixPath:
        """Its node, on the host and in a guest."""
        return NODES / f"{self.bus:03d}" / f"{self.device:03d}"


@dataclass(frozen=True, kw_only=True, slots=True)
class UsbDevice:
    """A device that is plugged in. vendor, product: the numbers of its model; port: its socket, such as `1-1.2`."""

    address: UsbAddress
    vendor: int
    product: int
    port: str

    @property
    def model(self) -> str:
        return model_name(self.vendor, self.product)


def model_name(vendor: int, product: int) -> str:
    """Return the numbers of a model as lsusb(8) writes them."""
    return f"{vendor:04x}:{product:04x}"


def usb_devices(directory: Path = DEVICES) -> list[UsbDevice]:
    """Return what is plugged into the host, by address; nothing on a host without USB. Raises: OSError."""
    try:
        ports = [each for each in directory.iterdir() if ":" not in each.name]
    except FileNotFoundError:
        return []
    found = (_device(each) for each in ports)
    return sorted((each for each in found if each is not None), key=lambda each: each.address)


def _device(port: Path) -> UsbDevice | None:
    """None: it was pulled out meanwhile."""
    try:
        return UsbDevice(
            address=UsbAddress(bus=_number(port / "busnum", 10), device=_number(port / "devnum", 10)),
            vendor=_number(port / "idVendor", 16),
            product=_number(port / "idProduct", 16),
            port=port.name,
        )
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        # Of what is taken away between its opening and its reading: the kernel's fs/kernfs/file.c.
        if error.errno != errno.ENODEV:
            raise
        return None


def _number(path: Path, base: int) -> int:
    return int(path.read_text(), base)
