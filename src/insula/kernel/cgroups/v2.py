"""The controllers in a v2 hierarchy. Source: kernel document `admin-guide/cgroup-v2`."""

import errno
import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass

from insula.kernel.cgroups import files, shrinking, unfinished
from insula.kernel.cgroups.heldlimits import (
    MAXIMUM_BFQ_WEIGHT,
    MAXIMUM_WEIGHT,
    UNLIMITED,
    BlockLimit,
    limited,
    shares_of,
    swap_of,
    weigh_device,
    weight_of,
)
from insula.kernel.cgroups.idlememory import IdleMemory
from insula.kernel.cgroups.stats import CpuUse, DeviceUse, MemoryUse, Pressure, Stall, TaskUse


@dataclass(frozen=True, slots=True)
class _V2Group:
    directory: str

    def _path(self, name: str) -> str:
        return f"{self.directory}/{name}"

    def _read(self, name: str) -> str:
        return files.read(self._path(name))

    def _number(self, name: str) -> int | None:
        return files.number(self._read(name))

    def _write(self, name: str, value: int | str) -> None:
        files.write(self._path(name), str(value))


def _v2_bytes(value: int | None) -> int | str:
    return "max" if value is None or limited(value) is None else value


class V2Memory(_V2Group):
    __slots__ = ()

    def limit(self, memory: int | None = None, memory_and_swap: int | None = None) -> None:
        """Set memory.max, and memory.swap.max so that the sum of both is memory_and_swap.

        A sum once set is kept; but one without any swap goes with the memory.
        """
        old_memory, old_swap = self._number("memory.max"), self._swap_limit()
        new_memory = old_memory if memory is None else limited(memory)
        if memory_and_swap is not None:
            total = limited(memory_and_swap)
        elif old_swap == 0:
            total = new_memory
        else:
            total = None if old_memory is None or old_swap is None else old_memory + old_swap
        try:
            new_swap = swap_of(new_memory, total)
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error), self._path("memory.swap.max")) from None
        if memory_and_swap is not None and not files.exists(self._path("memory.swap.max")):
            raise OSError(errno.EOPNOTSUPP, "this kernel does not account swap", self._path("memory.swap.max"))
        with unfinished.noted(self.directory, "memory.max", "memory.swap.max", "memory.high"):
            if new_swap != old_swap:
                self._write("memory.swap.max", _v2_bytes(new_swap))
            if memory is not None:
                try:
                    self._limit_memory(old_memory, new_memory)
                except OSError:
                    if new_swap != old_swap:
                        self._write("memory.swap.max", _v2_bytes(old_swap))
                    raise

    @property
    def has_unfinished(self) -> bool:
        return unfinished.is_noted(self.directory)

    def undo_unfinished(self) -> bool:
        return unfinished.undo(self.directory)

    def _limit_memory(self, old: int | None, new: int | None) -> None:
        if new is not None and (old is None or new < old):
            shrinking.lower(self.directory, new)
        else:
            self._write("memory.max", _v2_bytes(new))

    def _swap_limit(self) -> int | None:
        text = files.read_if_there(self._path("memory.swap.max"))
        return None if text is None else files.number(text)

    def shrinking(self, memory: int) -> shrinking.Shrinking:
        return shrinking.V2Shrinking(self.directory, memory)

    def limit_softly(self, memory: int) -> None:
        self._write("memory.high", _v2_bytes(memory))

    def guarantee(self, memory: int) -> None:
        self._write("memory.min", _v2_bytes(memory))

    @property
    def idle(self) -> IdleMemory | None:
        memory = IdleMemory(self.directory)
        return memory if memory.is_possible else None

    def held(self) -> tuple[int | None, int | None, int | None, int | None]:
        memory, swap = self._number("memory.max"), self._swap_limit()
        total = None if memory is None or swap is None else memory + swap
        return memory, self._number("memory.high"), self._number("memory.min") or None, total

    def use(self, *, summary: bool = False) -> MemoryUse:
        stat = files.flat_keyed(self._read("memory.stat"))
        peak = None if summary else files.read_if_there(self._path("memory.peak"))
        swap = None if summary else files.read_if_there(self._path("memory.swap.current"))
        return MemoryUse(
            usage=int(self._read("memory.current")),
            peak=None if peak is None else int(peak),
            limit=self._number("memory.max"),
            swap=None if swap is None else int(swap),
            anonymous=stat["anon"],
            cache=stat["file"],
            inactive_cache=stat["inactive_file"],
            shared=stat["shmem"],
            unevictable=stat["unevictable"],
            kernel=_kernel(stat),
            page_faults=stat["pgfault"],
            major_faults=stat["pgmajfault"],
            swapped_in=_bytes_of(stat.get("pswpin")),
            swapped_out=_bytes_of(stat.get("pswpout")),
        )

    def oom_kills(self) -> int:
        return files.flat_keyed(self._read("memory.events")).get("oom_kill", 0)


