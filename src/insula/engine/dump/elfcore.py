"""An ELF core of one process: what stands before its memory, in the kernel's own layout, which debuggers read.

    ELF header │ program headers (a note, then memory) │ notes │ … to a page │ memory, extent after extent

Sources: elf(5); elf_prstatus and elf_prpsinfo in <sys/procfs.h>; the kernel's fs/binfmt_elf.c for the order of notes.
"""

import platform
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from insula.engine.dump.memoryareas import PAGE, MemoryArea, MemoryExtent
from insula.kernel.ptrace import RegisterSet

_MACHINES: Mapping[str, tuple[int, int, int, int]] = {"x86_64": (62, 27, 19, 16), "aarch64": (183, 34, 31, 32)}
"""By the host's name of it: ELF's number, how many words its general registers are, and of those the places of stack
pointer and instruction pointer."""
_ARCHITECTURE = _MACHINES.get(platform.machine())
_PRPSINFO, _AUXV, _FILE, _PRSTATUS = 3, 6, 0x46494C45, 1
_OWNERS = {RegisterSet.X86_EXTENDED: b"LINUX", RegisterSet.ARM_TLS: b"LINUX"}
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_LOAD, _NOTE = 1, 4
_BITS = {"r": 4, "w": 2, "x": 1}
SEGMENTS_MAX = 65000
"""One below what the header's field holds, and some."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreadState:
    """One thread. tid: as the guest has it; registers: the sets that are known; signal: that it stands still with."""

    tid: int
    registers: Mapping[RegisterSet, bytes] = field(default_factory=dict)
    signal: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessState:
    """What the notes say of a process. pid: as the guest has it; flags, nice, state: of proc_pid_stat(5). Its parent,
    session and process group are not told: the kernel tells them by the host's numbers alone."""

    pid: int
    uid: int
    gid: int
    state: str
    flags: int
    nice: int
    name: bytes
    arguments: bytes
    auxiliary: bytes
    threads: Sequence[ThreadState]


def is_known() -> bool:
    """Whether cores of this host's architecture can be written."""
    return _ARCHITECTURE is not None


def general_registers(stack: int, instruction: int) -> bytes:
    """Return a set of general registers of which only those two are known."""
    assert _ARCHITECTURE is not None
    _, count, stack_at, instruction_at = _ARCHITECTURE
    words = [0] * count
    words[stack_at], words[instruction_at] = stack, instruction
    return struct.pack(f"<{count}Q", *words)


def is_native(registers: bytes) -> bool:
    """Whether a set of general registers is of a program of the host's own kind, not of a 32-bit one."""
    return _ARCHITECTURE is not None and len(registers) == 8 * _ARCHITECTURE[1]


def head(process: ProcessState, areas: Sequence[MemoryArea], extents: Sequence[MemoryExtent]) -> bytes:
    """Return all of a core that stands before its memory, filled up to a page."""
    assert _ARCHITECTURE is not None
    notes = _notes(process, areas)
    table = _HEADER.size + _SEGMENT.size * (1 + len(extents))
    length = -(-(table + len(notes)) // PAGE) * PAGE
    ident = b"\x7fELF" + bytes((2, 1, 1, 0)) + bytes(8)
    parts = [
        _HEADER.pack(
            ident, 4, _ARCHITECTURE[0], 1, 0, _HEADER.size, 0, 0, _HEADER.size, _SEGMENT.size, 1 + len(extents), 0, 0, 0
        ),
        _SEGMENT.pack(_NOTE, 0, table, 0, 0, len(notes), 0, 4),
    ]
    position = length
    for each in extents:
        bits = sum(_BITS.get(letter, 0) for letter in each.access[:3])
        parts.append(_SEGMENT.pack(_LOAD, bits, position, each.start, 0, each.filled, each.size, PAGE))
        position += each.filled
    parts.append(notes)
    return b"".join(parts).ljust(length, b"\0")


def _notes(process: ProcessState, areas: Sequence[MemoryArea]) -> bytes:
    first, *others = process.threads
    notes = [_note(b"CORE", _PRSTATUS, _status(first)), _note(b"CORE", _PRPSINFO, _information(process))]
    notes += [_note(b"CORE", _AUXV, process.auxiliary), _note(b"CORE", _FILE, _files(areas))]
    notes += _further(first)
    for each in others:
        notes += [_note(b"CORE", _PRSTATUS, _status(each)), *_further(each)]
    return b"".join(notes)


def _further(thread: ThreadState) -> list[bytes]:
    kinds = [each for each in thread.registers if each is not RegisterSet.GENERAL]
    return [_note(_OWNERS.get(each, b"CORE"), each, thread.registers[each]) for each in kinds]


def _note(owner: bytes, kind: int, content: bytes) -> bytes:
    name = owner + b"\0"
    return struct.pack("<III", len(name), len(content), kind) + _padded(name) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // 4) * 4, b"\0")


def _status(thread: ThreadState) -> bytes:
    """elf_prstatus: a signal's number, code and errno; the signal; those pending and held; ids; times; registers."""
    general = thread.registers.get(RegisterSet.GENERAL) or general_registers(0, 0)
    floating = RegisterSet.FLOATING in thread.registers
    number = thread.signal
    before = struct.pack("<iiihxxQQ4i8Q", number, 0, 0, number, 0, 0, thread.tid, *[0] * 11)
    return before + general + struct.pack("<ixxxx", floating)


def _information(process: ProcessState) -> bytes:
    """elf_prpsinfo."""
    letter = process.state[:1] or "?"
    number = "RSDTtZW".find(letter)
    return struct.pack(
        "<bcbbxxxxQIIiiii16s80s",
        max(number, 0),
        letter.encode(),
        letter == "Z",
        process.nice,
        process.flags,
        process.uid,
        process.gid,
        process.pid,
        *[0] * 3,
        process.name[:15],
        process.arguments.replace(b"\0", b" ").strip()[:79],
    )


def _files(areas: Sequence[MemoryArea]) -> bytes:
    """What is mapped of files: their number, a page's size, from where to where and from which page on, their names."""
    mapped = [each for each in areas if each.inode and each.path]
    numbers = [struct.pack("<QQQ", each.start, each.end, each.offset // PAGE) for each in mapped]
    names = [each.path.encode(errors="surrogateescape") + b"\0" for each in mapped]
    return b"".join([struct.pack("<QQ", len(mapped), PAGE), *numbers, *names])
