"""Memory that a v2 group does not need just now, taken in small steps; how the group bears it can be read.

Who writes to memory.reclaim does the work himself, and no program of the group stands still for it. The kernel keeps
what is guaranteed below a group from that, but not what is guaranteed to the very group: that is left to the writer.
Source: kernel document `admin-guide/cgroup-v2`, memory.reclaim (Linux 5.19), memory.min, memory.low, memory.pressure.
"""

from contextlib import suppress
from dataclasses import dataclass

from insula.kernel.cgroups import files
from insula.kernel.cgroups.shrinking import refaulted

_RECLAIM = "memory.reclaim"


@dataclass(frozen=True, kw_only=True, slots=True)
class IdleReading:
    """used: bytes; kept: how many of them are guaranteed; refaulted: bytes that were freed and needed again, in all;
    stalled: microseconds for which at least one program waited for memory, in all, 0 where nobody counts."""

    used: int
    kept: int
    refaulted: int
    stalled: int


@dataclass(frozen=True, slots=True)
class IdleMemory:
    """The memory of one group."""

    directory: str

    @property
    def is_possible(self) -> bool:
        """Whether this kernel takes memory from a group when it is asked to."""
        return files.exists(f"{self.directory}/{_RECLAIM}")

    def read(self) -> IdleReading:
        """Raises: OSError if the group is gone."""
        pressure = files.nested_keyed(files.read_if_there(f"{self.directory}/memory.pressure") or "")
        return IdleReading(
            used=self._used(),
            kept=max(self._promised("memory.min"), self._promised("memory.low")),
            refaulted=refaulted(self.directory),
            stalled=int(pressure.get("some", {}).get("total", "0")),
        )

    def take(self, size: int) -> int:
        """Take so many bytes, as far as they can be had; return how many fewer are used then. Raises: OSError."""
        before = self._used()
        with suppress(BlockingIOError):  # EAGAIN: fewer were freed than asked for
            files.write(f"{self.directory}/{_RECLAIM}", str(size))
        return max(0, before - self._used())

    def _used(self) -> int:
        return int(files.read(f"{self.directory}/memory.current"))

    def _promised(self, name: str) -> int:
        text = files.read_if_there(f"{self.directory}/{name}")
        promised = 0 if text is None else files.number(text)
        return self._used() if promised is None else promised