def _kernel(stat: dict[str, int]) -> int:
    """All of it has a line of its own since Linux 5.18."""
    parts = ("slab", "kernel_stack", "pagetables", "percpu")
    return stat.get("kernel", sum(stat.get(part, 0) for part in parts))


def _bytes_of(pages: int | None) -> int | None:
    return None if pages is None else pages * os.sysconf("SC_PAGE_SIZE")


class V2Cpu(_V2Group):
    __slots__ = ()

    def weigh(self, shares: int) -> None:
        self._write("cpu.weight", weight_of(shares))

    def limit(self, quota: int | None, period: int | None = None) -> None:
        held_quota, held_period = self._max()
        quota = held_quota if quota is None else None if quota < 0 else quota
        self._write("cpu.max", f"{'max' if quota is None else quota} {period or held_period}")

    def held(self) -> tuple[int, int | None, int]:
        return shares_of(int(self._read("cpu.weight"))), *self._max()

    def _max(self) -> tuple[int | None, int]:
        quota, period = self._read("cpu.max").split()
        return files.number(quota), int(period)

    def throttling(self) -> tuple[int, int, int]:
        stat = files.flat_keyed(self._read("cpu.stat"))
        return stat.get("nr_periods", 0), stat.get("nr_throttled", 0), stat.get("throttled_usec", 0) * 1000

    def waited(self) -> int | None:
        return None


class V2CpuTime(_V2Group):
    """Consumed time: every v2 group accounts it, with or without the cpu controller."""

    __slots__ = ()

    def use(self, *, summary: bool = False) -> CpuUse:
        stat = files.flat_keyed(self._read("cpu.stat"))
        return CpuUse(
            total=stat["usage_usec"] * 1000,
            user=stat["user_usec"] * 1000,
            system=stat["system_usec"] * 1000,
        )


class V2CpuSet(_V2Group):
    __slots__ = ()

    def pin_cpus(self, cpus: str) -> None:
        self._write("cpuset.cpus", cpus or "\n")

    def pin_memory_nodes(self, nodes: str) -> None:
        self._write("cpuset.mems", nodes or "\n")

    def held(self) -> tuple[str, str]:
        return self._read("cpuset.cpus.effective"), self._read("cpuset.mems.effective")


_IO_MAX = {"read_bytes": "rbps", "write_bytes": "wbps", "read_operations": "riops", "write_operations": "wiops"}
_IO_STAT = {"read_bytes": "rbytes", "write_bytes": "wbytes", "read_operations": "rios", "write_operations": "wios"}
_WEIGHTS = {"io.weight": MAXIMUM_WEIGHT, "io.bfq.weight": MAXIMUM_BFQ_WEIGHT}
"""Which of both has an effect is up to the device's scheduler (iocost or BFQ), so both are written."""


