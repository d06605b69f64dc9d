"""Device nodes of the host that a domain gives to its guest: `<hostdev>` and `<disk>`."""

import os
import stat
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from insula.engine.spec import Device, DeviceKind
from insula.errors import UnsupportedConfigError
from insula.model.devices import HostDevice, HostDeviceMode, HostDeviceType
from insula.model.filesystems import Disk, DiskDevice, DiskType
from insula.service.usbchoice import usb_address, without_node

DEV = PurePosixPath("/dev")
_SECTOR = 512


def devices_of(host_devices: Iterable[HostDevice], disks: Iterable[Disk]) -> tuple[Device, ...]:
    """Return the nodes the guest gets, as the host has them now; network devices and absent USB devices have none.

    host_devices: those of USB with their addresses, see `service.usbchoice`; disks: those that it sees.

    Raises: UnsupportedConfigError for a device that cannot be given to a container, or that is not there.
    """
    nodes = (each for each in host_devices if each.moved_interface is None)
    given = [_host_device(each) for each in nodes if not each.is_usb or usb_address(each) is not None]
    return (*given, *map(_disk, disks))


def names_of(host_devices: Iterable[HostDevice], disks: Iterable[Disk]) -> set[str]:
    """Return where below /dev the guest sees them, whether the host has them still or not."""
    given = {name for each in host_devices if (name := name_of(each)) is not None}
    return given | {each.target.device for each in disks}


def name_of(device: HostDevice) -> str | None:
    """Return where below /dev the guest sees a host device, None for one that is no node, or has none at present."""
    address = usb_address(device)
    path = device.source.block or device.source.character if address is None else address.node
    return None if path is None else _below_dev(path)


def without_absent(devices: Iterable[HostDevice], names: Collection[str]) -> tuple[HostDevice, ...]:
    """Return those that are no nodes, or have one of these names; a USB device that is found by its model has none."""
    left = (without_node(each) if name_of(each) not in {*names, None} else each for each in devices)
    return tuple(each for each in left if name_of(each) in {*names, None})


def _host_device(device: HostDevice) -> Device:
    source = device.source
    match device.mode, device.type:
        case HostDeviceMode.CAPABILITIES, HostDeviceType.STORAGE if source.block is not None:
            return _node(source.block, DeviceKind.BLOCK, _below_dev(source.block))
        case HostDeviceMode.CAPABILITIES, HostDeviceType.MISC if source.character is not None:
            return _node(source.character, DeviceKind.CHARACTER, _below_dev(source.character))
        case HostDeviceMode.SUBSYSTEM, HostDeviceType.USB if (address := usb_address(device)) is not None:
            return _node(address.node, DeviceKind.CHARACTER, _below_dev(address.node))
    raise UnsupportedConfigError(
        f"a <hostdev mode='{device.mode}' type='{device.type}'> cannot be given to a container; type 'usb' "
        "can, and mode 'capabilities' with type 'storage' (<block>), 'misc' (<char>) or 'net' (<interface>)"
    )


def _disk(disk: Disk) -> Device:
    source = disk.source
    access = "rm" if disk.read_only or disk.device is DiskDevice.CDROM else "rwm"
    if disk.type is DiskType.BLOCK and source is not None and source.device is not None:
        return _node(source.device, DeviceKind.BLOCK, disk.target.device, access=access)
    if disk.type is DiskType.FILE and source is not None and source.file is not None:
        _check_image(disk, source.file)
        return Device(
            kind=DeviceKind.BLOCK,
            major=0,
            minor=0,
            host="",
            guest=disk.target.device,
            mode=0o660,
            access=access,
            image=str(source.file),
        )
    if disk.type is DiskType.VOLUME:
        raise UnsupportedConfigError(
            f"the disk '{disk.target.device}' is a volume of a storage pool, and there are no pools yet: name the "
            "volume's file (type 'file' with <source file=''/>) or device (type 'block' with <source dev=''/>)"
        )
    raise UnsupportedConfigError(
        f"the disk '{disk.target.device}' of type '{disk.type}' cannot be given to a container; type 'block' with "
        "<source dev=''/> can, and type 'file' with <source file=''/>"
    )


def _check_image(disk: Disk, path: PurePosixPath) -> None:
    name, kind = (disk.driver.name, disk.driver.type) if disk.driver is not None else (None, None)
    what = f"the disk '{disk.target.device}'"
    if name == "nbd" or kind not in (None, "raw"):
        raise UnsupportedConfigError(
            f"{what} is of format '{kind or 'raw'}' by driver '{name or 'loop'}': the kernel makes devices of raw "
            "images only; convert it (qemu-img convert -O raw), or show it by a device (qemu-nbd) of type 'block'"
        )
    try:
        status = os.stat(path)
    except OSError as error:
        raise UnsupportedConfigError(f"{what}: '{path}' cannot be used: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise UnsupportedConfigError(f"{what}: '{path}' is no file")
    if status.st_size < _SECTOR:
        raise UnsupportedConfigError(f"{what}: '{path}' is empty; a device has at least {_SECTOR} bytes")


def _node(path: PurePosixPath, kind: DeviceKind, guest: str, *, access: str = "rwm") -> Device:
    try:
        status = os.stat(path)
    except OSError as error:
        raise UnsupportedConfigError(f"the host has no device '{path}': {error.strerror}") from error
    if not (stat.S_ISBLK if kind is DeviceKind.BLOCK else stat.S_ISCHR)(status.st_mode):
        raise UnsupportedConfigError(f"'{path}' of the host is no {kind.name.lower()} device")
    return Device(
        kind=kind,
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        host=str(path),
        guest=guest,
        mode=stat.S_IMODE(status.st_mode) & 0o666 if kind is DeviceKind.CHARACTER else 0o660,
        access=access,
    )


def _below_dev(path: PurePosixPath) -> str:
    """Where the guest sees it: at the host's place."""
    return str(path.relative_to(DEV)) if path.is_relative_to(DEV) else path.name
