"""Statistics of many domains in one pass: a few reads a domain, one question to the kernel for all interfaces."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from insula.errors import InvalidArgumentError
from insula.kernel.cgroups import Cgroup
from insula.kernel.cgroups.stats import DeviceUse
from insula.model.numbers import MemoryStat, ParameterType, StatsTypes, VcpuState
from insula.network.counters import InterfaceStatistics
from insula.network.counters import statistics as counters_of
from insula.network.rtnetlink import Rtnetlink
from insula.service.domainlimits import device_number
from insula.service.events import DomainIdentity
from insula.service.managed import ManagedDomain, Run
from insula.service.parameters import Parameter
from insula.service.statistics import NOTHING, BlockStats, memory_tags, of_device, source_of

T = TypeVar("T")

INT, UINT, ULLONG, STRING = ParameterType.INT, ParameterType.UINT, ParameterType.ULLONG, ParameterType.STRING

EVERYTHING = (
    StatsTypes.STATE
    | StatsTypes.CPU_TOTAL
    | StatsTypes.BALLOON
    | StatsTypes.VCPU
    | StatsTypes.INTERFACE
    | StatsTypes.BLOCK
)
"""The groups that mean something for a container."""

_BALLOON_NAMES = {
    MemoryStat.UNUSED: "unused",
    MemoryStat.AVAILABLE: "available",
    MemoryStat.USABLE: "usable",
    MemoryStat.MAJOR_FAULT: "major_fault",
    MemoryStat.MINOR_FAULT: "minor_fault",
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


def all_stats(
    domains: Sequence[ManagedDomain], groups: StatsTypes, counted: Counters
) -> list[tuple[DomainIdentity, list[Parameter]]]:
    """Return the statistics of each domain, under libvirt's names. groups: ALL means every one there is.

    counted: what `counters` has told of at least these domains. One that ends meanwhile is told without what could not
    be read any more.
    """
    wanted = groups or EVERYTHING
    readers = [reader for group, reader in _READERS if group & wanted]
    return [
        (managed.ref, [parameter for reader in readers for parameter in reader(managed, counted)])
        for managed in domains
    ]


def counters(domains: Sequence[ManagedDomain], groups: StatsTypes) -> Counters:
    """Return what went through the interfaces of all these domains, in one question to the kernel; nothing if none
    of the groups tells it."""
    if not (groups or EVERYTHING) & StatsTypes.INTERFACE:
        return {}
    ends = (each for managed in domains if managed.run for each in managed.run.container.record.connected)
    indices = [each.host_index for each in ends if each.host_index]
    if not indices:
        return {}
    with Rtnetlink() as kernel:
        return counters_of(kernel, indices)


# What each group tells: only that is read of the control group


def _state(managed: ManagedDomain, counters: Counters) -> Iterable[Parameter]:
    state = managed.state
    return Parameter("state.state", INT, state.state), Parameter("state.reason", INT, state.reason)


def _cpu(managed: ManagedDomain, counters: Counters) -> Iterable[Parameter]:
    cpu = _part(managed.run, lambda group: group.cpu_time.use(summary=True))
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


def _balloon(managed: ManagedDomain, counters: Counters) -> Iterator[Parameter]:
    memory = _part(managed.run, lambda group: group.memory.use(summary=True))
    current = managed.current.memory_now
    yield Parameter("balloon.current", ULLONG, current)
    yield Parameter("balloon.maximum", ULLONG, managed.current.memory)
    if memory is not None:
        for tag, value in memory_tags(memory, current):
            if tag in _BALLOON_NAMES:
                yield Parameter(f"balloon.{_BALLOON_NAMES[tag]}", ULLONG, value)


def _vcpus(managed: ManagedDomain, counters: Counters) -> Iterator[Parameter]:
    count = managed.current.vcpu.current or managed.current.vcpu.count
    yield Parameter("vcpu.current", UINT, count)
    yield Parameter("vcpu.maximum", UINT, managed.current.vcpu.count)
    if managed.is_active:
        for number in range(count):
            yield Parameter(f"vcpu.{number}.state", INT, VcpuState.RUNNING)


def _interfaces(managed: ManagedDomain, counters: Counters) -> Iterator[Parameter]:
    if managed.run is None:
        return
    connected = managed.run.container.record.connected
    yield Parameter("net.count", UINT, len(connected))
    for place, each in enumerate(connected):
        yield Parameter(f"net.{place}.name", STRING, each.host or each.guest)
        found = counters.get(each.host_index, NOTHING)
        for name, field in _COUNTERS:
            yield Parameter(f"net.{place}.{name}", ULLONG, getattr(found, field))


def _block(managed: ManagedDomain, counters: Counters) -> Iterator[Parameter]:
    """The domain's own disks, by the names of their targets as libvirt has it; none for one that has only files."""
    run = managed.run
    if run is None:
        return
    disks = managed.current.devices.disks
    used = _part(run, lambda group: group.io.use()) if disks else None
    yield Parameter("block.count", UINT, len(disks))
    for place, disk in enumerate(disks):
        path = source_of(disk)
        total = _traffic(used or (), path)
        yield Parameter(f"block.{place}.name", STRING, disk.target.device)
        yield Parameter(f"block.{place}.path", STRING, path)
        yield Parameter(f"block.{place}.rd.reqs", ULLONG, total.read_requests)
        yield Parameter(f"block.{place}.rd.bytes", ULLONG, total.read_bytes)
        yield Parameter(f"block.{place}.wr.reqs", ULLONG, total.write_requests)
        yield Parameter(f"block.{place}.wr.bytes", ULLONG, total.write_bytes)


def _traffic(used: Sequence[DeviceUse], path: str) -> BlockStats:
    """The traffic of the device at path; none if it has gone meanwhile."""
    try:
        return of_device(used, device_number(path))
    except InvalidArgumentError:
        return BlockStats()


_READERS = (
    (StatsTypes.STATE, _state),
    (StatsTypes.CPU_TOTAL, _cpu),
    (StatsTypes.BALLOON, _balloon),
    (StatsTypes.VCPU, _vcpus),
    (StatsTypes.INTERFACE, _interfaces),
    (StatsTypes.BLOCK, _block),
)
"""In the order in which they are told."""
