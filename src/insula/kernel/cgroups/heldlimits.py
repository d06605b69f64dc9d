"""Limits as a group holds them, and how v1's numbers and v2's stand for each other.

CPU: a v2 weight is v1 shares times 100/1024, which is what the scheduler itself computes (`sched_weight_from_cgroup` in
the kernel's sched.h) and what systemd writes; so two groups keep their ratio whatever the hierarchy. The curve
that OCI runtimes use since 2025 meets both ends of the scale too, but bends every ratio between.

Block devices: BFQ's weight (1..1000) and io.weight (1..10000) are both neutral at 100 and proportional (kernel document
`block/bfq-iosched`, cgroup-v2 on io.weight), so a weight is written as it is; BFQ's ends at 1000. The `blkio.weight`
of old, neutral at 500, went with CFQ in Linux 5.0.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass

UNLIMITED = 2**63 - 1
"""Bytes: no limit. Anything within 64 KiB of it counts as no limit, because kernels round to pages."""

NEUTRAL_SHARES = 1024
NEUTRAL_WEIGHT = 100
MAXIMUM_WEIGHT = 10_000
MAXIMUM_BFQ_WEIGHT = 1_000
MINIMUM_SHARES = 2
MAXIMUM_SHARES = 262_144
_ROUNDING = 65_536


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockLimit:
    """Limits of one block device. None leaves a value as it is, 0 takes the limit away.

    Rates a second; weight 1..10000, on v2's scale; latency: microseconds that its requests are to take at most, for
    which groups with a longer one, or none, are held back (v2 only).
    """

    major: int
    minor: int
    weight: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    read_operations: int | None = None
    write_operations: int | None = None
    latency: int | None = None

    @property
    def number(self) -> str:
        return f"{self.major}:{self.minor}"


@dataclass(frozen=True, kw_only=True, slots=True)
class HugePageLimit:
    """How much a group may hold in huge pages of one size. Bytes, both; UNLIMITED takes the limit away."""

    size: int
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MiscLimit:
    """How much of one of the host's countable resources a group may hold, by the misc controller's name of it.

    limit: in the resource's own unit; UNLIMITED takes it away.
    """

    name: str
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupKey:
    """One control file of a group, and what is written to it. value: None for what a new group has."""

    key: str
    value: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldLimits:
    """What a group holds, read back from the kernel; None is unlimited, or not available on this host.

    Bytes, microseconds; cpu_shares on v1's scale, rounded where the group keeps a v2 weight; weights neutral at 100.
    cpus, memory_nodes: what may be used in effect. cpu_burst: 0 is none. huge_pages, misc: what has a limit.
    """

    memory: int | None = None
    memory_soft: int | None = None
    memory_guarantee: int | None = None
    memory_and_swap: int | None = None
    cpu_shares: int | None = None
    cpu_quota: int | None = None
    cpu_period: int | None = None
    cpus: str | None = None
    memory_nodes: str | None = None
    block_weight: int | None = None
    block_devices: tuple[BlockLimit, ...] = ()
    tasks: int | None = None
    cpu_burst: int | None = None
    cpu_idle: bool | None = None
    zswap: int | None = None
    zswap_writeback: bool | None = None
    huge_pages: tuple[HugePageLimit, ...] = ()
    misc: tuple[MiscLimit, ...] = ()


def limited(value: int) -> int | None:
    """Return a byte limit, None for what means no limit."""
    return None if value >= UNLIMITED - _ROUNDING else value


def weight_of(shares: int) -> int:
    """Return the v2 weight that v1 shares stand for: 1024 is 100."""
    return max(1, min(MAXIMUM_WEIGHT, round(shares * NEUTRAL_WEIGHT / NEUTRAL_SHARES)))


def shares_of(weight: int) -> int:
    """Return the v1 shares that a v2 weight stands for: 100 is 1024."""
    return max(MINIMUM_SHARES, min(MAXIMUM_SHARES, round(weight * NEUTRAL_SHARES / NEUTRAL_WEIGHT)))


def swap_of(memory: int | None, memory_and_swap: int | None) -> int | None:
    """Return how much swap alone a group may use, v2's view of v1's sum. None is unlimited.

    Raises: ValueError if the sum is below the memory, or limited while the memory is not.
    """
    if memory_and_swap is None:
        return None
    if memory is None:
        raise ValueError("memory with swap cannot be limited while memory is not: limit memory too")
    if memory_and_swap < memory:
        raise ValueError(f"memory with swap ({memory_and_swap}) is below memory alone ({memory}): raise it first")
    return memory_and_swap - memory


def busy(path: str, limit: int, used: int) -> OSError:
    """Return the refusal of a limit that the memory in use does not shrink to. limit, used: bytes."""
    text = f"{used // 1024} KiB are in use and do not shrink to {limit // 1024} KiB: free memory inside, or choose more"
    return OSError(errno.EBUSY, text, path)


def weigh_device(weight: int | None, put: Callable[[int], None]) -> None:
    """Have a device's weight put, if there is one: a device whose scheduler has no weights has none to lose.

    Raises: OSError as put, in words where the scheduler is why.
    """
    if weight is None:
        return
    try:
        put(weight)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        if weight and os.strerror(errno.EOPNOTSUPP) not in str(error.strerror):
            raise  # it says what there is not
        if weight:
            raise OSError(
                errno.EOPNOTSUPP,
                "the device's I/O scheduler has no weights, which bfq has (/sys/block/NAME/queue/scheduler)",
                error.filename,
            ) from error
