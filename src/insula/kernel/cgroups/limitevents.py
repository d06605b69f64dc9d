"""How often a group met each of its limits, and what it holds of what only such a limit counts.

Sources: kernel document `admin-guide/cgroup-v2` (memory.events, pids.events, cpu.stat, hugetlb, misc, cgroup.stat), and
those below `admin-guide/cgroup-v1` (memory.failcnt, hugetlb).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from insula.kernel.cgroups import files
from insula.kernel.cgroups.furtherlimits import page_name

if TYPE_CHECKING:
    from insula.kernel.cgroups.group import Cgroup

Counts = dict[str, int]


def memory_events(group: "Cgroup") -> Counts:
    """Return what came of the memory limits: `max`, `oom`, `oom_kill` and others of memory.events; v1 has fewer."""
    directory = group.directory("memory")
    if directory is None:
        return {}
    if group.keys.is_old("memory"):
        control = files.flat_keyed(files.read_if_there(f"{directory}/memory.oom_control") or "")
        refused = files.read_if_there(f"{directory}/memory.failcnt")
        return {"max": int(refused or 0), "oom_kill": control.get("oom_kill", 0)}
    return files.flat_keyed(files.read_if_there(f"{directory}/memory.events") or "")


def swap_events(group: "Cgroup") -> Counts:
    """Return how often the limit of swap was met, where somebody counts that."""
    directory = group.directory("memory")
    if directory is None:
        return {}
    if group.keys.is_old("memory"):
        refused = files.read_if_there(f"{directory}/memory.memsw.failcnt")
        return {} if refused is None else {"max": int(refused)}
    return files.flat_keyed(files.read_if_there(f"{directory}/memory.swap.events") or "")


def accounts_swap(group: "Cgroup") -> bool:
    """Whether this host's groups can limit swap."""
    name = "memory.memsw.limit_in_bytes" if group.keys.is_old("memory") else "memory.swap.max"
    return files.exists(f"{group.directory('memory')}/{name}")


def cpu_events(group: "Cgroup") -> tuple[Counts, Counts]:
    """Return what came of the quota, and of its bursts: periods, and microseconds."""
    if group.directory("cpu") is None:
        return {}, {}
    periods, throttled, nanoseconds = group.cpu.throttling()
    stat = files.flat_keyed(files.read_if_there(f"{group.directory('cpu')}/cpu.stat") or "")
    bursts = stat.get("burst_usec", stat.get("burst_time", 0) // 1000)  # v1 tells nanoseconds
    return (
        {"periods": periods, "throttled": throttled, "throttled_usec": nanoseconds // 1000},
        {"bursts": stat["nr_bursts"], "burst_usec": bursts} if "nr_bursts" in stat else {},
    )


def huge_page_use(group: "Cgroup", size: int) -> tuple[int | None, Counts]:
    """Return the bytes that a group holds in huge pages of one size, and how often their limit was met."""
    directory, name = group.directory("hugetlb"), page_name(size)
    if directory is None:
        return None, {}
    if group.keys.is_old("hugetlb"):
        used = files.read_if_there(f"{directory}/hugetlb.{name}.usage_in_bytes")
        refused = files.read_if_there(f"{directory}/hugetlb.{name}.failcnt")
        return _number(used), {} if refused is None else {"max": int(refused)}
    used = files.read_if_there(f"{directory}/hugetlb.{name}.current")
    return _number(used), files.flat_keyed(files.read_if_there(f"{directory}/hugetlb.{name}.events") or "")


def misc_use(group: "Cgroup") -> tuple[Mapping[str, int], Counts]:
    """Return how much a group holds of each resource of the misc controller, and its events, as `NAME.max`."""
    directory = group.directory("misc")
    if directory is None:
        return {}, {}
    current = files.flat_keyed(files.read_if_there(f"{directory}/misc.current") or "")
    return current, files.flat_keyed(files.read_if_there(f"{directory}/misc.events") or "")


def zswap_use(group: "Cgroup") -> int | None:
    """Return the bytes of compressed memory that a group's swapped pages take, None where nobody counts that."""
    directory = group.directory("memory")
    return None if directory is None else _number(files.read_if_there(f"{directory}/memory.zswap.current"))


def groups_below(group: "Cgroup") -> tuple[int | None, int | None]:
    """Return how many groups there are below a group, and how many there may be; None without a v2 hierarchy."""
    if group.scope is None:
        return None, None
    stat = files.flat_keyed(files.read_if_there(f"{group.scope}/cgroup.stat") or "")
    most = files.read_if_there(f"{group.scope}/cgroup.max.descendants")
    return stat.get("nr_descendants"), None if most is None else files.number(most)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
