"""What a container has to tell beyond what libvirt has names for: pressure, tasks, kills, limits and traffic in all.

libvirt's group for what only one kind of hypervisor tells is VM (`virsh domstats --vm`). All keys begin with `insula.`:
bytes, nanoseconds, counts since the run began; of pressure percent and microseconds, of quotas microseconds, as the
kernel has them. What this host does not account is not told, and neither is a limit that is none.
"""

from collections.abc import Iterator
from typing import Final

from insula.kernel.cgroups import HeldLimits
from insula.kernel.cgroups.stats import CpuUse, MemoryUse, Pressure, Stats
from insula.model.numbers import ParameterType
from insula.service.managed import Run
from insula.service.parameters import Parameter, Value
from insula.service.statistics import summed

RESOURCES: Final = ("cpu", "memory", "io")
"""What work may wait for."""
AVERAGES: Final = ("avg10", "avg60", "avg300")

_KIND = {bool: ParameterType.BOOLEAN, int: ParameterType.ULLONG, float: ParameterType.DOUBLE, str: ParameterType.STRING}


def container_stats(run: Run) -> list[Parameter]:
    """Return them of a run; of one whose group is gone nothing but when it began."""
    told = [_parameter("begun", int(run.record.begun * 1e9))]
    try:
        told.extend(_parameter(name, value) for name, value in _readings(run) if value is not None)
    except OSError:  # it has ended this very moment
        del told[1:]
    return told


def _parameter(name: str, value: Value) -> Parameter:
    return Parameter(f"insula.{name}", _KIND[type(value)], value)


def _readings(run: Run) -> Iterator[tuple[str, Value | None]]:
    group = run.container.group
    used, limits = group.stats(), group.limits()
    yield "frozen", group.frozen
    yield from _processors(used.cpu, limits)
    yield from _memory(used.memory, limits)
    yield "memory.oom_kills", used.oom_kills
    yield "memory.reclaimed", run.reclaimed
    if used.tasks is not None:
        yield "tasks.current", used.tasks.current
        yield "tasks.limit", used.tasks.limit
        yield "tasks.refused", used.tasks.refused
    yield from _traffic(used, limits)
    for resource in RESOURCES:
        pressure = group.pressure(resource)
        if pressure is not None:
            yield from _pressure(resource, pressure)


def _processors(used: CpuUse | None, limits: HeldLimits) -> Iterator[tuple[str, Value | None]]:
    if used is not None:
        yield "cpu.periods", used.periods
        yield "cpu.throttled.periods", used.throttled_periods
        yield "cpu.throttled.time", used.throttled
    yield "cpu.shares", limits.cpu_shares
    yield "cpu.quota", limits.cpu_quota
    yield "cpu.period", limits.cpu_period
    yield "cpu.set", limits.cpus
    yield "cpu.nodes", limits.memory_nodes


def _memory(used: MemoryUse | None, limits: HeldLimits) -> Iterator[tuple[str, Value | None]]:
    if used is not None:
        yield "memory.usage", used.usage
        yield "memory.peak", used.peak
        yield "memory.swap", used.swap
        yield "memory.anonymous", used.anonymous
        yield "memory.cache", used.cache
        yield "memory.shared", used.shared
        yield "memory.unevictable", used.unevictable
        yield "memory.kernel", used.kernel
    yield "memory.limit", limits.memory
    yield "memory.soft_limit", limits.memory_soft
    yield "memory.guarantee", limits.memory_guarantee
    yield "memory.limit_with_swap", limits.memory_and_swap


def _traffic(used: Stats, limits: HeldLimits) -> Iterator[tuple[str, Value | None]]:
    """Of all block devices of the host, those behind directories and images too."""
    total = summed(used.devices)
    yield "io.rd.reqs", total.read_requests
    yield "io.rd.bytes", total.read_bytes
    yield "io.wr.reqs", total.write_requests
    yield "io.wr.bytes", total.write_bytes
    yield "io.weight", limits.block_weight


def _pressure(resource: str, pressure: Pressure) -> Iterator[tuple[str, Value]]:
    for whom, stall in (("some", pressure.some), ("full", pressure.full)):
        for average in AVERAGES:
            yield f"pressure.{resource}.{whom}.{average}", getattr(stall, average)
        yield f"pressure.{resource}.{whom}.total", stall.total
