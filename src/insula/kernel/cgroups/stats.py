"""What a control group has used, as plain numbers in one unit whatever the hierarchy's version."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryUse:
    """Bytes, and counts of faults. limit: None when unlimited; swap: None where swap is not accounted.

    usage counts page cache too. anonymous and shared (tmpfs, shared memory) can be swapped out, not dropped; cache can
    be dropped but for shared, which it counts too, and for what is locked; inactive_cache is its coldest part.
    unevictable can be neither: locked, or kept without a disk behind it. kernel: what it keeps for the group's
    programs, slabs, stacks and page tables among it, of which only some can be had back. swapped_in and swapped_out: in
    all, None where nobody counts. peak and swap are None in a summary as well, and kernel may be 0 there.
    """

    usage: int
    peak: int | None
    limit: int | None
    swap: int | None
    anonymous: int
    cache: int
    inactive_cache: int
    shared: int
    unevictable: int
    kernel: int = 0
    page_faults: int
    major_faults: int
    swapped_in: int | None = None
    swapped_out: int | None = None

    @property
    def droppable(self) -> int:
        """What can be had back without swapping: the cache of files."""
        return max(0, self.cache - self.shared)

    def staying(self, swap: int) -> int:
        """Return the least that can be left in memory if so many bytes of swap are free for it."""
        return max(self.anonymous + self.shared - swap, self.unevictable)


@dataclass(frozen=True, kw_only=True, slots=True)
class CpuUse:
    """Nanoseconds. per_cpu: a number for each possible CPU, v1 only, else and in a summary empty; periods: those of the
    quota."""

    total: int
    user: int
    system: int
    per_cpu: tuple[int, ...] = ()
    periods: int = 0
    throttled_periods: int = 0
    throttled: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceUse:
    """Traffic of one block device since the group was made: bytes and operations."""

    major: int
    minor: int
    read_bytes: int = 0
    write_bytes: int = 0
    read_operations: int = 0
    write_operations: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskUse:
    """Tasks (processes and threads). refused: how often the limit was hit.

    Before Linux 6.11 a v2 group counts only what was refused to its own tasks, not to those of groups below it.
    """

    current: int
    limit: int | None
    refused: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Stall:
    """For how much of the time work waited: percent of the last 10, 60 and 300 s; total: microseconds in all."""

    avg10: float = 0.0
    avg60: float = 0.0
    avg300: float = 0.0
    total: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Pressure:
    """How work waited for one resource. some: at least one task did; full: all did that had work.

    Source: kernel document `accounting/psi`.
    """

    some: Stall
    full: Stall


@dataclass(frozen=True, kw_only=True, slots=True)
class Stats:
    """One reading of a group; None where this host has no such controller."""

    memory: MemoryUse | None
    cpu: CpuUse | None
    tasks: TaskUse | None
    devices: tuple[DeviceUse, ...]
    oom_kills: int
