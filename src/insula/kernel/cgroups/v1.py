"""The controllers in v1 hierarchies. Source: kernel documents below `admin-guide/cgroup-v1`."""

import contextlib
import errno
import os
import time
from dataclasses import dataclass

from insula.kernel.cgroups import files, shrinking, unfinished
from insula.kernel.cgroups.heldlimits import MAXIMUM_BFQ_WEIGHT, UNLIMITED, BlockLimit, busy, limited, weigh_device
from insula.kernel.cgroups.stats import CpuUse, DeviceUse, MemoryUse, TaskUse


@dataclass(frozen=True, slots=True)
class _V1Group:
    directory: str

    def _read(self, name: str) -> str:
        return files.read(f"{self.directory}/{name}")

    def _number(self, name: str) -> int:
        return int(self._read(name))

    def _write(self, name: str, value: int | str) -> None:
        files.write(f"{self.directory}/{name}", str(value))

    def _has(self, name: str) -> bool:
        return files.exists(f"{self.directory}/{name}")


_MARGIN = 16
"""While a limit is being lowered, programs may take one in so many bytes more."""
_LIMIT = "memory.limit_in_bytes"
_WITH_SWAP = "memory.memsw.limit_in_bytes"
_SOCKETS = "memory.kmem.tcp.limit_in_bytes"
_SHARE_OF_SOCKETS = 8
"""What waits in a guest's sockets may be one in so many bytes of its memory, as `tcp_mem` has it for a host."""
_LEAST_FOR_SOCKETS = 16 << 20
"""Bytes; enough for some dozens of connections at full speed."""


