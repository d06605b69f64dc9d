"""What memory a guest has and what it is used for, from its control group: one value that all files tell.

A group's limit is the guest's memory. What the group has charged is used, page cache among it. So `MemFree` is the
limit less what is charged, and `MemAvailable` that and the cache of files and slabs that the kernel would give back.
Sources: kernel documents `admin-guide/cgroup-v2` (memory.stat) and `admin-guide/cgroup-v1/memory`; proc_meminfo(5);
`si_mem_available` in the kernel's mm/show_mem.c.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class WholeMemory:
    """Bytes of the host: its memory and its swap, with what of them is free, or could be."""

    total: int
    free: int
    available: int
    swap_total: int = 0
    swap_free: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryReading:
    """What was read of a group, in bytes.

    limit: None is unlimited; usage: all that is charged; swap_limit: of swap alone, None unlimited; swap: what of it is
    used; kinds: the group's memory.stat, of all groups below too, with v2's names.
    """

    limit: int | None
    usage: int
    swap_limit: int | None = 0
    swap: int = 0
    kinds: Mapping[str, int]


V1_KINDS = {
    "total_cache": "file",
    "total_rss": "anon",
    "total_rss_huge": "anon_thp",
    "total_shmem": "shmem",
    "total_mapped_file": "file_mapped",
    "total_dirty": "file_dirty",
    "total_writeback": "file_writeback",
    "total_swapcached": "swapcached",
    "total_pgfault": "pgfault",
    "total_pgmajfault": "pgmajfault",
    "total_inactive_anon": "inactive_anon",
    "total_active_anon": "active_anon",
    "total_inactive_file": "inactive_file",
    "total_active_file": "active_file",
    "total_unevictable": "unevictable",
    "total_workingset_refault_anon": "workingset_refault_anon",
    "total_workingset_refault_file": "workingset_refault_file",
}
"""v1's names in memory.stat, for a group and all below it, and what v2 calls the same. `total_pgpgin` and
`total_pgpgout` count charges there, not input and output, and have no like."""


def v1_reading(stat: Mapping[str, int], usage: int, kernel: int) -> MemoryReading:
    """Return what a v1 group says. stat: its memory.stat; usage, kernel: usage_in_bytes and kmem.usage_in_bytes.

    A limit of memory and swap together says how much swap there is beside memory that is used up: their difference.
    Where the kernel accounts no swap there is none.
    """
    limit = _limited(stat.get("hierarchical_memory_limit"))
    together = _limited(stat.get("hierarchical_memsw_limit"))
    swap_limit: int | None = 0
    if "hierarchical_memsw_limit" in stat:
        swap_limit = None if together is None or limit is None else max(0, together - limit)
    kinds = {name: stat[old] for old, name in V1_KINDS.items() if old in stat}
    kinds["slab_unreclaimable"] = kernel
    return MemoryReading(limit=limit, usage=usage, swap_limit=swap_limit, swap=stat.get("total_swap", 0), kinds=kinds)


def _limited(value: int | None) -> int | None:
    """v1 says a limit near the largest number where there is none."""
    return None if value is None or value >= _NO_LIMIT else value


_NO_LIMIT = 1 << 62


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineMemory:
    """A guest's memory, in bytes, with nothing below zero and no part above the whole.

    used: all that is charged, as far as it is within `total`; kinds: of which parts, as `MemoryReading` has them.
    """

    total: int
    used: int
    available: int
    cached: int
    shared: int
    swap_total: int
    swap_used: int
    kinds: Mapping[str, int]

    @property
    def free(self) -> int:
        return self.total - self.used

    @property
    def swap_free(self) -> int:
        return self.swap_total - self.swap_used


def machine_memory(reading: MemoryReading, host: WholeMemory) -> MachineMemory:
    """Return the machine's memory by what its group says.

    A limit above what the host has is none, and a guest without one has the host's memory: all of it, and what of it is
    free, whoever uses the rest. A limit may fall below what is in use, and single numbers are read one after another:
    what does not fit is cut at the whole.
    """
    kinds = reading.kinds
    cached = kinds.get("file", 0)
    if reading.limit is None or reading.limit >= host.total:
        total, used, available = host.total, host.total - host.free, host.available
    else:
        total = reading.limit
        used = min(max(reading.usage, 0), total)
        given_back = kinds.get("active_file", 0) + kinds.get("inactive_file", 0) + kinds.get("slab_reclaimable", 0)
        available = total - used + min(given_back, used)
    cached = min(cached, used)
    swap_total = host.swap_total if reading.swap_limit is None else min(reading.swap_limit, host.swap_total)
    # What the host has not left is not free, whoever has taken it.
    swap_used = max(0, min(reading.swap, swap_total), swap_total - host.swap_free)
    return MachineMemory(
        total=total,
        used=used,
        available=min(available, total),
        cached=cached,
        shared=min(kinds.get("shmem", 0), cached),
        swap_total=swap_total,
        swap_used=swap_used,
        kinds=kinds,
    )
