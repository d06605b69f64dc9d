"""The files of one guest's view, all made from one model of its machine: what it is given, and what it uses.

Each reading of a file is a reading of the guest's control groups, so that limits that change are told at once.
"""

import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from insula.kernel.taskstats import CgroupStats
from insula.view import blockfiles, memoryfiles, processorfiles
from insula.view.activetasks import ActiveTasks, TaskCount
from insula.view.consumedlog import ConsumedLog
from insula.view.groupfiles import RESOURCES, GroupFiles
from insula.view.guestlog import GuestLog
from insula.view.hardwaretree import HardwareTree
from insula.view.hostmachine import HostMachine
from insula.view.keptcells import KeptCells
from insula.view.loadaverages import LoadAverages
from insula.view.memoryfiles import MeminfoLayout
from insula.view.memorymodel import MachineMemory, machine_memory
from insula.view.processorfiles import SECOND
from insula.view.processorlists import Processors
from insula.view.processortimes import ProcessorTimes
from insula.view.viewedfiles import ViewedGuest, ViewedKind, ViewedStream, missing

_CPU: Final = "sys/devices/system/cpu"
_NODE: Final = "sys/devices/system/node"
_TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_COST = 500
"""A sample of its load is followed by so many times as long without one: it takes at most a 500th of a processor."""
_STEADY = SECOND // 10
"""Nanoseconds by which the moment of the boot may seem to move, as two clocks are read one after the other."""


