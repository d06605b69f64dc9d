"""Statistics of many domains in one pass: a few reads a domain, one question to the kernel for all interfaces."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from insula.errors import InvalidArgumentError
from insula.kernel.cgroups import Cgroup
from insula.kernel.cgroups.stats import CpuUse, DeviceUse
from insula.model.filesystems import Disk
from insula.model.numbers import MemoryStat, ParameterType, StatsTypes, VcpuState
from insula.network.counters import InterfaceStatistics
from insula.network.counters import statistics as counters_of
from insula.network.rtnetlink import Rtnetlink
from insula.service.containerstats import container_stats
from insula.service.disks import DiskSize
from insula.service.events import DomainIdentity
from insula.service.managed import ManagedDomain, Run
from insula.service.parameters import Parameter
from insula.service.statistics import (
    NOTHING,
    BlockStats,
    counted_inside,
    memory_tags,
    number_of,
    of_device,
    source_of,
)
from insula.service.vcpus import seats_of
from insula.service.vcpus import times as vcpu_times

T = TypeVar("T")

INT, UINT, ULLONG, STRING = ParameterType.INT, ParameterType.UINT, ParameterType.ULLONG, ParameterType.STRING

USUAL = (
    StatsTypes.STATE
    | StatsTypes.CPU_TOTAL
    | StatsTypes.BALLOON
    | StatsTypes.VCPU
    | StatsTypes.INTERFACE
    | StatsTypes.BLOCK
    | StatsTypes.IOTHREAD
)
"""The groups with names of libvirt's that mean something for a container; asked for none, these are told."""
KNOWN = USUAL | StatsTypes.VM
"""VM, what other hypervisors do not tell, costs as much again: who knows what to do with it asks for it."""

_BALLOON_NAMES = {
    MemoryStat.SWAP_IN: "swap_in",
    MemoryStat.SWAP_OUT: "swap_out",
    MemoryStat.MAJOR_FAULT: "major_fault",
    MemoryStat.MINOR_FAULT: "minor_fault",
    MemoryStat.UNUSED: "unused",
    MemoryStat.AVAILABLE: "available",
    MemoryStat.USABLE: "usable",
    MemoryStat.LAST_UPDATE: "last-update",
    MemoryStat.DISK_CACHES: "disk_caches",
    MemoryStat.RSS: "rss",
}
_COUNTERS = (
    ("rx.bytes", "received_bytes"),
    ("rx.pkts", "received_packets"),
    ("rx.errs", "received_errors"),
    ("rx.drop", "received_drops"),
    ("tx.bytes", "sent_bytes"),
    ("tx.pkts", "sent_packets"),
    ("tx.errs", "sent_errors"),
    ("tx.drop", "sent_drops"),
)
Counters = Mapping[int, InterfaceStatistics]
Sizes = Mapping[str, DiskSize]
"""By the path on the host."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """What is asked for all domains at once, before each is read. counters: by the index of an interface's end on the
    host; sizes: of disks, by their sources."""

    counters: Counters = field(default_factory=dict)
    sizes: Sizes = field(default_factory=dict)


class _DomainReading:
    """One domain at one moment: a file is read when the first group needs it, and once for all that do."""

    def __init__(self, managed: ManagedDomain, gathered: Gathered, groups: StatsTypes) -> None:
        self.managed = managed
        self.gathered = gathered
        self._each_processor = bool(groups & StatsTypes.VCPU)

    @cached_property
    def cpu(self) -> CpuUse | None:
        """Its processors' time; that of each only if a group needs it, as it costs another file."""
        return _part(self.managed.run, lambda group: group.cpu_time.use(summary=not self._each_processor))


def all_stats(
    domains: Sequence[ManagedDomain], groups: StatsTypes, gathered: Gathered
) -> list[tuple[DomainIdentity, list[Parameter]]]:
    """Return the statistics of each domain, under libvirt's names. groups: ALL means the usual ones.

    gathered: what was asked about at least these domains. One that ends meanwhile is told without what could not be
    read any more.
    """
    wanted = groups or USUAL
    readers = [reader for group, reader in _READERS if group & wanted]
    told = []
    for managed in domains:
        reading = _DomainReading(managed, gathered, wanted)
        told.append((managed.ref, [parameter for reader in readers for parameter in reader(reading)]))
    return told


def counters(domains: Sequence[ManagedDomain], groups: StatsTypes) -> Counters:
    """Return what went through the interfaces of all these domains, in one question to the kernel; nothing if none
    of the groups tells it."""
    if not (groups or USUAL) & StatsTypes.INTERFACE:
        return {}
    ends = (each for managed in domains if managed.run for each in managed.run.container.record.connected)
    indices = [each.host_index for each in ends if each.host_index]
    if not indices:
        return {}
    with Rtnetlink() as kernel:
        return counters_of(kernel, indices)


def disks_in(domains: Iterable[ManagedDomain], groups: StatsTypes) -> list[str]:
    """Return the sources of all disks of running domains whose sizes are to be found; none if no group tells them."""
    if not (groups or USUAL) & StatsTypes.BLOCK:
        return []
    return [source_of(disk) for managed in domains if managed.run for disk in managed.current.devices.disks]


# What each group tells: only that is read of the control group


def _state(reading: _DomainReading) -> Iterable[Parameter]:
    state = reading.managed.state
    return Parameter("state.state", INT, state.state), Parameter("state.reason", INT, state.reason)


