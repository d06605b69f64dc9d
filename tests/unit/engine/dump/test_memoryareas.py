"""Of a process' memory a core has what the kernel's own would have, and of that the pages that are there."""

import ctypes
import mmap
import os
from collections.abc import Iterator

import pytest

from insula.engine.dump.memoryareas import PAGE, MemoryArea, extents_of, read_areas, wanted
from insula.kernel.fds import Fd

SMAPS = """\
55d360542000-55d360543000 r--p 00000000 08:01 1234                       /usr/bin/a program (deleted)
Size:                  4 kB
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd mr mw me
7fce347f0000-7fce34816000 rw-p 00001000 00:00 0
Size:                152 kB
Rss:                   0 kB
Anonymous:             0 kB
Swap:                  8 kB
THPeligible:    0
VmFlags: rd wr mr mw me ac dd
"""
START = 0x10000


def test_mappings_are_read_with_what_is_known_of_each() -> None:
    program, swapped = read_areas(SMAPS.splitlines(keepends=True))
    assert (program.path, program.inode) == ("/usr/bin/a program (deleted)", 1234)
    assert program.there and not program.own
    assert (swapped.start, swapped.end, swapped.offset) == (0x7FCE347F0000, 0x7FCE34816000, 0x1000)
    assert swapped.own and swapped.there and "dd" in swapped.flags and swapped.path == ""


def area(access: str = "rw-p", *, inode: int = 0, path: str = "", own: bool = False, flags: str = "") -> MemoryArea:
    return MemoryArea(
        start=START,
        end=START + 8 * PAGE,
        access=access,
        offset=0,
        inode=inode,
        path=path,
        own=own,
        there=True,
        flags=frozenset(flags.split()),
    )


@pytest.mark.parametrize(
    ("mapped", "filter_", "pages"),
    [
        (area(), 0x33, 8),
        (area(), 0x32, 0),
        (area(flags="dd"), 0x33, 0),
        (area(flags="io pf"), 0x33, 0),
        (area("---p"), 0x33, 0),
        (area("r-xp", path="[vdso]"), 0, 8),
        (area("r--p", path="[vvar]"), 0x33, 0),
        (area("r-xp", inode=5, path="/bin/x"), 0x33, 1),
        (area("r-xp", inode=5, path="/bin/x"), 0x23, 0),
        (area("r-xp", inode=5, path="/bin/x"), 0x37, 8),
        (area("rw-p", inode=5, path="/bin/x", own=True), 0x33, 8),
        (area("rw-s", inode=5, path="/dev/zero (deleted)"), 0x33, 8),
        (area("rw-s", inode=5, path="/srv/data"), 0x33, 0),
        (area("rw-s", inode=5, path="/srv/data"), 0x3B, 8),
        (area(flags="ht"), 0x33, 8),
        (area(flags="ht"), 0x13, 0),
    ],
)
def test_what_a_core_has_of_a_mapping_is_what_the_process_filter_says(
    mapped: MemoryArea, filter_: int, pages: int
) -> None:
    assert wanted(mapped, filter_) == pages * PAGE


@pytest.fixture
def pagemap() -> Iterator[Fd]:
    fd = Fd(os.open("/proc/self/pagemap", os.O_RDONLY))
    yield fd
    os.close(fd)


def test_pages_that_were_never_touched_are_not_in_a_core(pagemap: Fd) -> None:
    pages = 4096
    memory = mmap.mmap(-1, pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    for page in (3, 4, 2000):
        memory[page * PAGE] = 1
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    mapped = MemoryArea(
        start=start, end=start + pages * PAGE, access="rw-p", offset=0, inode=0, path="", own=True, there=True
    )
    found = list(extents_of(mapped, pages * PAGE, pagemap, 0))
    joined = list(extents_of(mapped, pages * PAGE, pagemap, pages * PAGE))

    assert [(each.start - start) // PAGE for each in found] == [0, 3, 2000]
    assert [each.filled // PAGE for each in found] == [0, 2, 1]
    assert [each.size // PAGE for each in found] == [3, 1997, pages - 2000]
    assert [each.filled // PAGE for each in joined] == [0, 1998]


def test_a_mapping_of_which_nothing_is_there_is_named_and_empty(pagemap: Fd) -> None:
    (only,) = extents_of(area(), 0, pagemap, 0)
    assert (only.start, only.size, only.filled) == (START, 8 * PAGE, 0)
