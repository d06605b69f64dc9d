"""A domain's share of the block devices: blkiotune. Source of names and checks: libvirt's LXC driver."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from insula.errors import InvalidArgumentError
from insula.kernel.cgroups import Cgroup, DeviceLimit
from insula.model.domain import Domain
from insula.model.tuning import WEIGHT, BlkioDevice, BlkioTune
from insula.service.parameters import ParameterType
from insula.service.tuning import Family, Values

_OF_DEVICES: dict[str, Callable[[BlkioDevice], int | None]] = {
    "device_weight": lambda device: device.weight,
    "device_read_iops_sec": lambda device: device.read_iops,
    "device_write_iops_sec": lambda device: device.write_iops,
    "device_read_bytes_sec": lambda device: device.read_bytes,
    "device_write_bytes_sec": lambda device: device.write_bytes,
}
"""The parameters that are about single devices, and where the model has them."""


def device_limit(device: BlkioDevice) -> DeviceLimit:
    """Return the limits of one block device by its number, with the kernel's 0 for none.

    Raises: InvalidArgumentError if its path is no block device.
    """
    major, minor = device_number(str(device.path))
    return DeviceLimit(
        major=major,
        minor=minor,
        weight=device.weight,
        read_bytes=device.read_bytes or 0,
        write_bytes=device.write_bytes or 0,
        read_operations=device.read_iops or 0,
        write_operations=device.write_iops or 0,
    )


def device_number(path: str) -> tuple[int, int]:
    """Return major and minor number of a block device. Raises: InvalidArgumentError if path is none."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise InvalidArgumentError(f"the block device '{path}' cannot be found: {error.strerror}") from error
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidArgumentError(f"'{path}' is no block device")
    return os.major(status.st_rdev), os.minor(status.st_rdev)


def _defined(domain: Domain) -> Values:
    tune = domain.blkio_tune or BlkioTune()
    return {"weight": tune.weight or 0, **{name: _listed(tune, of) for name, of in _OF_DEVICES.items()}}


def _live(cgroup: Cgroup, domain: Domain) -> Values:
    """The weight is the kernel's; devices are told by their paths, which only the definition knows."""
    weight, _ = cgroup.io.held()
    return {**_defined(domain), "weight": weight or 0}


def _changed(domain: Domain, values: Values) -> Domain:
    tune = domain.blkio_tune or BlkioTune()
    if "weight" in values:
        tune = replace(tune, weight=_weight(int(values["weight"])))
    for name in _OF_DEVICES.keys() & values.keys():
        tune = _with_devices(tune, name, str(values[name]))
    return replace(domain, blkio_tune=None if tune == BlkioTune() else tune)


def _apply(cgroup: Cgroup, domain: Domain, values: Values) -> None:
    tune = domain.blkio_tune or BlkioTune()
    if tune.weight is not None and "weight" in values:
        cgroup.io.weigh(tune.weight)
    named = {path for name in _OF_DEVICES.keys() & values.keys() for path, _ in _pairs(name, str(values[name]))}
    known = {each.path: each for each in tune.devices}
    for path in sorted(named):
        cgroup.io.limit(device_limit(known.get(path, BlkioDevice(path=path))))


def _with_devices(tune: BlkioTune, name: str, text: str) -> BlkioTune:
    """Merge what libvirt writes as `PATH,VALUE,PATH,VALUE`; a device without any limit is left out."""
    devices = {each.path: each for each in tune.devices}
    for path, number in _pairs(name, text):
        devices[path] = _with_limit(devices.get(path, BlkioDevice(path=path)), name, number or None)
    return replace(tune, devices=tuple(each for each in devices.values() if each != BlkioDevice(path=each.path)))


def _with_limit(device: BlkioDevice, name: str, value: int | None) -> BlkioDevice:
    match name:
        case "device_weight":
            return replace(device, weight=_weight(value or 0))
        case "device_read_iops_sec":
            return replace(device, read_iops=value)
        case "device_write_iops_sec":
            return replace(device, write_iops=value)
        case "device_read_bytes_sec":
            return replace(device, read_bytes=value)
        case _:
            return replace(device, write_bytes=value)


def _pairs(name: str, text: str) -> Iterator[tuple[PurePosixPath, int]]:
    words = text.split(",") if text else []
    if len(words) % 2:
        raise InvalidArgumentError(f"unable to parse blkio device '{name}' '{text}': give PATH,VALUE,PATH,VALUE")
    for path, value in zip(words[::2], words[1::2], strict=True):
        if not path.startswith("/") or not value.isdecimal():
            raise InvalidArgumentError(f"invalid value '{value}' for parameter '{name}' of device '{path}'")
        yield PurePosixPath(path), int(value)


def _weight(value: int) -> int | None:
    """0 is none; else the range libvirt accepts."""
    lowest, highest = WEIGHT
    if value and not lowest <= value <= highest:
        raise InvalidArgumentError(f"out of blkio weight range [{lowest}, {highest}]: {value}")
    return value or None


def _listed(tune: BlkioTune, of: Callable[[BlkioDevice], int | None]) -> str:
    return ",".join(f"{each.path},{value}" for each in tune.devices if (value := of(each)))


BLKIO = Family(
    name="blkio parameters",
    table={
        "weight": ParameterType.UINT,
        **dict.fromkeys(_OF_DEVICES, ParameterType.STRING),
    },
    defined=_defined,
    live=_live,
    changed=_changed,
    apply=_apply,
)
