"""What domains use of processors, memory, disks and networks. Read from the kernel when asked for; nothing waits."""

import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from insula.errors import InvalidArgumentError
from insula.kernel.cgroups.stats import DeviceUse, MemoryUse, Stats
from insula.kernel.mountinfo import mounts_of_process
from insula.model.filesystems import Disk, DiskType
from insula.model.numbers import MemoryStat, ParameterType
from insula.network.counters import InterfaceStatistics, statistics, statistics_inside
from insula.network.guestinterfaces import socket_inside
from insula.network.rtnetlink import Rtnetlink
from insula.service.domainlimits import device_number
from insula.service.managed import ManagedDomain
from insula.service.parameters import Parameter
from insula.service.tuning import cgroup_errors

_LOOP = re.compile(r"/dev/loop\d+")
NOTHING = InterfaceStatistics(
    received_bytes=0,
    received_packets=0,
    received_errors=0,
    received_drops=0,
    sent_bytes=0,
    sent_packets=0,
    sent_errors=0,
    sent_drops=0,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CpuStats:
    """total: of all processors together; each: by processor, empty where the kernel does not tell them apart (cgroup
    v2); processors: how many the host has, told in any case."""

    total: list[Parameter]
    processors: int
    each: list[list[Parameter]]


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockStats:
    read_requests: int = 0
    read_bytes: int = 0
    write_requests: int = 0
    write_bytes: int = 0


def used(managed: ManagedDomain) -> Stats | None:
    """Return one reading of what a running domain uses; None when it is off, or ended this very moment."""
    if managed.run is None:
        return None
    try:
        return managed.run.container.group.stats()
    except OSError:
        return None


def cpu_stats(managed: ManagedDomain) -> CpuStats:
    """Return processor time in nanoseconds."""
    run = managed.require_run()
    with cgroup_errors(managed, "processor time"):
        use = run.container.group.cpu_time.use()
    return CpuStats(
        total=[
            _nanoseconds("cpu_time", use.total),
            _nanoseconds("user_time", use.user),
            _nanoseconds("system_time", use.system),
        ],
        processors=len(use.per_cpu) or os.sysconf("SC_NPROCESSORS_CONF"),
        each=[[_nanoseconds("cpu_time", time)] for time in use.per_cpu],
    )


def memory_stats(managed: ManagedDomain) -> list[tuple[MemoryStat, int]]:
    """Return memory in KiB, faults as counts, and when that was (seconds since the epoch)."""
    run = managed.require_run()
    with cgroup_errors(managed, "memory use"):
        use = run.container.group.memory.use()
    return memory_tags(use, managed.balloon)


def memory_tags(use: MemoryUse, balloon: int) -> list[tuple[MemoryStat, int]]:
    """Return what libvirt asks of a balloon driver in a virtual machine. balloon: KiB.

    What the guest could still take is its limit less what it holds; what it could get without swapping counts its cache
    of files as free, though not what it keeps in tmpfs and shared memory.
    """
    available = balloon if use.limit is None else min(balloon, use.limit // 1024)
    usage, cache = use.usage // 1024, use.droppable // 1024
    swapped = ((MemoryStat.SWAP_IN, use.swapped_in), (MemoryStat.SWAP_OUT, use.swapped_out))
    return [
        *((tag, moved // 1024) for tag, moved in swapped if moved is not None),
        (MemoryStat.ACTUAL_BALLOON, balloon),
        (MemoryStat.MAJOR_FAULT, use.major_faults),
        (MemoryStat.MINOR_FAULT, max(0, use.page_faults - use.major_faults)),
        (MemoryStat.UNUSED, max(0, available - usage)),
        (MemoryStat.AVAILABLE, available),
        (MemoryStat.USABLE, max(0, available - usage + cache)),
        (MemoryStat.LAST_UPDATE, int(time.time())),
        (MemoryStat.DISK_CACHES, cache),
        (MemoryStat.RSS, usage),
    ]


def block_stats(managed: ManagedDomain, path: str) -> BlockStats:
    """Return the traffic of one disk, named by its target or source; of all together for an empty path.

    Raises: InvalidArgumentError for a disk that the domain does not have.
    """
    run = managed.require_run()
    with cgroup_errors(managed, "block traffic"):
        devices = run.container.group.io.use()
    if not path:
        return summed(devices)
    disk = disk_of(managed, path)
    return of_device(devices, number_of(managed, disk))


_LOOP_MAJOR = 7
"""Source: the kernel's `admin-guide/devices.txt`."""


def summed(devices: Sequence[DeviceUse]) -> BlockStats:
    """Return the traffic of all devices together.

    What is read and written in an image passes its loop device, and the host's disk as far as its file is not in
    memory; on cgroup v2 both count for the guest. So of the two the larger figure counts, and none twice.
    """
    loops = [each for each in devices if each.major == _LOOP_MAJOR]
    others = [each for each in devices if each.major != _LOOP_MAJOR]

    def larger(figure: Callable[[DeviceUse], int]) -> int:
        return max(sum(map(figure, loops)), sum(map(figure, others)))

    return BlockStats(
        read_requests=larger(lambda each: each.read_operations),
        read_bytes=larger(lambda each: each.read_bytes),
        write_requests=larger(lambda each: each.write_operations),
        write_bytes=larger(lambda each: each.write_bytes),
    )


def of_device(devices: Sequence[DeviceUse], number: tuple[int, int]) -> BlockStats:
    """Return the traffic of the device with this number; one that was not used yet has none."""
    return summed([each for each in devices if (each.major, each.minor) == number])


def disk_of(managed: ManagedDomain, path: str) -> Disk:
    """Raises: InvalidArgumentError."""
    for each in managed.current.devices.disks:
        if path in (each.target.device, source_of(each)):
            return each
    raise InvalidArgumentError(f"invalid path: domain '{managed.name}' has no disk '{path}'")


def number_of(managed: ManagedDomain, disk: Disk) -> tuple[int, int]:
    """Return major and minor number of a running guest's disk: of an image the loop device that shows it.

    Raises: InvalidArgumentError for a device that has gone.
    """
    container = managed.require_run().container
    given = container.record.spec.devices
    shown = next((each for each in given if each.guest == disk.target.device and each.image is not None), None)
    if shown is not None:
        return shown.major, shown.minor
    if disk.type is DiskType.FILE and disk == managed.current.root_disk:
        return device_number(_root_source(managed, container.pid))
    return device_number(source_of(disk))


def _root_source(managed: ManagedDomain, pid: int) -> str:
    """Return the loop device below a guest's root, as its mounts tell, which its kernel lists: no file of its is asked.

    Raises: InvalidArgumentError if it has none any more.
    """
    with suppress(OSError):
        for mount in mounts_of_process(pid):
            if mount.point == "/" and _LOOP.fullmatch(mount.source):
                return mount.source
    raise InvalidArgumentError(f"the image below the root of domain '{managed.name}' cannot be found")


def interface_stats(managed: ManagedDomain, device: str) -> InterfaceStatistics:
    """Return the traffic of an interface, named by its end on the host, its MAC address or its name in the guest.

    Raises: InvalidArgumentError for an interface that the domain does not have.
    """
    run = managed.require_run()
    for each in run.container.record.connected:
        if device.lower() in (each.host.lower(), each.mac.lower(), each.guest.lower()):
            if not each.host_index:
                return counted_inside(run.container.pid, each.guest_index)
            with Rtnetlink() as kernel:
                return statistics(kernel, [each.host_index]).get(each.host_index, NOTHING)
    raise InvalidArgumentError(f"invalid path: domain '{managed.name}' has no interface '{device}'")


def counted_inside(pid: int, index: int) -> InterfaceStatistics:
    """Return the traffic of a macvlan, or a moved device: only the guest's network has its counters."""
    try:
        inside = socket_inside(pid)
    except FileNotFoundError:
        return NOTHING
    try:
        with Rtnetlink(inside) as kernel:
            return statistics_inside(kernel, index) or NOTHING
    finally:
        os.close(inside)


def source_of(disk: Disk) -> str:
    """Return the path on the host of what is behind a disk, empty if nothing is."""
    return str((disk.source.device or disk.source.file or "") if disk.source is not None else "")


def _nanoseconds(name: str, value: int) -> Parameter:
    return Parameter(name, ParameterType.ULLONG, value)