def _cpu(reading: _DomainReading) -> Iterable[Parameter]:
    cpu = reading.cpu
    if cpu is None:
        return ()
    return (
        Parameter("cpu.time", ULLONG, cpu.total),
        Parameter("cpu.user", ULLONG, cpu.user),
        Parameter("cpu.system", ULLONG, cpu.system),
    )


def _part(run: Run | None, read: Callable[[Cgroup], T]) -> T | None:
    """Return one reading of a run's group; None without a run, or if the group is gone, or has no such controller."""
    if run is None:
        return None
    try:
        return read(run.container.group)
    except OSError:
        return None


def _balloon(reading: _DomainReading) -> Iterator[Parameter]:
    managed = reading.managed
    memory = _part(managed.run, lambda group: group.memory.use(summary=True))
    current = managed.balloon
    yield Parameter("balloon.current", ULLONG, current)
    yield Parameter("balloon.maximum", ULLONG, managed.current.memory)
    if memory is not None:
        for tag, value in memory_tags(memory, current):
            if tag in _BALLOON_NAMES:
                yield Parameter(f"balloon.{_BALLOON_NAMES[tag]}", ULLONG, value)


def _vcpus(reading: _DomainReading) -> Iterator[Parameter]:
    managed, run = reading.managed, reading.managed.run
    used = managed.current.vcpus_in_use
    yield Parameter("vcpu.current", UINT, len(used))
    yield Parameter("vcpu.maximum", UINT, managed.current.vcpu.count)
    if run is None:
        return
    placed = seats_of(managed, run)
    waited = _part(run, lambda group: group.cpu.waited())
    times = {} if reading.cpu is None else vcpu_times(managed, run, reading.cpu)
    for each in used:
        at_work = placed is None or each in placed
        yield Parameter(f"vcpu.{each}.state", INT, VcpuState.RUNNING if at_work else VcpuState.OFFLINE)
        if each in times:
            yield Parameter(f"vcpu.{each}.time", ULLONG, times[each])
        if waited is not None and at_work:
            # To wait is to be held up by the host's scheduler: both words count the same here.
            share = waited // len(used if placed is None else placed)
            yield Parameter(f"vcpu.{each}.wait", ULLONG, share)
            yield Parameter(f"vcpu.{each}.delay", ULLONG, share)


def _interfaces(reading: _DomainReading) -> Iterator[Parameter]:
    run = reading.managed.run
    if run is None:
        return
    connected = run.container.record.connected
    yield Parameter("net.count", UINT, len(connected))
    for place, each in enumerate(connected):
        yield Parameter(f"net.{place}.name", STRING, each.host or each.guest)
        found = reading.gathered.counters.get(each.host_index, NOTHING)
        if not each.host_index:
            with suppress(OSError):
                found = counted_inside(run.container.pid, each.guest_index)
        for name, attribute in _COUNTERS:
            yield Parameter(f"net.{place}.{name}", ULLONG, getattr(found, attribute))


def _block(reading: _DomainReading) -> Iterator[Parameter]:
    """The domain's own disks, by the names of their targets as libvirt has it; none for one that has only files."""
    managed, run = reading.managed, reading.managed.run
    if run is None:
        return
    disks = managed.current.devices.disks
    used = _part(run, lambda group: group.io.use()) if disks else None
    yield Parameter("block.count", UINT, len(disks))
    for place, disk in enumerate(disks):
        path = source_of(disk)
        total = _traffic(managed, used or (), disk)
        yield Parameter(f"block.{place}.name", STRING, disk.target.device)
        yield Parameter(f"block.{place}.path", STRING, path)
        yield Parameter(f"block.{place}.rd.reqs", ULLONG, total.read_requests)
        yield Parameter(f"block.{place}.rd.bytes", ULLONG, total.read_bytes)
        yield Parameter(f"block.{place}.wr.reqs", ULLONG, total.write_requests)
        yield Parameter(f"block.{place}.wr.bytes", ULLONG, total.write_bytes)
        size = reading.gathered.sizes.get(path)
        if size is not None:
            yield Parameter(f"block.{place}.allocation", ULLONG, size.allocation)
            yield Parameter(f"block.{place}.capacity", ULLONG, size.capacity)
            yield Parameter(f"block.{place}.physical", ULLONG, size.physical)


def _traffic(managed: ManagedDomain, used: Sequence[DeviceUse], disk: Disk) -> BlockStats:
    """The traffic of a disk; none if it has gone meanwhile."""
    try:
        return of_device(used, number_of(managed, disk))
    except InvalidArgumentError:
        return BlockStats()


def _iothreads(reading: _DomainReading) -> Iterable[Parameter]:
    """A guest's own threads read and write: none is the host's."""
    return () if reading.managed.run is None else (Parameter("iothread.count", UINT, 0),)


def _container(reading: _DomainReading) -> Iterable[Parameter]:
    return () if reading.managed.run is None else container_stats(reading.managed.run)


_READERS: tuple[tuple[StatsTypes, Callable[[_DomainReading], Iterable[Parameter]]], ...] = (
    (StatsTypes.STATE, _state),
    (StatsTypes.CPU_TOTAL, _cpu),
    (StatsTypes.BALLOON, _balloon),
    (StatsTypes.VCPU, _vcpus),
    (StatsTypes.INTERFACE, _interfaces),
    (StatsTypes.BLOCK, _block),
    (StatsTypes.IOTHREAD, _iothreads),
    (StatsTypes.VM, _container),
)
"""In the order in which they are told."""