class V1Memory(_V1Group):
    __slots__ = ()

    def limit(self, memory: int | None = None, memory_and_swap: int | None = None) -> None:
        """Set one or both. A sum that is as large as the memory stays so when the memory alone is changed.

        Data in TCP and UDP sockets, which v1 counts apart and only where it has a limit, gets a share of the memory.
        """
        memory, memory_and_swap = _v1_bytes(memory), _v1_bytes(memory_and_swap)
        self.limit_with_swap(memory, memory_and_swap)
        if memory is not None and self._has(_SOCKETS):
            try:
                self._write(_SOCKETS, -1 if memory == -1 else max(memory // _SHARE_OF_SOCKETS, _LEAST_FOR_SOCKETS))
            except OSError as error:
                # More than that waits in sockets now: the limit that was stays.
                if error.errno != errno.EBUSY:
                    raise

    @property
    def has_unfinished(self) -> bool:
        """Whether limits were being lowered step by step; one that is set at once is set in one write, or in two."""
        return unfinished.is_noted(self.directory)

    def undo_unfinished(self) -> bool:
        return unfinished.undo(self.directory)

    def limit_with_swap(self, memory: int | None, memory_and_swap: int | None = None) -> None:
        """Do what `limit` does, but leave the data in sockets; -1 is no limit."""
        if memory_and_swap is None and memory is not None and self._counts_swap_with_memory():
            memory_and_swap = memory
        if memory_and_swap is None:
            if memory is not None:
                self._limit_alone(memory)
            return
        if not self._has(_WITH_SWAP):
            raise OSError(errno.EOPNOTSUPP, "this kernel does not account swap", f"{self.directory}/{_WITH_SWAP}")
        if memory is None:
            self._write(_WITH_SWAP, memory_and_swap)
            return
        # The kernel insists on memory <= memory and swap after each write: a rising sum goes first, a falling one last.
        writes = [(_LIMIT, memory), (_WITH_SWAP, memory_and_swap)]
        before = self._number(_LIMIT)
        if memory_and_swap == -1 or memory_and_swap > before:
            writes.reverse()
            before = self._number(_WITH_SWAP)
        first, _ = writes[0]
        self._limit(*writes[0])
        try:
            self._limit(*writes[1])
        except OSError:
            self._write(first, before)
            raise

    def _counts_swap_with_memory(self) -> bool:
        if not self._has(_WITH_SWAP):
            return False
        held = self._number(_LIMIT)
        return limited(held) is not None and held == self._number(_WITH_SWAP)

    def _limit_alone(self, memory: int) -> None:
        try:
            self._limit(_LIMIT, memory)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            text = "memory would be above what memory with swap may be: raise that too"
            raise OSError(errno.EINVAL, text, error.filename) from None

    def _limit(self, name: str, value: int) -> None:
        try:
            self._write(name, value)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            used = self._number(name.replace("limit", "usage"))
            raise busy(f"{self.directory}/{name}", value, used) from None

    def shrinking(self, memory: int) -> shrinking.Shrinking:
        return V1Shrinking(self, memory)

    def limit_softly(self, memory: int) -> None:
        self._write("memory.soft_limit_in_bytes", -1 if limited(memory) is None else memory)

    def guarantee(self, memory: int) -> None:
        if not memory:
            return  # none is what it has: so what was refused can be taken back
        raise OSError(errno.EOPNOTSUPP, "v1 memory groups cannot guarantee memory", self.directory)

    @property
    def idle(self) -> None:
        return None

    def held(self) -> tuple[int | None, int | None, int | None, int | None]:
        soft, with_swap = limited(self._number("memory.soft_limit_in_bytes")), None
        if self._has(_WITH_SWAP):
            with_swap = limited(self._number(_WITH_SWAP))
        return limited(self._number(_LIMIT)), soft, None, with_swap

    def use(self, *, summary: bool = False) -> MemoryUse:
        stat = files.flat_keyed(self._read("memory.stat"))
        return MemoryUse(
            usage=self._number("memory.usage_in_bytes"),
            peak=None if summary else self._number("memory.max_usage_in_bytes"),
            limit=limited(stat["hierarchical_memory_limit"]),
            swap=stat.get("total_swap"),
            anonymous=stat["total_rss"],
            cache=stat["total_cache"],
            inactive_cache=stat["total_inactive_file"],
            shared=stat["total_shmem"],
            unevictable=stat["total_unevictable"],
            kernel=0 if summary else int(files.read_if_there(f"{self.directory}/memory.kmem.usage_in_bytes") or 0),
            page_faults=stat["total_pgfault"],
            major_faults=stat["total_pgmajfault"],
        )

    def oom_kills(self) -> int:
        return files.flat_keyed(self._read("memory.oom_control")).get("oom_kill", 0)


class V1Shrinking:
    """Memory of a v1 group that is being freed for a lower limit_in_bytes, which is lowered step by step.

    The kernel frees memory within the write, and refuses what it cannot free; programs are killed only where they take
    more than the limit. So they are left a margin above each step, and the last, which is as low as was asked for, is
    the caller's. The soft limit does nothing here: the kernel minds it only while the whole host is short of memory.
    """

    def __init__(self, memory: V1Memory, limit: int) -> None:
        self._memory = memory
        self._limit = limit
        self._before, _, _, self._before_with_swap = memory.held()
        self._note = contextlib.ExitStack()
        """Of what was, once anything is lowered."""
        self._lowered = False

    def shrink(self, course: shrinking.Course) -> None:
        shrinking.shrink(self, self._limit, self._limit, course, f"{self._memory.directory}/{_LIMIT}")

    def used(self) -> int:
        return int(files.read(f"{self._memory.directory}/memory.usage_in_bytes"))

    def squeeze(self, size: int) -> None:
        if not self._lowered:
            # In the order in which limits can be raised.
            self._note.enter_context(unfinished.noted(self._memory.directory, _WITH_SWAP, _LIMIT))
            self._lowered = True
        margin = size + size // _MARGIN
        for limit in (size, margin if self._before is None else min(margin, self._before)):
            try:
                self._memory.limit_with_swap(limit)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise

    def come_back(self) -> int:
        return shrinking.refaulted(self._memory.directory, "total_")

    def end(self, *, limited: bool) -> None:
        with self._note:
            if self._lowered and not limited:
                swap_counts = files.exists(f"{self._memory.directory}/{_WITH_SWAP}")
                self._memory.limit_with_swap(
                    _raised(self._before), _raised(self._before_with_swap) if swap_counts else None
                )


def _raised(limit: int | None) -> int:
    return -1 if limit is None else limit


def _v1_bytes(value: int | None) -> int | None:
    return value if value is None or limited(value) is not None else -1


class V1Cpu(_V1Group):
    __slots__ = ()

    def weigh(self, shares: int) -> None:
        self._write("cpu.shares", shares)

    def limit(self, quota: int | None, period: int | None = None) -> None:
        if period is None:
            if quota is not None:
                self._write("cpu.cfs_quota_us", quota)
            return
        # A longer period first, a shorter one last: so the share of time never rises above both the old and the new
        # one in between, which a parent's quota may refuse.
        if period >= self._number("cpu.cfs_period_us"):
            self._write("cpu.cfs_period_us", period)
            if quota is not None:
                self._write("cpu.cfs_quota_us", quota)
        else:
            if quota is not None:
                self._write("cpu.cfs_quota_us", quota)
            self._write("cpu.cfs_period_us", period)

    def held(self) -> tuple[int, int | None, int]:
        quota = self._number("cpu.cfs_quota_us")
        return self._number("cpu.shares"), None if quota < 0 else quota, self._number("cpu.cfs_period_us")

    def throttling(self) -> tuple[int, int, int]:
        stat = files.flat_keyed(self._read("cpu.stat"))
        return stat.get("nr_periods", 0), stat.get("nr_throttled", 0), stat.get("throttled_time", 0)

    def waited(self) -> int | None:
        return files.flat_keyed(self._read("cpu.stat")).get("wait_sum")


_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""Nanoseconds of one unit of cpuacct.stat."""


class V1CpuTime(_V1Group):
    __slots__ = ()

    def use(self, *, summary: bool = False) -> CpuUse:
        # Not usage_user and usage_sys: they count whole timer ticks, and their sum strays from the total. The kernel
        # makes those of cpuacct.stat fit it.
        stat = files.flat_keyed(self._read("cpuacct.stat"))
        each = "" if summary else self._read("cpuacct.usage_percpu")
        return CpuUse(
            total=self._number("cpuacct.usage"),
            user=stat["user"] * _TICK,
            system=stat["system"] * _TICK,
            per_cpu=tuple(map(int, each.split())),
        )


_SETS = ("cpuset.cpus", "cpuset.mems")


class V1CpuSet(_V1Group):
    __slots__ = ()

    def inherit(self) -> None:
        """Fill in what is empty from the parent: a v1 set without CPUs and nodes takes no task (ENOSPC)."""
        for name in _SETS:
            if not self._read(name):
                self._write(name, files.read(f"{os.path.dirname(self.directory)}/{name}"))

    def hand_down(self) -> None:
        """Have groups made below this one begin with its CPUs and nodes."""
        self._write("cgroup.clone_children", 1)

    @property
    def usable(self) -> bool:
        """Whether the set takes tasks."""
        return all(self._read(name) for name in _SETS)

    def widen(self) -> None:
        """Take all CPUs that the group above has, unless it has them already."""
        above = files.read(f"{os.path.dirname(self.directory)}/cpuset.cpus")
        if self._read("cpuset.cpus") != above:
            self._write("cpuset.cpus", above)

    def pin_cpus(self, cpus: str) -> None:
        self._write("cpuset.cpus", cpus or files.read(f"{os.path.dirname(self.directory)}/cpuset.cpus"))

    def pin_memory_nodes(self, nodes: str) -> None:
        self._write("cpuset.memory_migrate", 1)
        self._write("cpuset.mems", nodes or files.read(f"{os.path.dirname(self.directory)}/cpuset.mems"))

    def held(self) -> tuple[str, str]:
        return self._read("cpuset.effective_cpus"), self._read("cpuset.effective_mems")


_THROTTLES = {
    "read_bytes": "blkio.throttle.read_bps_device",
    "write_bytes": "blkio.throttle.write_bps_device",
    "read_operations": "blkio.throttle.read_iops_device",
    "write_operations": "blkio.throttle.write_iops_device",
}
_WEIGHT = "blkio.bfq.weight"
_DEVICE_WEIGHT = "blkio.bfq.weight_device"


class V1Io(_V1Group):
    __slots__ = ()

    def weigh(self, weight: int) -> None:
        self._write(_WEIGHT, min(weight, MAXIMUM_BFQ_WEIGHT))

    def limit(self, device: BlockLimit) -> None:
        if device.latency:
            raise OSError(errno.EOPNOTSUPP, "cgroup v1 has no latencies of block devices", self.directory)
        most = MAXIMUM_BFQ_WEIGHT
        weigh_device(device.weight, lambda weight: self._write(_DEVICE_WEIGHT, f"{device.number} {min(weight, most)}"))
        for field, name in _THROTTLES.items():
            if (value := getattr(device, field)) is not None:
                self._write(name, f"{device.number} {value}")

    def held(self) -> tuple[int | None, tuple[BlockLimit, ...]]:
        devices: dict[str, dict[str, int]] = {}
        for field, name in ({"weight": _DEVICE_WEIGHT} | _THROTTLES).items():
            for line in (files.read_if_there(f"{self.directory}/{name}") or "").splitlines():
                number, _, value = line.partition(" ")
                if ":" in number:
                    devices.setdefault(number, {})[field] = int(value)
        weight = files.read_if_there(f"{self.directory}/{_WEIGHT}")
        return None if weight is None else int(weight.split()[-1]), tuple(map(_device_limit, devices.items()))

    def use(self) -> tuple[DeviceUse, ...]:
        found: dict[str, dict[str, int]] = {}
        for name, suffix in (("io_service_bytes", "bytes"), ("io_serviced", "operations")):
            for line in self._read(f"blkio.throttle.{name}_recursive").splitlines():
                words = line.split()
                if len(words) == 3 and words[1] in {"Read", "Write"}:
                    found.setdefault(words[0], {})[f"{words[1].lower()}_{suffix}"] = int(words[2])
        return tuple(
            DeviceUse(major=int(number.partition(":")[0]), minor=int(number.partition(":")[2]), **values)
            for number, values in found.items()
        )


def _device_limit(entry: tuple[str, dict[str, int]]) -> BlockLimit:
    major, _, minor = entry[0].partition(":")
    return BlockLimit(major=int(major), minor=int(minor), **entry[1])


class V1Pids(_V1Group):
    __slots__ = ()

    def limit(self, tasks: int) -> None:
        self._write("pids.max", "max" if tasks >= UNLIMITED else tasks)

    def use(self) -> TaskUse:
        events = files.flat_keyed(files.read_if_there(f"{self.directory}/pids.events") or "")
        return TaskUse(
            current=self._number("pids.current"),
            limit=files.number(self._read("pids.max")),
            refused=events.get("max", 0),
        )


_PAUSE = 0.001


class V1Freezer(_V1Group):
    """The v1 freezer: it cannot be waited for, and a killed task dies only once thawed."""

    __slots__ = ()

    def freeze(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self._write("freezer.state", "FROZEN")
        while self._read("freezer.state") != "FROZEN":
            if time.monotonic() > deadline:
                self.thaw()
                raise OSError(errno.ETIMEDOUT, "a task did not stop to be frozen; all are thawed again", self.directory)
            time.sleep(_PAUSE)
            # New tasks may have come meanwhile: asking again includes them.
            self._write("freezer.state", "FROZEN")

    def thaw(self) -> None:
        self._write("freezer.state", "THAWED")

    def frozen(self) -> bool:
        # A task that joins a frozen group has it FREEZING for a moment.
        return self._read("freezer.state") != "THAWED"
