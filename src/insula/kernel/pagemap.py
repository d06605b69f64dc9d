"""Which pages of a process are in memory or swapped out, as its /proc/PID/pagemap tells.

Linux 6.7 and later are asked by PAGEMAP_SCAN, which passes over what was never touched; others page by page, eight
bytes for each. Source: kernel document `admin-guide/mm/pagemap`; <linux/fs.h>.
"""

import fcntl
import os
import struct
from array import array
from collections.abc import Iterator

from insula.kernel.fds import Fd

_PAGE = os.sysconf("SC_PAGE_SIZE")
_ENTRIES = 1 << 16
"""Pages that are asked about at once."""
_PRESENT, _SWAPPED = 1 << 63, 1 << 62

_SCAN = 0xC0606610
_ARGUMENT = struct.Struct("12Q")
"""pm_scan_arg: its size, flags, start, end, where it came to, the regions, how many there is room for, how many pages
at most; which categories are inverted, all needed, of which any is, told."""
_REGION = struct.Struct("3Q")
_REGIONS = 4096
_IS_PRESENT, _IS_SWAPPED = 1 << 3, 1 << 4


def present_pages(pagemap: Fd, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the runs of pages from start to end that are there, each from where to where; two may touch each other.

    Raises: OSError.
    """
    position = start
    while position < end:
        try:
            found, position = _scanned(pagemap, position, end)
        except OSError:  # the kernel does not know it, or the process has ended
            yield from _read(pagemap, position, end)
            return
        yield from found


def _scanned(pagemap: Fd, start: int, end: int) -> tuple[list[tuple[int, int]], int]:
    """Return some of the runs, and where the next ones are to be looked for. Raises: OSError."""
    regions = array("Q", bytes(_REGION.size * _REGIONS))
    where, _ = regions.buffer_info()
    there = _IS_PRESENT | _IS_SWAPPED
    asked = bytearray(_ARGUMENT.pack(_ARGUMENT.size, 0, start, end, 0, where, _REGIONS, 0, 0, 0, there, there))
    count = fcntl.ioctl(pagemap, _SCAN, asked, True)
    reached = _ARGUMENT.unpack(asked)[4]
    if reached <= start:
        raise OSError("the kernel did not look at a single page")
    return [(regions[3 * each], regions[3 * each + 1]) for each in range(count)], reached


def _read(pagemap: Fd, start: int, end: int) -> Iterator[tuple[int, int]]:
    for first in range(start // _PAGE, -(-end // _PAGE), _ENTRIES):
        count = min(_ENTRIES, -(-end // _PAGE) - first)
        entries = array("Q", os.pread(pagemap, 8 * count, 8 * first))
        if not any(entries):
            continue
        begun: int | None = None
        for index, entry in enumerate(entries):
            there = entry & (_PRESENT | _SWAPPED)
            if there and begun is None:
                begun = index
            elif not there and begun is not None:
                yield (first + begun) * _PAGE, (first + index) * _PAGE
                begun = None
        if begun is not None:
            yield (first + begun) * _PAGE, (first + len(entries)) * _PAGE
