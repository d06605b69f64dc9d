"""The memory file that goes with a guest."""

import os
from collections.abc import Iterator

import pytest

from insula.view.keptcells import LOG_BYTES, KeptCells
from insula.view.viewedfiles import KEPT_BYTES


@pytest.fixture
def file() -> Iterator[int]:
    fd = os.memfd_create("kept")
    os.ftruncate(fd, KEPT_BYTES + 4096)
    yield fd
    os.close(fd)


def test_what_one_view_leaves_the_next_one_finds(file: int) -> None:
    first = KeptCells(file)
    first.loads[0], first.times[-1], first.log[-1], first.host_sequence = 7, 8, 9, 10
    first.close()
    second = KeptCells(file)
    assert (second.loads[0], second.times[-1], second.log[-1], second.host_sequence) == (7, 8, 9, 10)
    assert len(second.log) == LOG_BYTES
    second.close()


def test_what_stands_behind_is_not_touched(file: int) -> None:
    os.pwrite(file, b"mine", KEPT_BYTES)
    KeptCells(file).close()
    assert os.pread(file, 4, KEPT_BYTES) == b"mine"


def test_a_file_of_another_version_is_begun_anew(file: int) -> None:
    os.pwrite(file, b"insula view 0\n" + b"\xff" * 5000, 0)
    cells = KeptCells(file)
    assert (cells.loads[0], cells.times[0], cells.host_sequence) == (0, 0, 0)
    cells.close()


def test_without_a_file_it_lasts_as_long_as_the_view() -> None:
    cells = KeptCells(None)
    cells.times[0] = 2**64 - 1
    assert cells.times[0] == 2**64 - 1
    cells.close()


def test_a_file_that_is_too_small_is_refused() -> None:
    fd = os.memfd_create("small")
    with pytest.raises(ValueError, match="at least"):
        KeptCells(fd)
    os.close(fd)
