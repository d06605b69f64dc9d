"""What is read of the host for all guests' views, kept for a while: its processors, memory and devices."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from insula.view.memoryfiles import MeminfoLayout, VmstatLayout
from insula.view.memorymodel import WholeMemory
from insula.view.processorlists import Processors, listed

T = TypeVar("T")

_SECONDS = 5.0
"""For how long a reading of what hardly changes is kept: clock speeds, processors that come and go, swap."""


class Remembered(Generic[T]):
    """A value that is read anew once it is older than so many seconds."""

    def __init__(self, read: Callable[[], T], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._until = float("-inf")
        self._value: T

    def value(self) -> T:
        now = time.monotonic()
        if now >= self._until:
            self._value = self._read()
            self._until = now + self._seconds
        return self._value


class HostMachine:
    """The host, as views need it. root: where its /proc and /sys are."""

    def __init__(self, root: str = "/", seconds: float = _SECONDS) -> None:
        self._proc = os.path.join(root, "proc")
        self.cpus = os.path.join(root, "sys/devices/system/cpu")
        self.nodes = os.path.join(root, "sys/devices/system/node")
        self._blocks = os.path.join(root, "sys/dev/block")
        self._memory = Remembered(self._memory_now, seconds)
        self._cpuinfo = Remembered(self._cpuinfo_now, seconds)
        self._online = Remembered(self._online_now, seconds)
        self.meminfo = MeminfoLayout(self._text("meminfo"))
        self.vmstat = VmstatLayout(self._text("vmstat"), os.sysconf("SC_PAGE_SIZE"))
        self.possible = _count(f"{self.cpus}/possible")
        """One more than the highest number that a processor can have."""
        self._names: dict[str, str] = {}

    def _text(self, name: str) -> str:
        return Path(self._proc, name).read_text()

    @property
    def online(self) -> Processors:
        """Its processors."""
        return self._online.value()

    def _online_now(self) -> Processors:
        return listed(Path(self.cpus, "online").read_text())

    @property
    def cpuinfo(self) -> Mapping[int, str]:
        """What /proc/cpuinfo says of each processor, and, as -1, what it says of none, which some architectures do."""
        return self._cpuinfo.value()

    def _cpuinfo_now(self) -> Mapping[int, str]:
        return cpuinfo_blocks(self._text("cpuinfo"))

    def memory(self, *, now: bool = False) -> WholeMemory:
        """Return its memory. now: as it is at this moment; else its size is what counts."""
        return self._memory_now() if now else self._memory.value()

    def _memory_now(self) -> WholeMemory:
        text = self._text("meminfo")
        return WholeMemory(
            total=_kibibytes(text, "MemTotal"),
            free=_kibibytes(text, "MemFree"),
            available=_kibibytes(text, "MemAvailable"),
            swap_total=_kibibytes(text, "SwapTotal"),
            swap_free=_kibibytes(text, "SwapFree"),
        )

    def block_name(self, number: str) -> str | None:
        """Return the name of a block device, such as `vda` for `254:0`; None if there is none of that number."""
        if number not in self._names:
            try:
                self._names[number] = os.path.basename(os.readlink(f"{self._blocks}/{number}"))
            except OSError:
                return None
        return self._names[number]


def _kibibytes(text: str, name: str) -> int:
    """Return a row of meminfo, in bytes."""
    _, _, rest = text.partition(f"{name}:")
    return int(rest.split(None, 1)[0]) * 1024 if rest else 0


def _count(path: str) -> int:
    return max(listed(Path(path).read_text()), default=0) + 1


def cpuinfo_blocks(text: str) -> Mapping[int, str]:
    """Return /proc/cpuinfo by processors, each block without its end; -1: what belongs to none."""
    blocks: dict[int, str] = {}
    for block in text.strip("\n").split("\n\n"):
        name, _, rest = block.partition(":")
        number = rest.partition("\n")[0].strip()
        blocks[int(number) if name.strip() == "processor" and number.isdigit() else -1] = block
    return blocks
