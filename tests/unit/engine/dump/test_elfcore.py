"""A core is laid out as the kernel's are; tests/e2e/test_core_dumps.py has a debugger read one."""

import struct

from insula.engine.dump.elfcore import ProcessState, ThreadState, general_registers, head, is_known, is_native
from insula.engine.dump.memoryareas import PAGE, MemoryArea, MemoryExtent
from insula.kernel.ptrace import RegisterSet

AREAS = (
    MemoryArea(start=0x1000, end=0x3000, access="r-xp", offset=0x2000, inode=9, path="/bin/a"),
    MemoryArea(start=0x5000, end=0x9000, access="rw-p", offset=0, inode=0, path="[heap]"),
)
EXTENTS = (
    MemoryExtent(start=0x1000, size=0x2000, filled=0, access="r-xp"),
    MemoryExtent(start=0x5000, size=0x4000, filled=0x1000, access="rw-p"),
)


def process(*threads: ThreadState) -> ProcessState:
    return ProcessState(
        pid=7,
        uid=1000,
        gid=100,
        state="S",
        flags=0x400000,
        nice=0,
        name=b"a-long-name-of-a-program",
        arguments=b"/bin/a\0-b\0",
        auxiliary=bytes(32),
        threads=threads,
    )


def notes(core: bytes) -> list[tuple[bytes, int, bytes]]:
    """Return owner, type and content of each note, found by the first program header."""
    _, _, offset, _, _, size, *_ = struct.unpack_from("<IIQQQQQQ", core, 64)
    found, position = [], offset
    while position < offset + size:
        owner, length, kind = struct.unpack_from("<III", core, position)
        position += 12
        name = core[position : position + owner - 1]
        position += -(-owner // 4) * 4
        found.append((name, kind, core[position : position + length]))
        position += -(-length // 4) * 4
    return found


def test_cores_of_the_hosts_own_programs_can_be_written() -> None:
    assert is_known()


def test_a_core_says_where_its_memory_is() -> None:
    before = head(process(ThreadState(tid=7)), AREAS, EXTENTS)
    assert before[:6] == b"\x7fELF\x02\x01" and struct.unpack_from("<H", before, 16) == (4,)
    assert len(before) % PAGE == 0
    segments = [struct.unpack_from("<IIQQQQQQ", before, 64 + 56 * (1 + number)) for number in range(2)]
    assert segments[0] == (1, 5, len(before), 0x1000, 0, 0, 0x2000, PAGE)
    assert segments[1] == (1, 6, len(before), 0x5000, 0, 0x1000, 0x4000, PAGE)


def test_every_thread_has_its_registers_and_the_first_is_followed_by_what_the_process_is() -> None:
    general = general_registers(0x7000, 0x1234)
    first = ThreadState(tid=7, registers={RegisterSet.GENERAL: general, RegisterSet.FLOATING: bytes(512)}, signal=5)
    found = notes(head(process(first, ThreadState(tid=8)), AREAS, EXTENTS))
    assert [(owner, kind) for owner, kind, _ in found] == [
        (b"CORE", 1),
        (b"CORE", 3),
        (b"CORE", 6),
        (b"CORE", 0x46494C45),
        (b"CORE", 2),
        (b"CORE", 1),
    ]
    statuses = [content for _, kind, content in found if kind == 1]
    assert [struct.unpack_from("<i", each, 32)[0] for each in statuses] == [7, 8]
    assert [len(each) for each in statuses] == [120 + len(general)] * 2 and general in statuses[0]
    assert b"/bin/a\0" in found[3][2] and struct.unpack_from("<QQQQQ", found[3][2]) == (1, PAGE, 0x1000, 0x3000, 2)
    assert len(found[1][2]) == 136 and b"/bin/a -b" in found[1][2]


def test_registers_of_another_kind_of_program_are_known_by_their_size() -> None:
    assert is_native(general_registers(0, 0))
    assert not is_native(bytes(68))