class V2Io(_V2Group):
    __slots__ = ()

    def weigh(self, weight: int) -> None:
        self._weigh(lambda most: f"default {min(weight, most)}")

    def limit(self, device: BlockLimit) -> None:
        def weigh(weight: int) -> None:
            self._weigh(lambda most: f"{device.number} {min(weight, most) or 'default'}")

        weigh_device(device.weight, weigh)
        wishes = {key: getattr(device, field) for field, key in _IO_MAX.items()}
        words = [f"{key}={value or 'max'}" for key, value in wishes.items() if value is not None]
        if words:
            self._write("io.max", " ".join([device.number, *words]))
        if device.latency is not None and (device.latency or files.exists(self._path("io.latency"))):
            self._write("io.latency", f"{device.number} target={device.latency or 'max'}")

    def _weigh(self, line: Callable[[int], str]) -> None:
        """Write a weight to each file there is; one that accepts it is enough.

        line: makes the text, given the file's largest weight. Raises: OSError of the last refusal if none accepts.
        """
        refusals = [OSError(errno.EOPNOTSUPP, "this kernel has no io weights", self.directory)]
        accepted = False
        for name, most in _WEIGHTS.items():
            if files.exists(self._path(name)):
                try:
                    self._write(name, line(most))
                    accepted = True
                except OSError as error:
                    refusals.append(error)
        if not accepted:
            raise refusals[-1]

    def held(self) -> tuple[int | None, tuple[BlockLimit, ...]]:
        devices: dict[str, dict[str, int]] = {}
        weight: int | None = None
        for name in ("io.bfq.weight", "io.weight"):
            for line in (files.read_if_there(self._path(name)) or "").splitlines():
                number, _, value = line.rpartition(" ")
                if ":" in number:
                    devices.setdefault(number, {})["weight"] = int(value)
                else:
                    weight = int(value)
        for number, values in files.nested_keyed(self._read("io.max")).items():
            held = {field: values.get(key, "max") for field, key in _IO_MAX.items()}
            devices.setdefault(number, {}).update({field: int(each) for field, each in held.items() if each != "max"})
        for number, values in files.nested_keyed(files.read_if_there(self._path("io.latency")) or "").items():
            devices.setdefault(number, {})["latency"] = int(values["target"])
        return weight, tuple(map(_device_limit, devices.items()))

    def use(self) -> tuple[DeviceUse, ...]:
        lines = files.nested_keyed(self._read("io.stat")).items()
        return tuple(_device_use(number, values) for number, values in lines)


def _device_limit(entry: tuple[str, dict[str, int]]) -> BlockLimit:
    major, _, minor = entry[0].partition(":")
    return BlockLimit(major=int(major), minor=int(minor), **entry[1])


def _device_use(number: str, values: dict[str, str]) -> DeviceUse:
    major, _, minor = number.partition(":")
    counts = {field: int(values.get(key, 0)) for field, key in _IO_STAT.items()}
    return DeviceUse(major=int(major), minor=int(minor), **counts)


class V2Pids(_V2Group):
    __slots__ = ()

    def limit(self, tasks: int) -> None:
        self._write("pids.max", "max" if tasks >= UNLIMITED else tasks)

    def use(self) -> TaskUse:
        events = files.flat_keyed(files.read_if_there(self._path("pids.events")) or "")
        return TaskUse(
            current=int(self._read("pids.current")), limit=self._number("pids.max"), refused=events.get("max", 0)
        )


class V2Freezer(_V2Group):
    __slots__ = ()

    def freeze(self, seconds: float) -> None:
        self._write("cgroup.freeze", 1)
        if not self._await_frozen(seconds):
            self.thaw()
            raise OSError(errno.ETIMEDOUT, "a task did not stop to be frozen; all are thawed again", self.directory)

    def _await_frozen(self, seconds: float) -> bool:
        """Wait until the kernel reports the group frozen: cgroup.events wakes pollers at each change."""
        deadline = time.monotonic() + seconds
        fd = os.open(self._path("cgroup.events"), os.O_RDONLY | os.O_CLOEXEC)
        try:
            poller = select.poll()
            poller.register(fd, select.POLLPRI)
            while files.flat_keyed(os.pread(fd, 4096, 0).decode())["frozen"] == 0:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                poller.poll(left * 1000)
            return True
        finally:
            os.close(fd)

    def thaw(self) -> None:
        self._write("cgroup.freeze", 0)

    def frozen(self) -> bool:
        if self._read("cgroup.freeze") == "1":
            return True  # whatever has just joined it, or is about to stand still
        return files.flat_keyed(self._read("cgroup.events"))["frozen"] == 1


class Stalls(_V2Group):
    """Pressure stall information, where the kernel keeps it for groups."""

    __slots__ = ()

    def of(self, resource: str) -> Pressure | None:
        """Return the pressure on `cpu`, `memory` or `io`, None where it is not accounted."""
        text = files.read_if_there(self._path(f"{resource}.pressure"))
        if not text:
            return None
        lines = files.nested_keyed(text)
        return Pressure(some=_stall(lines["some"]), full=_stall(lines.get("full", {})))


def _stall(values: dict[str, str]) -> Stall:
    averages = {name: float(values.get(name, 0)) for name in ("avg10", "avg60", "avg300")}
    return Stall(**averages, total=int(values.get("total", 0)))


def promised_below(directory: str) -> int:
    """Return the sum of what the groups right below one are guaranteed."""
    with os.scandir(directory) as entries:
        children = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    promises = [files.read_if_there(f"{child}/memory.min") for child in children]
    return min(UNLIMITED, sum(files.number(each) or UNLIMITED for each in promises if each not in (None, "0")))
