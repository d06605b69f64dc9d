"""Putting a container's limits on its control group, at start and live."""

import errno
from collections.abc import Callable

from insula.engine.spec import BlockLimit, Limits
from insula.errors import (
    InsulaError,
    InvalidArgumentError,
    OperationFailedError,
    OperationUnsupportedError,
    ResourceBusyError,
)
from insula.kernel.cgroups import Cgroup, DeviceLimit

Setter = Callable[[Cgroup, Limits], None]


def _memory(group: Cgroup, limits: Limits) -> None:
    if limits.memory is not None or limits.memory_and_swap is not None:
        group.memory.limit(limits.memory, limits.memory_and_swap)


def _memory_soft(group: Cgroup, limits: Limits) -> None:
    if limits.memory_soft is not None:
        group.memory.limit_softly(limits.memory_soft)


def _memory_guarantee(group: Cgroup, limits: Limits) -> None:
    if limits.memory_guarantee is not None:
        group.guarantee_memory(limits.memory_guarantee)


def _cpu_shares(group: Cgroup, limits: Limits) -> None:
    if limits.cpu_shares is not None:
        group.cpu.weigh(limits.cpu_shares)


def _cpu_quota(group: Cgroup, limits: Limits) -> None:
    if limits.cpu_quota is not None or limits.cpu_period is not None:
        group.cpu.limit(limits.cpu_quota, limits.cpu_period)


def _cpus(group: Cgroup, limits: Limits) -> None:
    if limits.cpus is not None:
        group.cpuset.pin_cpus(limits.cpus)


def _memory_nodes(group: Cgroup, limits: Limits) -> None:
    if limits.memory_nodes is not None:
        group.cpuset.pin_memory_nodes(limits.memory_nodes)


def _block_weight(group: Cgroup, limits: Limits) -> None:
    if limits.block_weight is not None:
        group.io.weigh(limits.block_weight)


def _block_devices(group: Cgroup, limits: Limits) -> None:
    for each in limits.block_devices:
        group.io.limit(_device(each))


def _pids(group: Cgroup, limits: Limits) -> None:
    if limits.pids is not None:
        group.tasks.limit(limits.pids)


SETTERS: tuple[tuple[str, Setter], ...] = (
    ("memory limit", _memory),
    ("soft memory limit", _memory_soft),
    ("memory guarantee", _memory_guarantee),
    ("CPU shares", _cpu_shares),
    ("CPU quota", _cpu_quota),
    ("CPU list", _cpus),
    ("memory node list", _memory_nodes),
    ("block weight", _block_weight),
    ("block device limit", _block_devices),
    ("limit of tasks", _pids),
)
"""Every limit, in the order they are set."""

_KINDS: dict[int, type[InsulaError]] = {
    errno.EOPNOTSUPP: OperationUnsupportedError,
    errno.EINVAL: InvalidArgumentError,
    errno.ERANGE: InvalidArgumentError,
    errno.ENODEV: InvalidArgumentError,
    errno.EBUSY: ResourceBusyError,
}


def _device(limit: BlockLimit) -> DeviceLimit:
    return DeviceLimit(
        major=limit.major,
        minor=limit.minor,
        weight=limit.weight,
        read_bytes=limit.read_bytes,
        write_bytes=limit.write_bytes,
        read_operations=limit.read_operations,
        write_operations=limit.write_operations,
    )


def apply(group: Cgroup, limits: Limits) -> None:
    """Set every limit that is not None; the others stay as they are. Works on a running container too.

    `kernel.cgroups.UNLIMITED` takes a byte or task limit away, a quota of -1 that one, 0 a block device's.

    Raises: OperationUnsupportedError if this host has no such limit, InvalidArgumentError for a value the kernel
    refuses, ResourceBusyError if memory in use does not shrink to its limit, OperationFailedError otherwise. Limits set
    before the failing one stay set.
    """
    for what, put in SETTERS:
        try:
            put(group, limits)
        except OSError as error:
            kind = _KINDS.get(error.errno or 0, OperationFailedError)
            raise kind(f"cannot set the {what}: {error.strerror} ({error.filename})") from error
