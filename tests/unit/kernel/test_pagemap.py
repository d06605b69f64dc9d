"""The pages of a process that are there, found at once in however large a piece of its addresses."""

import ctypes
import fcntl
import mmap
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from insula.kernel import pagemap
from insula.kernel.fds import Fd
from insula.kernel.pagemap import present_pages
from tests.waiting import scaled

PAGE = mmap.PAGESIZE
_NO_RESERVE = 0x4000


@pytest.fixture
def own() -> Iterator[Fd]:
    fd = Fd(os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC))
    yield fd
    os.close(fd)


def touched(pages: int, which: list[int]) -> tuple[mmap.mmap, int]:
    """Map so many pages, and write to some; return the mapping and its address."""
    area = mmap.mmap(-1, pages * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE)
    area.madvise(mmap.MADV_NOHUGEPAGE)
    for each in which:
        area[each * PAGE] = 1
    return area, ctypes.addressof(ctypes.c_char.from_buffer(area))


def numbers(runs: Iterator[tuple[int, int]], start: int) -> list[int]:
    return [page for first, end in runs for page in range((first - start) // PAGE, (end - start) // PAGE)]


@pytest.mark.parametrize("scans", [True, False])
def test_the_pages_that_were_touched_are_there(own: Fd, monkeypatch: pytest.MonkeyPatch, *, scans: bool) -> None:
    which = [0, 3, 4, 70_000, 99_999]
    _area, start = touched(100_000, which)
    if not scans:

        def unknown(*_: Any) -> int:
            raise OSError(25, "Inappropriate ioctl for device")

        monkeypatch.setattr(fcntl, "ioctl", unknown)
    assert numbers(present_pages(own, start, start + 100_000 * PAGE), start) == which
    assert numbers(present_pages(own, start + 4 * PAGE, start + 5 * PAGE), start) == [4]


def test_more_runs_than_the_kernel_tells_at_once_are_all_found(own: Fd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagemap, "_REGIONS", 7)
    which = list(range(0, 200, 2))
    _area, start = touched(200, which)
    assert numbers(present_pages(own, start, start + 200 * PAGE), start) == which


def scans(own: Fd) -> bool:
    area, start = touched(1, [0])
    try:
        pagemap._scanned(own, start, start + PAGE)
    except OSError:
        return False
    finally:
        del area
    return True


def test_a_huge_area_of_which_little_is_there_takes_no_time(own: Fd) -> None:
    pages = 1 << (32 if scans(own) else 20)  # 16 TiB: page by page, 32 GiB would be read
    _area, start = touched(pages, [1, pages // 2])
    begun = time.process_time()
    assert numbers(present_pages(own, start, start + pages * PAGE), start) == [1, pages // 2]
    assert time.process_time() - begun < scaled(5)
