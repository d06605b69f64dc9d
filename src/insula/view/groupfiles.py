"""Readings of a guest's control groups, whichever hierarchies they are in, for its machine view.

Each file is opened anew: a descriptor for each would be thousands on a host with many guests. A group, or a controller,
that is not there reads as nothing used and nothing limited.
"""

import os
from collections.abc import Mapping

from insula.kernel.cgroups import files
from insula.kernel.cgroups.group import Cgroup
from insula.kernel.cgroups.stats import DeviceUse
from insula.view.memorymodel import MemoryReading, v1_reading
from insula.view.processorlists import Processors, listed
from insula.view.processortimes import GroupTimes
from insula.view.viewedfiles import ViewedGuest

_EVERYWHERE = ("cpuacct", "pids", "freezer", "cpu", "memory")
"""Controllers in whose v1 groups all of a guest's tasks are."""
RESOURCES = ("cpu", "io", "memory")
"""What pressure is accounted for."""


class GroupFiles:
    """The control files of one guest."""

    def __init__(self, guest: ViewedGuest) -> None:
        hierarchies = guest.hierarchies
        self._group = Cgroup(hierarchies, guest.group)
        names = ("memory", "cpu", "cpuacct", "cpuset", "blkio", "pids", "freezer")
        self._v1 = {
            name: f"{mount}/{guest.group}" for name in names if (mount := hierarchies.v1_mount(name)) is not None
        }
        self.v2 = self._group.scope
        """The v2 group with the limits, None on hosts without any."""
        self.v1_with_tasks = next((self._v1[name] for name in _EVERYWHERE if name in self._v1), None)
        """A v1 group that all tasks are in themselves, None on hosts of v2."""

    def memory(self) -> MemoryReading:
        """Return what memory it has and uses."""
        directory = self._v1.get("memory")
        if directory is not None:
            stat = files.flat_keyed(_text(f"{directory}/memory.stat"))
            usage = _number(f"{directory}/memory.usage_in_bytes", 0)
            return v1_reading(stat, usage, _number(f"{directory}/memory.kmem.usage_in_bytes", 0))
        if self.v2 is None:
            return MemoryReading(limit=None, usage=0, kinds={})
        kinds = files.flat_keyed(_text(f"{self.v2}/memory.stat"))
        swap_limit = _text(f"{self.v2}/memory.swap.max")
        return MemoryReading(
            limit=_limit(f"{self.v2}/memory.max"),
            usage=_number(f"{self.v2}/memory.current", 0),
            swap_limit=files.number(swap_limit) if swap_limit else 0,
            swap=_number(f"{self.v2}/memory.swap.current", 0) if swap_limit not in ("", "0") else 0,
            kinds=kinds,
        )

    def oom_kills(self) -> int:
        """Return how many of its processes were killed for want of memory."""
        directory = self._v1.get("memory")
        if directory is not None:
            return files.flat_keyed(_text(f"{directory}/memory.oom_control")).get("oom_kill", 0)
        return 0 if self.v2 is None else files.flat_keyed(_text(f"{self.v2}/memory.events")).get("oom_kill", 0)

    def processors(self) -> Processors:
        """Return the processors that it may run on; none where nothing says so."""
        directory = self._v1.get("cpuset")
        if directory is not None:
            return listed(_text(f"{directory}/cpuset.effective_cpus") or _text(f"{directory}/cpuset.cpus"))
        return () if self.v2 is None else listed(_text(f"{self.v2}/cpuset.cpus.effective"))

    def memory_nodes(self) -> Processors:
        """Return the memory nodes that it may use; none where nothing says so."""
        directory = self._v1.get("cpuset")
        if directory is not None:
            return listed(_text(f"{directory}/cpuset.effective_mems") or _text(f"{directory}/cpuset.mems"))
        return () if self.v2 is None else listed(_text(f"{self.v2}/cpuset.mems.effective"))

    def times(self) -> GroupTimes:
        """Return how long it has worked."""
        stolen = 0
        if "cpu" in self._v1:
            stolen = files.flat_keyed(_text(f"{self._v1['cpu']}/cpu.stat")).get("throttled_time", 0)
        directory = self._v1.get("cpuacct")
        if directory is not None:
            ticks = _text(f"{directory}/cpuacct.usage_all")
            each = _each_processor(ticks, _text(f"{directory}/cpuacct.usage_percpu"))
            user, system = (sum(times[index] for times in each.values()) for index in range(2))
            return GroupTimes(user=user, system=system, stolen=stolen, each=each)
        if self.v2 is None:
            return GroupTimes(user=0, system=0, stolen=stolen, each={})
        stat = files.flat_keyed(_text(f"{self.v2}/cpu.stat"))
        if "cpu" not in self._v1:
            # The quota is repeated in the group that the guest sees: who meets it there does not meet it above.
            stolen = stat.get("throttled_usec", 0) * 1000
            if "nr_periods" in stat:
                below = files.flat_keyed(_text(f"{self._group.payload}/cpu.stat"))
                stolen += below.get("throttled_usec", 0) * 1000
        return GroupTimes(
            user=stat.get("user_usec", 0) * 1000, system=stat.get("system_usec", 0) * 1000, stolen=stolen, each={}
        )

    def stalled(self) -> int | None:
        """Return for how many microseconds some task has waited for devices or memory; None if nobody counts."""
        if self.v2 is None:
            return None
        totals = [_text(f"{self.v2}/{name}.pressure").partition("total=")[2] for name in ("io", "memory")]
        return sum(int(each.split()[0]) for each in totals) if all(totals) else None

    def tasks(self) -> int:
        """Return how many threads it has, at least 1."""
        directory = self._v1.get("pids", self.v2)
        return max(1, _number(f"{directory}/pids.current", 1))

    def devices(self) -> tuple[DeviceUse, ...]:
        """Return its traffic with block devices."""
        if "blkio" not in self._v1 and self.v2 is None:
            return ()
        try:
            return self._group.io.use()
        except OSError:
            return ()  # the controller is not there, or the group is gone

    def pressure(self, resource: str) -> bytes | None:
        """Return one of `RESOURCES` as /proc/pressure has it; None where it is not accounted for groups."""
        if self.v2 is None:
            return None
        text = _text(f"{self.v2}/{resource}.pressure")
        return f"{text}\n".encode() if text else None


def _text(path: str) -> str:
    """Return what a control file says, without its last newline; nothing for one that is not there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, 1 << 16).decode("ascii", "replace").rstrip("\n")
    except OSError:
        return ""
    finally:
        os.close(fd)


def _number(path: str, default: int) -> int:
    text = _text(path)
    return int(text) if text.isdigit() else default


def _limit(path: str) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _each_processor(ticks: str, worked: str) -> Mapping[int, tuple[int, int, int]]:
    """Return what `cpuacct.usage_all` says, a line `number user system` for each processor, and what
    `cpuacct.usage_percpu` says, a number for each; nanoseconds."""
    lines = (line.split() for line in ticks.splitlines()[1:])
    exact = dict(enumerate(map(int, worked.split())))
    return {int(number): (int(user), int(system), exact.get(int(number), 0)) for number, user, system in lines}
