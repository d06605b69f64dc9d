"""A process of a guest, looked at by its directory in /proc: what a core of it holds, and its memory."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from insula.engine.dump.elfcore import SEGMENTS_MAX, ProcessState, ThreadState, general_registers, head, is_native
from insula.engine.dump.memoryareas import PAGE, MemoryArea, MemoryExtent, extents_of, read_areas, wanted
from insula.kernel import ptrace
from insula.kernel.fds import NO_FD, Fd
from insula.kernel.ptrace import RegisterSet

_GAP = 16 * PAGE
_PIECE = 1 << 20
_USUAL_FILTER = 0x33


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessCore:
    """What a core of a process is to hold. known: of how many of its threads all registers are known."""

    state: ProcessState
    areas: Sequence[MemoryArea]
    extents: Sequence[MemoryExtent]
    known: int

    @property
    def size(self) -> int:
        """Bytes of the whole core."""
        return len(self.head()) + self.memory

    @property
    def memory(self) -> int:
        """Bytes of the memory in it."""
        return sum(each.filled for each in self.extents)

    def head(self) -> bytes:
        """Return what stands before the memory."""
        return head(self.state, self.areas, self.extents)


class ProcessDirectory:
    """The directory of one process, open: whoever has its number later, this tells of none but it."""

    def __init__(self, pid: int, *, level: int = 1) -> None:
        """level: how many pid namespaces there are from ours to the guest's own, below which it may have made more.

        Raises: FileNotFoundError, ProcessLookupError if there is none.
        """
        self._fd = Fd(os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        self._level = level
        self._whose_memory = ""
        """The directory of a thread that has the memory: the process' own, or another's where its first has ended."""

    def close(self) -> None:
        os.close(self._fd)

    def core(self, threads: Mapping[int, int | None]) -> ProcessCore | None:
        """Return what a core of it holds; None for a process that has no memory: it has ended, or is about to.

        threads: the host's numbers, each with the signal that it stands still with, None if it does not.
        Raises: OSError.
        """
        areas = self._found_areas(threads)
        if not areas:
            return None
        states = [self._thread(tid, signal) for tid, signal in threads.items()]
        known = sum(RegisterSet.FLOATING in each.registers for each in states)
        extents = self._extents(areas)
        return ProcessCore(state=self._state(states), areas=areas, extents=extents, known=known)

    def resident(self) -> int:
        """Return about how many bytes of memory a core would hold: what is there, and the process' own."""
        total = 0
        for line in self._read("smaps_rollup").decode().splitlines():
            key, _, value = line.partition(":")
            if key in ("Anonymous", "Swap"):
                total += int(value.split()[0]) * 1024
        return total

    def write_memory(self, core: ProcessCore, write: Callable[[bytes | bytearray], None]) -> int:
        """Write the memory that a core holds; return how many bytes could not be read, for which zeros stand there."""
        lost = 0
        memory = NO_FD
        try:
            with suppress(OSError):
                memory = self._open(f"{self._whose_memory}mem")
            for each in core.extents:
                for start in range(each.start, each.start + each.filled, _PIECE):
                    data = bytearray(min(_PIECE, each.start + each.filled - start))
                    lost += _read_into(data, memory, start)
                    write(data)
        finally:
            if memory >= 0:
                os.close(memory)
        return lost

    def _found_areas(self, threads: Iterable[int]) -> list[MemoryArea]:
        """The process' areas. A thread that has ended has no memory, and the first one may have, before others."""
        gone: OSError | None = None
        for whose in ("", *(f"task/{tid}/" for tid in threads)):
            try:
                areas = [*self._areas(whose)]
            except (FileNotFoundError, ProcessLookupError) as error:
                gone = gone or error
                continue
            if areas:
                self._whose_memory = whose
                return areas
        if gone is not None:
            raise gone
        return []

    def _areas(self, whose: str) -> Iterator[MemoryArea]:
        with open(self._open(f"{whose}smaps"), encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            yield from read_areas(lines)

    def _extents(self, areas: Sequence[MemoryArea]) -> list[MemoryExtent]:
        filter_, gap = self._filter(), _GAP
        pagemap = self._open(f"{self._whose_memory}pagemap")
        try:
            while True:
                every = (each for area in areas for each in extents_of(area, wanted(area, filter_), pagemap, gap))
                found = list(islice(every, SEGMENTS_MAX + 1))  # a guest may have more than memory holds
                if len(found) <= SEGMENTS_MAX or gap > 1 << 46:
                    return found[:SEGMENTS_MAX]
                gap *= 16
        finally:
            os.close(pagemap)

    def _filter(self) -> int:
        try:
            return int(self._read("coredump_filter").split()[0], 16)
        except (OSError, ValueError, IndexError):
            return _USUAL_FILTER

    def _state(self, threads: Sequence[ThreadState]) -> ProcessState:
        status = _fields(self._read("status"))
        stat = self._read("stat").rpartition(b")")[2].split()
        return ProcessState(
            pid=self._inside(status),
            uid=int(status["Uid"].split()[0]),
            gid=int(status["Gid"].split()[0]),
            state=stat[0].decode(),
            flags=int(stat[6]),
            nice=int(stat[16]),
            name=self._read("comm").rstrip(b"\n"),
            arguments=self._read(f"{self._whose_memory}cmdline"),
            auxiliary=self._read(f"{self._whose_memory}auxv"),
            threads=threads,
        )

    def _thread(self, tid: int, signal: int | None) -> ThreadState:
        inside = tid
        with suppress(OSError, KeyError):
            inside = self._inside(_fields(self._read(f"task/{tid}/status")))
        registers: dict[RegisterSet, bytes] = {}
        if signal is not None:
            registers = _registers(tid)
        if RegisterSet.GENERAL not in registers or not is_native(registers[RegisterSet.GENERAL]):
            registers = {RegisterSet.GENERAL: self._pointers(tid)}
        return ThreadState(tid=inside, registers=registers, signal=signal or 0)

    def _pointers(self, tid: int) -> bytes:
        """The registers of a thread that cannot be traced: the kernel tells two of one that stands still."""
        with suppress(OSError, ValueError):
            *_, stack, instruction = self._read(f"task/{tid}/syscall").split()
            return general_registers(int(stack, 16), int(instruction, 16))
        return general_registers(0, 0)

    def _inside(self, status: Mapping[str, str]) -> int:
        """The number that the guest knows a process or thread by. Raises: KeyError."""
        numbers = status.get("NSpid", status["Pid"]).split()
        return int(numbers[min(self._level, len(numbers)) - 1])

    def _open(self, name: str) -> Fd:
        return Fd(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._fd))

    def _read(self, name: str) -> bytes:
        with open(self._open(name), "rb") as file:
            return file.read()


def level_of(init: int) -> int:
    """Return how many pid namespaces there are from ours to that of a guest's init; 1 if it is gone."""
    try:
        directory = ProcessDirectory(init)
    except (FileNotFoundError, ProcessLookupError):
        return 1
    try:
        return len(_fields(directory._read("status")).get("NSpid", "1").split())
    except ProcessLookupError:
        return 1
    finally:
        directory.close()


def _registers(tid: int) -> dict[RegisterSet, bytes]:
    found: dict[RegisterSet, bytes] = {}
    for kind in RegisterSet:
        with suppress(OSError):
            found[kind] = ptrace.registers(tid, kind)
    return found


def _read_into(data: bytearray, memory: Fd, start: int) -> int:
    """Fill data, which is all zeros, with memory; return how many bytes cannot be read, page by page."""
    position = lost = 0
    while position < len(data):
        try:
            part = os.pread(memory, len(data) - position, start + position)
        except OSError:
            part = b""
        if part:
            data[position : position + len(part)] = part
            position += len(part)
        else:
            step = min(PAGE - (start + position) % PAGE, len(data) - position)
            position, lost = position + step, lost + step
    return lost


def _fields(text: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    return {key: value.strip() for key, _, value in pairs}
