"""What a group's controllers can do, whichever hierarchy they live in: `v1` and `v2` each have one class for each.

All are made with the group's directory and touch files in it only. A file that is missing gives OSError(EOPNOTSUPP).
"""

from typing import Protocol

from insula.kernel.cgroups.heldlimits import BlockLimit
from insula.kernel.cgroups.idlememory import IdleMemory
from insula.kernel.cgroups.shrinking import Shrinking
from insula.kernel.cgroups.stats import CpuUse, DeviceUse, MemoryUse, TaskUse


class MemoryController(Protocol):
    """Bytes throughout; `limits.UNLIMITED` takes a limit away."""

    def limit(self, memory: int | None = None, memory_and_swap: int | None = None) -> None:
        """Set the hard limits; None keeps the present one.

        Both are set in whichever order the kernel accepts.
        Raises: OSError(EINVAL) if memory_and_swap would be below memory; OSError(EBUSY) if what is in use does not
        shrink to the limit within seconds: nothing is changed then; OSError(EOPNOTSUPP) if swap is not accounted.
        """

    def shrinking(self, memory: int) -> Shrinking:
        """Return what frees memory for a lower limit, before that is set; nothing has happened yet. Raises: OSError."""

    @property
    def has_unfinished(self) -> bool:
        """Whether a kill cut a change of hard limits short."""

    def undo_unfinished(self) -> bool:
        """Undo a change of hard limits that a kill cut short; return whether there was one. Raises: OSError."""

    def limit_softly(self, memory: int) -> None:
        """Set what the group is reclaimed to: v1 soft limit (only when the host is short), v2 memory.high (at once)."""

    def guarantee(self, memory: int) -> None:
        """Keep so much from being reclaimed: v2 memory.min. Raises: OSError(EOPNOTSUPP) on v1, which cannot."""

    @property
    def idle(self) -> IdleMemory | None:
        """What takes memory that is not needed, step by step; None on v1, where only a limit takes any."""

    def held(self) -> tuple[int | None, int | None, int | None, int | None]:
        """Return limit, soft limit, guarantee and limit with swap; None is unlimited, a guarantee of None is none."""

    def use(self, *, summary: bool = False) -> MemoryUse:
        """Return what is used. summary: without what costs another file each, the peak and the swap."""

    def oom_kills(self) -> int:
        """Return how many processes were killed for want of memory since the group was made."""


class CpuController(Protocol):
    def weigh(self, shares: int) -> None:
        """Set the share of contended time, 2..262144 on v1's scale, neutral at 1024."""

    def limit(self, quota: int | None, period: int | None = None) -> None:
        """Allow quota microseconds in each period (1000..1000000); quota -1 is no limit, None keeps what is set."""

    def held(self) -> tuple[int, int | None, int]:
        """Return shares, quota (None: unlimited) and period."""

    def throttling(self) -> tuple[int, int, int]:
        """Return periods, throttled periods and throttled nanoseconds."""

    def waited(self) -> int | None:
        """Return for how many nanoseconds its tasks could have run on some processor that other groups had.

        None where the kernel does not count that: on v2, and without `kernel.sched_schedstats`.
        """


class CpuTimeController(Protocol):
    def use(self, *, summary: bool = False) -> CpuUse:
        """Return consumed time; its throttling fields stay 0. summary: without what costs another file, each CPU's."""


class CpuSetController(Protocol):
    def pin_cpus(self, cpus: str) -> None:
        """Allow only these CPUs, a list such as `0-3,8`; empty allows what the parent allows."""

    def pin_memory_nodes(self, nodes: str) -> None:
        """Allow only these NUMA nodes, moving what is elsewhere."""

    def held(self) -> tuple[str, str]:
        """Return the CPUs and memory nodes that may be used in effect."""


class IoController(Protocol):
    def weigh(self, weight: int) -> None:
        """Set the share of contended block devices, neutral at 100."""

    def limit(self, device: BlockLimit) -> None: ...

    def held(self) -> tuple[int | None, tuple[BlockLimit, ...]]:
        """Return the weight (None: this kernel has no weights) and every device that has a limit of its own."""

    def use(self) -> tuple[DeviceUse, ...]:
        """Return the traffic of each device.

        v1 on Linux 6.10 and newer counts a device only once some group has had a limit on it.
        """


class PidsController(Protocol):
    def limit(self, tasks: int) -> None:
        """Let the group hold so many tasks; `limits.UNLIMITED` takes the limit away."""

    def use(self) -> TaskUse: ...


class FreezerController(Protocol):
    def freeze(self, seconds: float) -> None:
        """Stop every task, and return when all have stopped.

        Raises: OSError(ETIMEDOUT), with everything thawed again, if a task is stuck in the kernel.
        """

    def thaw(self) -> None: ...

    def frozen(self) -> bool: ...
