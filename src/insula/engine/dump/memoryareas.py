"""What of a process' memory goes into a core: the kernel's own choice, and of that the pages that are there.

Sources: core(5) on coredump_filter; the kernel document on /proc/PID/smaps and pagemap.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from insula.kernel.fds import Fd
from insula.kernel.pagemap import present_pages

PAGE = os.sysconf("SC_PAGE_SIZE")
_HEADER = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ (\d+)\s*(.*)\n?")
_NEVER = frozenset({"[vvar]", "[vvar_vclock]", "[vsyscall]"})
_VDSO = "[vdso]"
_ANONYMOUS_PRIVATE, _ANONYMOUS_SHARED, _FILE_PRIVATE, _FILE_SHARED, _HEADERS, _HUGE_PRIVATE, _HUGE_SHARED = (
    1 << bit for bit in range(7)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryArea:
    """One mapping, as smaps tells it. access: such as `rw-p`; own: whether the process wrote to it, or has it alone;
    there: whether any of it is in memory or swapped out; flags: VmFlags."""

    start: int
    end: int
    access: str
    offset: int
    inode: int
    path: str
    own: bool = False
    there: bool = False
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryExtent:
    """A part of an area: `filled` bytes from `start` on are in the core, as many more as `size` says are not."""

    start: int
    size: int
    filled: int
    access: str


def read_areas(lines: Iterable[str]) -> Iterator[MemoryArea]:
    """Yield what a file of smaps says. Lines of a kind that is not known are passed over."""
    header: re.Match[str] | None = None
    amounts: dict[str, int] = {}
    flags: frozenset[str] = frozenset()
    for line in lines:
        if (found := _HEADER.fullmatch(line)) is not None:
            if header is not None:
                yield _area(header, amounts, flags)
            header, amounts, flags = found, {}, frozenset()
            continue
        key, _, value = line.partition(":")
        if key == "VmFlags":
            flags = frozenset(value.split())
        elif key in ("Rss", "Swap", "Anonymous", "Private_Hugetlb", "Shared_Hugetlb"):
            amounts[key] = int(value.split()[0])
    if header is not None:
        yield _area(header, amounts, flags)


def _area(header: re.Match[str], amounts: dict[str, int], flags: frozenset[str]) -> MemoryArea:
    start, end, access, offset, inode, path = header.groups()
    return MemoryArea(
        start=int(start, 16),
        end=int(end, 16),
        access=access,
        offset=int(offset, 16),
        inode=int(inode),
        path=path,
        own=bool(amounts.get("Anonymous", 0) or amounts.get("Swap", 0)),
        there=any(amounts.get(each, 0) for each in ("Rss", "Swap", "Private_Hugetlb", "Shared_Hugetlb")),
        flags=flags,
    )


def wanted(area: MemoryArea, filter_: int) -> int:
    """Return how many bytes of an area, from its beginning, a core is to have, if they are there.

    filter_: the process' coredump_filter. What a driver has mapped, and what the process has excluded, is left out.
    """
    size = area.end - area.start
    if area.path in _NEVER or area.flags & {"io", "dd", "pf"} or "r" not in area.access:
        return 0
    if area.path == _VDSO:
        return size
    shared = area.access[3] == "s"
    if "ht" in area.flags:
        return size if filter_ & (_HUGE_SHARED if shared else _HUGE_PRIVATE) else 0
    if shared:
        unnamed = area.path.endswith(" (deleted)")
        return size if filter_ & (_ANONYMOUS_SHARED if unnamed else _FILE_SHARED) else 0
    if (not area.inode or area.own) and filter_ & _ANONYMOUS_PRIVATE:
        return size
    if area.inode and filter_ & _FILE_PRIVATE:
        return size
    # The kernel asks whether a file begins as a program does. A page too many does no harm.
    return min(size, PAGE) if area.inode and not area.offset and filter_ & _HEADERS else 0


def extents_of(area: MemoryArea, size: int, pagemap: Fd, gap: int) -> Iterator[MemoryExtent]:
    """Yield the parts of an area, of whose first `size` bytes those pages are filled that are there.

    gap: bytes; parts that are not further from each other are one. Raises: OSError.
    """
    if area.path == _VDSO:  # whole, as debuggers want it: it is the kernel's, and nothing that is there or not
        yield MemoryExtent(start=area.start, size=size, filled=size, access=area.access)
        return
    if not size or not area.there:
        yield MemoryExtent(start=area.start, size=area.end - area.start, filled=0, access=area.access)
        return
    runs = list(_joined(present_pages(pagemap, area.start, area.start + size), gap))
    position = area.start
    if not runs or runs[0][0] > area.start:
        end = runs[0][0] if runs else area.end
        yield MemoryExtent(start=area.start, size=end - area.start, filled=0, access=area.access)
        position = end
    for number, (start, end) in enumerate(runs):
        until = runs[number + 1][0] if number + 1 < len(runs) else area.end
        yield MemoryExtent(start=position, size=until - position, filled=end - start, access=area.access)
        position = until


def _joined(runs: Iterable[tuple[int, int]], gap: int) -> Iterator[tuple[int, int]]:
    last: tuple[int, int] | None = None
    for start, end in runs:
        if last is not None and start - last[1] <= gap:
            last = last[0], end
            continue
        if last is not None:
            yield last
        last = start, end
    if last is not None:
        yield last
