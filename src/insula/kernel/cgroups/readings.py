"""Readings of a whole group, put together from its controllers wherever they are."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from insula.kernel.cgroups import furtherlimits, v2
from insula.kernel.cgroups.furtherlimits import huge_page_sizes
from insula.kernel.cgroups.heldlimits import HeldLimits, HugePageLimit
from insula.kernel.cgroups.stats import CpuUse, Stats

if TYPE_CHECKING:
    from insula.kernel.cgroups.group import Cgroup


def stats(group: "Cgroup") -> Stats:
    """Return what the group has used, as far as this host accounts it. Raises: OSError(ENOENT) if it is gone."""
    has_memory = group.directory("memory") is not None
    return Stats(
        memory=group.memory.use() if has_memory else None,
        cpu=_cpu_use(group),
        tasks=group.tasks.use() if group.directory("pids") is not None else None,
        devices=group.io.use() if group.directory("blkio") is not None else (),
        oom_kills=group.memory.oom_kills() if has_memory else 0,
    )


def _cpu_use(group: "Cgroup") -> CpuUse | None:
    if group.scope is None and group.directory("cpuacct") is None:
        return None
    use = group.cpu_time.use()
    if group.directory("cpu") is None:
        return use
    periods, throttled_periods, throttled = group.cpu.throttling()
    if group.payload is not None and group.hierarchies.v1_mount("cpu") is None:
        # The limit is repeated there, and who meets it there does not meet it above.
        below = v2.V2Cpu(group.payload).throttling()
        periods, throttled_periods, throttled = (
            max(periods, below[0]),
            throttled_periods + below[1],
            throttled + below[2],
        )
    return replace(use, periods=periods, throttled_periods=throttled_periods, throttled=throttled)


def limits(group: "Cgroup") -> HeldLimits:
    """Return the limits the kernel holds for the group; None for what this host cannot limit."""
    memory, soft, guarantee, with_swap = group.memory.held() if group.directory("memory") else (None,) * 4
    shares, quota, period = group.cpu.held() if group.directory("cpu") else (None,) * 3
    cpus, nodes = group.cpuset.held() if group.directory("cpuset") else (None,) * 2
    weight, devices = group.io.held() if group.directory("blkio") else (None, ())
    keys = group.keys
    idle = furtherlimits.number(keys, furtherlimits.IDLE)
    writeback = furtherlimits.number(keys, furtherlimits.ZSWAP_WRITEBACK)
    return HeldLimits(
        memory=memory,
        memory_soft=soft,
        memory_guarantee=guarantee,
        memory_and_swap=with_swap,
        cpu_shares=shares,
        cpu_quota=quota,
        cpu_period=period,
        cpus=cpus,
        memory_nodes=nodes,
        block_weight=weight,
        block_devices=devices,
        tasks=group.tasks.use().limit if group.directory("pids") else None,
        cpu_burst=furtherlimits.number(keys, furtherlimits.BURST),
        cpu_idle=None if idle is None else bool(idle),
        zswap=furtherlimits.number(keys, furtherlimits.ZSWAP),
        zswap_writeback=None if writeback is None else bool(writeback),
        huge_pages=tuple(_huge_pages(group)),
        misc=furtherlimits.misc(keys),
    )


def _huge_pages(group: "Cgroup") -> Iterator[HugePageLimit]:
    for size in huge_page_sizes():
        limit = furtherlimits.huge_pages(group.keys, size)
        if limit is not None:
            yield HugePageLimit(size=size, limit=limit)
