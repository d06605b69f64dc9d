"""What a container may use of its host: a part of `ContainerSpec`."""

from dataclasses import dataclass
from typing import NewType

from insula.kernel.cgroups import BlockLimit, GroupKey, HugePageLimit, MiscLimit

Bytes = NewType("Bytes", int)
Microseconds = NewType("Microseconds", int)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the container may use; None leaves the kernel's default, or that of `engine.fragments.defaultlimits`.

    memory: bytes without swap; memory_soft: reclaimed to under pressure; memory_and_swap: bytes of both, as many as
    memory if not given; memory_guarantee: bytes kept (v2); cpu_shares: v1 scale (2..262144, 1024 is neutral); cpu_quota
    of each cpu_period (-1: none) for all of it; cpus, memory_nodes: kernel list format; block_weight: v1 scale
    (10..1000); pids: tasks, a share of the host's if not given; cpu_burst: what a period may take beyond its quota of
    what former ones left; cpu_idle: its programs run where no other's want to, and shares count for nothing; zswap:
    bytes of compressed memory for swapped pages; zswap_writeback: whether these may go on to the swap device (v2 both);
    keys: control files that nothing else here is about, each as the host has it, written last.
    """

    memory: Bytes | None = None
    memory_soft: Bytes | None = None
    memory_guarantee: Bytes | None = None
    memory_and_swap: Bytes | None = None
    cpu_shares: int | None = None
    cpu_quota: Microseconds | None = None
    cpu_period: Microseconds | None = None
    cpus: str | None = None
    memory_nodes: str | None = None
    block_weight: int | None = None
    block_devices: tuple[BlockLimit, ...] = ()
    pids: int | None = None
    cpu_burst: Microseconds | None = None
    cpu_idle: bool | None = None
    zswap: Bytes | None = None
    zswap_writeback: bool | None = None
    huge_pages: tuple[HugePageLimit, ...] = ()
    misc: tuple[MiscLimit, ...] = ()
    keys: tuple[GroupKey, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceLimit:
    """One rlimit of the guest's init. name: as in getrlimit(2) without `RLIMIT_`, as `NOFILE`; None is infinity."""

    name: str
    soft: int | None
    hard: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryPolicy:
    """NUMA nodes that memory comes from while they have some: one after the other if interleaved, else the nearest."""

    nodes: tuple[int, ...]
    interleaved: bool = False
