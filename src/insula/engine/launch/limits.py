"""Putting a container's limits on its control group: `apply` before it runs, `change` while it does."""

import errno
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, replace
from typing import Any

from insula.engine.launch.runningcontainer import Running
from insula.engine.spec import Bytes, Limits, Microseconds
from insula.errors import (
    InsulaError,
    InvalidArgumentError,
    OperationFailedError,
    OperationUnsupportedError,
    ResourceBusyError,
)
from insula.kernel.cgroups import UNLIMITED, Cgroup, GroupKey, HugePageLimit, MiscLimit, furtherlimits
from insula.kernel.cgroups.furtherlimits import LimitFile
from insula.kernel.cgroups.heldlimits import NEUTRAL_SHARES, NEUTRAL_WEIGHT, limited
from insula.kernel.cgroups.stats import MemoryUse
from insula.kernel.meminfo import MEMINFO, read_meminfo
from insula.view.processorlists import list_text, listed

NODES_WITH_MEMORY = "/sys/devices/system/node/has_memory"
Setter = Callable[[Cgroup, Limits], None]


def _memory(group: Cgroup, limits: Limits) -> None:
    if limits.memory is not None or limits.memory_and_swap is not None:
        group.memory.limit(limits.memory, limits.memory_and_swap)


def _memory_soft(group: Cgroup, limits: Limits) -> None:
    if limits.memory_soft is not None:
        group.memory.limit_softly(limits.memory_soft)


def _memory_guarantee(group: Cgroup, limits: Limits) -> None:
    if limits.memory_guarantee is not None:
        group.guarantee_memory(limits.memory_guarantee)


def _cpu_shares(group: Cgroup, limits: Limits) -> None:
    """An idle group takes no shares, so it becomes one behind them, and is none before."""
    if limits.cpu_idle is False:
        _unless_missing(group, furtherlimits.IDLE, 0)
    if limits.cpu_shares is None:
        return
    try:
        group.cpu.weigh(limits.cpu_shares)
    except OSError as error:
        if error.errno == errno.EINVAL and furtherlimits.number(group.keys, furtherlimits.IDLE):
            raise OSError(errno.EINVAL, "the group is idle, which has none: end that first", error.filename) from None
        raise


def _cpu_idle(group: Cgroup, limits: Limits) -> None:
    if limits.cpu_idle:
        furtherlimits.set_number(group.keys, furtherlimits.IDLE, 1)


def _cpu_quota(group: Cgroup, limits: Limits) -> None:
    """No quota may be below its burst, which is set behind it, and away before."""
    if limits.cpu_burst is not None:
        _unless_missing(group, furtherlimits.BURST, 0)
    if limits.cpu_quota is not None or limits.cpu_period is not None:
        group.cpu.limit(limits.cpu_quota, limits.cpu_period)


def _cpu_burst(group: Cgroup, limits: Limits) -> None:
    if limits.cpu_burst:
        furtherlimits.set_number(group.keys, furtherlimits.BURST, limits.cpu_burst)


def _unless_missing(group: Cgroup, file: LimitFile, none: int) -> None:
    """Take a limit away; a host that has none of the kind has none to take away."""
    try:
        furtherlimits.set_number(group.keys, file, none)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise


def _zswap(group: Cgroup, limits: Limits) -> None:
    for value, file, none in (
        (limits.zswap, furtherlimits.ZSWAP, UNLIMITED),
        (limits.zswap_writeback, furtherlimits.ZSWAP_WRITEBACK, 1),
    ):
        if value == none:
            _unless_missing(group, file, none)
        elif value is not None:
            furtherlimits.set_number(group.keys, file, int(value))


def _huge_pages(group: Cgroup, limits: Limits) -> None:
    for each in limits.huge_pages:
        furtherlimits.limit_huge_pages(group.keys, each)


def _misc(group: Cgroup, limits: Limits) -> None:
    for each in limits.misc:
        furtherlimits.limit_misc(group.keys, each)


def _keys(group: Cgroup, limits: Limits) -> None:
    for each in limits.keys:
        group.keys.write(each.key, each.value)


def _cpus(group: Cgroup, limits: Limits) -> None:
    if limits.cpus is not None:
        group.cpuset.pin_cpus(limits.cpus)


