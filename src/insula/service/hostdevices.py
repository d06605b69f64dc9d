"""Device nodes of the host that a domain gives to its guest: `<hostdev mode='capabilities'>` and `<disk>`."""

import os
import stat
from pathlib import PurePosixPath

from insula.engine.spec import Device, DeviceKind
from insula.errors import UnsupportedConfigError
from insula.model.devices import HostDevice, HostDeviceMode, HostDeviceType
from insula.model.domain import DomainDefinition
from insula.model.filesystems import Disk, DiskType

DEV = PurePosixPath("/dev")


def devices_of(domain: DomainDefinition) -> tuple[Device, ...]:
    """Return the nodes the guest gets, as the host has them now; network devices have none.

    Raises: UnsupportedConfigError for a device that cannot be given to a container, or that is not there.
    """
    given = [_host_device(each) for each in domain.devices.host_devices if each.moved_interface is None]
    return (*given, *(_disk(each) for each in domain.devices.disks))


def names_of(domain: DomainDefinition) -> set[str]:
    """Return where below /dev the guest sees them, whether the host has them still or not."""
    given = {name for each in domain.devices.host_devices if (name := name_of(each)) is not None}
    return given | {each.target.device for each in domain.devices.disks}


def name_of(device: HostDevice) -> str | None:
    """Return where below /dev the guest sees a host device, None for one that is no node."""
    path = device.source.block or device.source.character
    return None if path is None else _below_dev(path)


def _host_device(device: HostDevice) -> Device:
    source = device.source
    match device.mode, device.type:
        case HostDeviceMode.CAPABILITIES, HostDeviceType.STORAGE if source.block is not None:
            return _node(source.block, DeviceKind.BLOCK, _below_dev(source.block))
        case HostDeviceMode.CAPABILITIES, HostDeviceType.MISC if source.character is not None:
            return _node(source.character, DeviceKind.CHARACTER, _below_dev(source.character))
    raise UnsupportedConfigError(
        f"a <hostdev mode='{device.mode}' type='{device.type}'> cannot be given to a container yet; "
        "mode 'capabilities' with type 'storage' (<block>), 'misc' (<char>) or 'net' (<interface>) can"
    )


def _disk(disk: Disk) -> Device:
    if disk.type is not DiskType.BLOCK or disk.source is None or disk.source.device is None:
        raise UnsupportedConfigError(
            f"the disk '{disk.target.device}' of type '{disk.type}' cannot be given to a container yet; type 'block' "
            "with <source dev=''/> can, and files with a file system as <filesystem type='file'>"
        )
    access = "rm" if disk.read_only else "rwm"
    return _node(disk.source.device, DeviceKind.BLOCK, disk.target.device, access=access)


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
