"""The virtual functions of a network device (SR-IOV): the pool of networks that give guests devices of the host.

Source: Linux' documentation of sysfs-bus-pci: `device/virtfn0`, … below /sys/class/net/DEVICE, each a link to a PCI
device.
"""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualFunction:
    """One of them. address: on the PCI bus, as 0000:03:10.1; device: its network device, None while a guest has it."""

    address: str
    device: str | None


def virtual_functions(device: str, sys: Path = Path("/sys")) -> tuple[VirtualFunction, ...]:
    """Return those of a physical function, in the order of their numbers; none if it has none, or is not there."""
    directory = sys / "class/net" / device / "device"
    try:
        names = [each for each in os.listdir(directory) if each.startswith("virtfn") and each[6:].isdecimal()]
    except OSError:
        return ()
    found = []
    for name in sorted(names, key=lambda each: int(each[6:])):
        function = (directory / name).resolve()
        try:
            devices = sorted(os.listdir(function / "net"))
        except OSError:
            devices = []
        found.append(VirtualFunction(address=function.name, device=devices[0] if devices else None))
    return tuple(found)