def _memory_nodes(group: Cgroup, limits: Limits) -> None:
    """Raises: OSError that says which nodes the host has not: the kernel says EINVAL, or ERANGE for large numbers."""
    if limits.memory_nodes is None:
        return
    try:
        group.cpuset.pin_memory_nodes(limits.memory_nodes)
    except OSError as error:
        there = _host_nodes()
        missing = set(listed(limits.memory_nodes)) - set(listed(there))
        if error.errno not in (errno.EINVAL, errno.ERANGE) or not missing:
            raise
        absent = list_text(tuple(sorted(missing)))
        text = f"the host has no NUMA node {absent} with memory: it has {there}"
        raise OSError(errno.EINVAL, text, error.filename) from error


def _host_nodes() -> str:
    """Return which NUMA nodes of the host have memory, a list such as `0-1`."""
    try:
        with open(NODES_WITH_MEMORY) as file:
            return file.read().strip()
    except OSError:  # a kernel without NUMA
        return "0"


def _block_weight(group: Cgroup, limits: Limits) -> None:
    if limits.block_weight is not None:
        group.io.weigh(limits.block_weight)


def _block_devices(group: Cgroup, limits: Limits) -> None:
    for each in limits.block_devices:
        group.io.limit(each)


def _pids(group: Cgroup, limits: Limits) -> None:
    if limits.pids is not None:
        group.tasks.limit(limits.pids)


SETTERS: tuple[tuple[str, Setter], ...] = (
    ("memory limit", _memory),
    ("soft memory limit", _memory_soft),
    ("memory guarantee", _memory_guarantee),
    ("CPU shares", _cpu_shares),
    ("idle class", _cpu_idle),
    ("CPU quota", _cpu_quota),
    ("CPU burst", _cpu_burst),
    ("CPU list", _cpus),
    ("memory node list", _memory_nodes),
    ("block weight", _block_weight),
    ("block device limit", _block_devices),
    ("limit of tasks", _pids),
    ("limit of zswap", _zswap),
    ("limit of huge pages", _huge_pages),
    ("limit of the misc controller", _misc),
    ("control file", _keys),
)
"""Every limit, in the order they are set."""

NONE = Limits(
    memory=Bytes(UNLIMITED),
    memory_soft=Bytes(UNLIMITED),
    memory_guarantee=Bytes(0),
    memory_and_swap=Bytes(UNLIMITED),
    cpu_shares=NEUTRAL_SHARES,
    cpu_quota=Microseconds(-1),
    cpu_period=Microseconds(100_000),
    block_weight=NEUTRAL_WEIGHT,
    pids=UNLIMITED,
    memory_nodes="",
    cpu_burst=Microseconds(0),
    cpu_idle=False,
    zswap=Bytes(UNLIMITED),
    zswap_writeback=True,
)
"""What takes each limit away, as the kernel's new groups have it; no value does so for lists of CPUs, nor for those
limits of which there are several."""

SEVERAL: Mapping[str, Callable[[Any], tuple[Any, ...]]] = {
    "block_devices": lambda each: (each.major, each.minor),
    "huge_pages": lambda each: (each.size,),
    "misc": lambda each: (each.name,),
    "keys": lambda each: (each.key,),
}
"""The limits of which there are several, and what each of them is known by."""

_SEEN: Mapping[str, tuple[str, ...]] = {
    "memory": ("memory.max", "memory.swap.max"),
    "memory_and_swap": ("memory.max", "memory.swap.max"),
    "memory_soft": ("memory.high",),
    "cpu_quota": ("cpu.max", "cpu.max.burst"),
    "cpu_period": ("cpu.max", "cpu.max.burst"),
    "cpu_burst": ("cpu.max", "cpu.max.burst"),
    "pids": ("pids.max",),
}
"""Limits that are repeated in the group which the guest sees, and the files that say them there."""

_KINDS: dict[int, type[InsulaError]] = {
    errno.EOPNOTSUPP: OperationUnsupportedError,
    errno.EINVAL: InvalidArgumentError,
    errno.ERANGE: InvalidArgumentError,
    errno.ENODEV: InvalidArgumentError,
    errno.EBUSY: ResourceBusyError,
}


def only(limits: Limits, names: Collection[str]) -> Limits:
    """Return the limits of these names alone; one that is None becomes what takes it away."""
    chosen = {name: NONE if getattr(limits, name) is None else limits for name in names}
    return Limits(**{name: getattr(source, name) for name, source in chosen.items()})


def change(group: Cgroup, limits: Limits) -> None:
    """Set every limit that is not None on a running container, unless its programs would be killed for it.

    Raises: OperationFailedError, and nothing has changed, if the memory in use could not shrink to its new limit; as
    `apply` otherwise.
    """
    try:
        refuse_what_kills(group, limits)
    except OSError as error:
        raise _failure("memory limit", error) from error
    apply(group, limits)


