"""A domain's share of the block devices: blkiotune. Source of names and checks: libvirt's LXC driver."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from insula.engine.launch.limits import NONE
from insula.engine.spec import Limits
from insula.errors import InvalidArgumentError
from insula.kernel.cgroups import BlockLimit, Cgroup
from insula.model.domain import DomainDefinition
from insula.model.numbers import ParameterType
from insula.model.resourcetuning import WEIGHT, BlkioDevice, BlkioTune
from insula.service.domainlimits import block_limit
from insula.service.tuning import Family, Values

_OF_DEVICES: dict[str, Callable[[BlkioDevice], int | None]] = {
    "device_weight": lambda device: device.weight,
    "device_read_iops_sec": lambda device: device.read_iops,
    "device_write_iops_sec": lambda device: device.write_iops,
    "device_read_bytes_sec": lambda device: device.read_bytes,
    "device_write_bytes_sec": lambda device: device.write_bytes,
}
"""The parameters that are about single devices, and where the model has them."""


def _defined(domain: DomainDefinition) -> Values:
    tune = domain.blkio_tune or BlkioTune()
    return {"weight": tune.weight or 0, **{name: _listed(tune, of) for name, of in _OF_DEVICES.items()}}


def _live(cgroup: Cgroup, domain: DomainDefinition) -> Values:
    """The weight is the kernel's; devices are told by their paths, which only the definition knows."""
    weight, _ = cgroup.io.held()
    return {**_defined(domain), "weight": weight or 0}


def _changed(domain: DomainDefinition, values: Values) -> DomainDefinition:
    tune = domain.blkio_tune or BlkioTune()
    if "weight" in values:
        tune = replace(tune, weight=_weight(int(values["weight"])))
    for name in _OF_DEVICES.keys() & values.keys():
        tune = _with_devices(tune, name, str(values[name]))
    return replace(domain, blkio_tune=None if tune == BlkioTune() else tune)


def _limits(domain: DomainDefinition, values: Values) -> Limits:
    """The weight, and those devices that the values name, with the kernel's 0 for what is none any more."""
    tune = domain.blkio_tune or BlkioTune()
    known = {each.path: each for each in tune.devices}
    named = {path for name in _OF_DEVICES.keys() & values.keys() for path, _ in _pairs(name, str(values[name]))}
    found = (block_limit(known.get(path, BlkioDevice(path=path))) for path in sorted(named))
    weighed = "device_weight" in values
    return Limits(
        block_weight=(tune.weight or NONE.block_weight) if "weight" in values else None,
        block_devices=tuple(_with_none_as_zero(each, weighed=weighed) for each in found),
    )


def _with_none_as_zero(limit: BlockLimit, *, weighed: bool) -> BlockLimit:
    """weighed: the weight was named too: a host may have rates of devices, and no weights."""
    return replace(
        limit,
        weight=(limit.weight or 0) if weighed else None,
        read_bytes=limit.read_bytes or 0,
        write_bytes=limit.write_bytes or 0,
        read_operations=limit.read_operations or 0,
        write_operations=limit.write_operations or 0,
    )


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
    limits=_limits,
)