class GuestMachine:
    """A guest's machine: its texts."""

    def __init__(
        self, guest: ViewedGuest, host: HostMachine, kept: KeptCells, stats: CgroupStats | None = None
    ) -> None:
        self.guest = guest
        self.host = host
        self._files = GroupFiles(guest)
        self._count = TaskCount(self._files, stats)
        self._times = ProcessorTimes(kept.times, host.possible)
        self.averages = LoadAverages(kept.loads)
        self._active = ActiveTasks(running=1, waiting=0)
        self._rests = 0
        self._born = guest.born * SECOND // _TICKS
        self._boot = 0
        self._cpuinfo: tuple[object, Processors, bytes] = (None, (), b"")

    # What it is made of

    def processors(self) -> Processors:
        """Return those that it may run on, by the host's numbers."""
        own = self._files.processors()
        online = self.host.online
        return tuple(each for each in own if each in online) or own or online

    def nodes(self) -> Processors:
        """Return its memory nodes."""
        return self._files.memory_nodes() or (0,)

    def memory(self) -> MachineMemory:
        """Return its memory now."""
        reading = self._files.memory()
        host = self.host.memory()
        if reading.limit is None or reading.limit >= host.total or (reading.swap_limit != 0 and host.swap_total):
            host = self.host.memory(now=True)
        return machine_memory(reading, host)

    def _since_boot(self) -> int:
        """Return its CLOCK_BOOTTIME in nanoseconds: the time since its start if it has clocks of its own."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) + self.guest.boottime * SECOND

    def _counted(self) -> tuple[ProcessorTimes, Processors]:
        processors = self.processors()
        elapsed = max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self._born)
        self._times.advance(elapsed, processors, self._files.times())
        return self._times, processors

    def _booted(self) -> int:
        """Return when it was booted, in seconds since the epoch, by its own clocks: what programs add to the start of
        a process, which /proc/PID/stat tells by the same clocks."""
        moment = time.time_ns() - self._since_boot()
        if abs(moment - self._boot) > _STEADY:
            self._boot = moment
        return self._boot // SECOND

    # Its load

    @property
    def sample_due(self) -> int:
        """When the next sample of its load is due, in nanoseconds since the host's boot: every five seconds, and later
        if the last one took long."""
        return max(self.averages.due, self._rests)

    def sample_load(self) -> None:
        """Take a sample of its load."""
        before = time.thread_time_ns()
        try:
            self._active = self._count.count()
        except OSError:
            self._active = ActiveTasks(running=0, waiting=0)  # the group is gone
        self.averages.running = self._active.running
        self.averages.sample(time.clock_gettime_ns(time.CLOCK_BOOTTIME), self._active.running + self._active.waiting)
        if self._active.newest:
            self.averages.saw_pid(inner_pid(self._active.newest))
        taken = time.thread_time_ns() - before
        self._rests = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + taken * SAMPLE_COST

    # Its texts

    def meminfo(self) -> bytes:
        return self.host.meminfo.text(self.memory())

    def swaps(self) -> bytes:
        return memoryfiles.swaps(self.memory())

    def vmstat(self) -> bytes:
        devices = self._files.devices()
        read, written = sum(each.read_bytes for each in devices), sum(each.write_bytes for each in devices)
        return self.host.vmstat.text(self.memory(), read=read, written=written, oom_kills=self._files.oom_kills())

    def cpuinfo(self) -> bytes:
        blocks, processors = self.host.cpuinfo, self.processors()
        if self._cpuinfo[0] is not blocks or self._cpuinfo[1] != processors:
            self._cpuinfo = (blocks, processors, processorfiles.cpuinfo(blocks, processors))
        return self._cpuinfo[2]

    def stat(self) -> bytes:
        times, processors = self._counted()
        return processorfiles.stat(
            times,
            processors,
            boot=self._booted(),
            forks=max(1, self.averages.last_pid),
            running=max(1, self._active.running),
            waiting=self._active.waiting,
            interrupts=0,
        )

    def uptime(self) -> bytes:
        return processorfiles.uptime(self._since_boot(), self._counted()[0])

    def loadavg(self) -> bytes:
        return processorfiles.loadavg(self.averages, self._files.tasks())

    def diskstats(self) -> bytes:
        return blockfiles.diskstats(self._files.devices(), self.host.block_name)

    def pressure(self, resource: str) -> bytes | None:
        return self._files.pressure(resource)

    def node_meminfo(self, node: int) -> bytes:
        """Return the meminfo of one of its nodes: its share of the guest's memory, by the nodes' sizes."""
        texts = {each: _text(f"{self.host.nodes}/node{each}/meminfo") for each in self.nodes()}
        sizes = {each: _node_size(text) for each, text in texts.items()}
        memory = self.memory()
        whole = sum(sizes.values()) or 1
        share = _share(memory, sizes.get(node, 0), whole)
        return MeminfoLayout(texts.get(node, ""), prefix=f"Node {node} ").text(share)


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


def _node_size(text: str) -> int:
    for line in text.splitlines():
        words = line.split()
        if len(words) > 3 and words[2] == "MemTotal:":
            return int(words[3])
    return 0


def _share(memory: MachineMemory, part: int, whole: int) -> MachineMemory:
    if part == whole:
        return memory
    total, used = memory.total * part // whole, memory.used * part // whole
    cached = memory.cached * part // whole
    return replace(
        memory,
        total=total,
        used=used,
        available=memory.available * part // whole,
        cached=cached,
        shared=memory.shared * part // whole,
        kinds={name: value * part // whole for name, value in memory.kinds.items()},
    )


def inner_pid(pid: int) -> int:
    """Return the number that a process has in the guest's PID namespace, 0 if it has ended, or is none of a guest's."""
    try:
        fd = os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        _, _, rest = os.read(fd, 4096).partition(b"\nNSpid:")
    except OSError:
        return 0
    finally:
        os.close(fd)
    words = rest.partition(b"\n")[0].split()
    # The second is the guest's; those behind it are of namespaces inside.
    return int(words[1]) if len(words) > 1 else 0


class MachineTree:
    """The files of one guest; a `ViewedTree`."""

    def __init__(
        self, machine: GuestMachine, kept: KeptCells, log: GuestLog, closed: "Callable[[MachineTree], None]"
    ) -> None:
        """closed: is called when it is closed."""
        self.machine, self.kept, self.log = machine, kept, log
        self._closed = closed
        self._streams: Mapping[str, ViewedStream] = {"dev/kmsg": log, "proc/kmsg": ConsumedLog(log.ring, kept)}
        self._cpus = HardwareTree(machine.host.cpus, machine.processors, machine.nodes)
        self._nodes = HardwareTree(machine.host.nodes, machine.processors, machine.nodes, machine.node_meminfo)
        self._texts: Mapping[str, Callable[[], bytes]] = {
            "proc/meminfo": machine.meminfo,
            "proc/cpuinfo": machine.cpuinfo,
            "proc/stat": machine.stat,
            "proc/uptime": machine.uptime,
            "proc/loadavg": machine.loadavg,
            "proc/swaps": machine.swaps,
            "proc/diskstats": machine.diskstats,
            "proc/vmstat": machine.vmstat,
        }

    def _hardware(self, path: str) -> tuple[HardwareTree, str] | None:
        for top, tree in ((_CPU, self._cpus), (_NODE, self._nodes)):
            if path == top or path.startswith(f"{top}/"):
                return tree, path[len(top) + 1 :]
        return None

    def kind(self, path: str) -> ViewedKind | None:
        if path in self._texts:
            return ViewedKind.FILE
        if path in _DIRECTORIES:
            return ViewedKind.DIRECTORY
        if path in self._streams:
            return ViewedKind.STREAM
        found = self._hardware(path)
        if found is not None:
            return found[0].kind(found[1])
        directory, _, name = path.rpartition("/")
        if directory == _PRESSURE and name in RESOURCES:
            return None if self.machine.pressure(name) is None else ViewedKind.FILE
        return None

    def names(self, path: str) -> Sequence[str]:
        if path in _DIRECTORIES:
            return [name for name in _DIRECTORIES[path] if self.kind(f"{path}/{name}".lstrip("/")) is not None]
        found = self._hardware(path)
        if found is None:
            raise missing(path)
        return found[0].names(found[1])

    def content(self, path: str) -> bytes:
        made = self._texts.get(path)
        if made is not None:
            return made()
        if path in self._streams:
            return self.log.text()
        found = self._hardware(path)
        if found is not None:
            return found[0].content(found[1])
        directory, _, name = path.rpartition("/")
        text = self.machine.pressure(name) if directory == _PRESSURE and name in RESOURCES else None
        if text is None:
            raise missing(path)
        return text

    def target(self, path: str) -> str:
        found = self._hardware(path)
        if found is None:
            raise OSError(errno.EINVAL, "not a link", path)
        return found[0].target(found[1])

    def stream(self, path: str) -> ViewedStream:
        if path not in self._streams:
            raise missing(path)
        return self._streams[path]

    def tell(self, text: str) -> None:
        self.log.tell(text)

    def close(self) -> None:
        self._closed(self)
        self.kept.close()


_PRESSURE = "proc/pressure"
_DIRECTORIES: Mapping[str, Sequence[str]] = {
    "": ("dev", "proc", "sys"),
    "dev": ("kmsg",),
    "proc": (
        "cpuinfo",
        "diskstats",
        "kmsg",
        "loadavg",
        "meminfo",
        "pressure",
        "stat",
        "swaps",
        "uptime",
        "vmstat",
    ),
    _PRESSURE: RESOURCES,
    "sys": ("devices",),
    "sys/devices": ("system",),
    "sys/devices/system": ("cpu", "node"),
}