def change_running(running: Running, limits: Limits) -> None:
    """Do what `change` does to a container that runs, and let its record tell of it. Raises: as `change`."""
    change(running.group, limits)
    spec = running.record.spec
    running.record = replace(running.record, spec=replace(spec, limits=merged(spec.limits, limits)))


def merged(before: Limits, put: Limits) -> Limits:
    """Return the limits that hold after some were put; one that takes a limit away leaves none."""
    values = {each.name: getattr(put, each.name) for each in fields(Limits) if each.name not in SEVERAL}
    held: dict[str, Any] = {name: _still(value) for name, value in values.items() if value is not None}
    for name, known_by in SEVERAL.items():
        all_of_them = {known_by(each): each for each in (*getattr(before, name), *getattr(put, name))}
        held[name] = tuple(each for each in all_of_them.values() if not is_none(each))
    return replace(before, **held)


def is_none(one: object) -> bool:
    """Whether one of several limits only takes away what there was."""
    match one:
        case HugePageLimit(limit=limit) | MiscLimit(limit=limit):
            return limited(limit) is None
        case GroupKey(value=value):
            return value is None
    return False


def _still(value: int | str) -> int | str | None:
    return limited(value) if isinstance(value, int) else value or None


def refuse_what_kills(group: Cgroup, limits: Limits) -> None:
    """Refuse a limit below what can be neither dropped nor swapped out, before the guest loses its caches in vain.

    A look only: whether the rest shrinks is seen when the limit is set. Raises: OperationFailedError, OSError.
    """
    wanted = limits.memory if limits.memory is None else limited(limits.memory)
    if wanted is None:
        return
    use = group.memory.use()
    swap = _free_swap(group, wanted, limits.memory_and_swap, use)
    stays = use.staying(swap)
    if wanted < stays:
        raise OperationFailedError(
            f"the guest holds {stays // 1024} KiB that can be neither dropped nor swapped out ({kinds(use, swap)}), so "
            f"{wanted // 1024} KiB would get its programs killed; free memory inside, or choose more"
        )


def kinds(use: MemoryUse, swap: int | None = None) -> str:
    """Say what kinds of memory a guest holds. swap: bytes that are free for it, None: not to be told."""
    parts = {
        "its programs": use.anonymous,
        "tmpfs and shared memory": use.shared,
        "locked": use.unevictable,
        "caches of files": use.droppable,
        "the kernel for it": use.kernel,
    }
    told = ", ".join(f"{what} {size // 1024} KiB" for what, size in parts.items() if size)
    free = "" if swap is None else "; no swap is free for it" if not swap else f"; {swap // 1024} KiB of swap are free"
    return f"{told}{free}"


def _free_swap(group: Cgroup, memory: int, with_swap: int | None, use: MemoryUse) -> int:
    """Return how many bytes could be swapped out under a limit of so many bytes of memory.

    with_swap: what both are to be limited to at the same time, None: as it is. As groups do then, a limit with swap
    stays, but one without any swap, which is what guests have by default, goes with the memory.
    """
    held_memory, _, _, held = group.memory.held()
    if with_swap is None and held is not None and held == held_memory:
        return 0
    limit = held if with_swap is None else limited(with_swap)
    free = read_meminfo(MEMINFO)["SwapFree"] * 1024
    return free if limit is None else max(0, min(free, limit - memory - (use.swap or 0)))


def apply(group: Cgroup, limits: Limits) -> None:
    """Set every limit that is not None; the others stay as they are.

    `kernel.cgroups.UNLIMITED` takes a byte or task limit away, a quota of -1 that one, 0 a block device's.

    Raises: OperationUnsupportedError if this host has no such limit, InvalidArgumentError for a value the kernel
    refuses, ResourceBusyError if memory in use does not shrink to its limit, OperationFailedError otherwise. Limits set
    before the failing one stay set.
    """
    for what, put in SETTERS:
        try:
            put(group, limits)
        except OSError as error:
            raise _failure(what, error) from error
    try:
        group.repeat_limits({name for each in _SEEN if getattr(limits, each) is not None for name in _SEEN[each]})
    except OSError as error:
        raise _failure("limits that the guest sees", error) from error


def _failure(what: str, error: OSError) -> InsulaError:
    kind = _KINDS.get(error.errno or 0, OperationFailedError)
    return kind(f"cannot set the {what}: {error.strerror} ({error.filename})")
