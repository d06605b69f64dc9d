"""From a definition to the limits of its container: the same for a start and for a change while it runs."""

import os
import stat
from collections.abc import Iterator
from dataclasses import replace

from insula.engine.spec import Bytes, Limits, MemoryPolicy, Microseconds
from insula.errors import InvalidArgumentError
from insula.kernel.cgroups import BlockLimit, GroupKey, HugePageLimit, MiscLimit
from insula.model.domain import DomainDefinition
from insula.model.extensions import InsulaSettings
from insula.model.guestlimits import CompressedSwap, CpuClass
from insula.model.resourcetuning import BlkioDevice, BlkioTune, CpuTune, MemoryTune, NumaMode
from insula.model.scalars import YesNo
from insula.model.sizes import UNLIMITED_KIB, KiB, format_cpuset


def limits_of(domain: DomainDefinition) -> Limits:
    """Return what domain says about limits, None where it says nothing; its processors are chosen (`claims`).

    Raises: InvalidArgumentError for the limit of a block device that the host has not.
    """
    memory, cpu = domain.memory_tune or MemoryTune(), domain.cpu_tune or CpuTune()
    quota = cpu.quota if cpu.quota is not None else cpu.global_quota
    period = cpu.period if cpu.period is not None else cpu.global_period
    numa = domain.numa_tune.memory if domain.numa_tune is not None else None
    nodes = numa.nodes if numa is not None and numa.pins else None
    settings = domain.settings
    processors, zswap = settings.cpu or CpuClass(), settings.zswap or CompressedSwap()
    return Limits(
        memory=_bytes(domain.memory_limit),
        memory_soft=_bytes(memory.soft_limit),
        memory_guarantee=_bytes(memory.min_guarantee),
        memory_and_swap=_bytes(memory.swap_hard_limit),
        cpu_shares=cpu.shares,
        cpu_quota=None if quota is None else Microseconds(quota),
        cpu_period=None if period is None else Microseconds(period),
        memory_nodes=None if nodes is None else format_cpuset(nodes),
        block_weight=domain.blkio_tune.weight if domain.blkio_tune is not None else None,
        block_devices=_block_devices(domain.blkio_tune, settings),
        pids=settings.pids_limit,
        cpu_burst=None if processors.burst is None else Microseconds(processors.burst),
        cpu_idle=_truth(processors.idle),
        zswap=None if zswap.limit is None else Bytes(zswap.limit * 1024),
        zswap_writeback=_truth(zswap.writeback),
        huge_pages=tuple(HugePageLimit(size=each.size * 1024, limit=each.limit * 1024) for each in settings.huge_pages),
        misc=tuple(MiscLimit(name=each.resource, limit=each.limit) for each in settings.misc),
        keys=tuple(GroupKey(key=each.key, value=each.value) for each in settings.control_files),
    )


def overruled_limits(domain: DomainDefinition) -> Iterator[str]:
    """Yield which limits of a domain mean nothing, since another one is below, in words."""
    tune = domain.memory_tune or MemoryTune()
    if tune.hard_limit is not None and domain.memory < tune.hard_limit < UNLIMITED_KIB:
        yield (
            f"its hard_limit of {tune.hard_limit} KiB limits nothing: its memory of {domain.memory} KiB does; give it "
            "more memory, or take the hard_limit away"
        )


def memory_policy_of(domain: DomainDefinition) -> MemoryPolicy | None:
    """Return from which NUMA nodes domain's programs would rather have their memory, None for any."""
    numa = domain.numa_tune.memory if domain.numa_tune is not None else None
    if numa is None or numa.pins or numa.nodes is None:
        return None
    return MemoryPolicy(nodes=tuple(sorted(numa.nodes)), interleaved=numa.mode is NumaMode.INTERLEAVE)


def _block_devices(tune: BlkioTune | None, settings: InsulaSettings) -> tuple[BlockLimit, ...]:
    """A device may have rates and a latency, which stand at two places of a definition."""
    limits = {each.number: each for each in (map(block_limit, tune.devices) if tune is not None else ())}
    for latency in settings.latencies:
        named = latency_limit(str(latency.device), latency.target)
        limits[named.number] = replace(limits.get(named.number, named), latency=named.latency)
    return tuple(limits.values())


def latency_limit(path: str, target: int) -> BlockLimit:
    """Return a latency of one block device by its number, 0 for none. Raises: as `block_limit`."""
    major, minor = device_number(path)
    return BlockLimit(major=major, minor=minor, latency=target)


def block_limit(device: BlkioDevice) -> BlockLimit:
    """Return the limits of one block device by its number. Raises: InvalidArgumentError if its path is none."""
    major, minor = device_number(str(device.path))
    return BlockLimit(
        major=major,
        minor=minor,
        weight=device.weight,
        read_bytes=device.read_bytes,
        write_bytes=device.write_bytes,
        read_operations=device.read_iops,
        write_operations=device.write_iops,
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


def _truth(word: YesNo | None) -> bool | None:
    return None if word is None else word is YesNo.YES


def _bytes(size: KiB | None) -> Bytes | None:
    return None if size is None else Bytes(size * 1024)
