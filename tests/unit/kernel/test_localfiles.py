"""Tests of insula.kernel.localfiles, on whatever file system tests have their files."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.kernel import localfiles
from insula.kernel.localfiles import local_mount, read_known
from insula.kernel.statx import unique_mount_of

MOST = 100_000
_preadv = os.preadv


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A file of two lines, on what counts as a disk that is read at once."""

    class Every:
        def __contains__(self, kind: object) -> bool:
            return True

    monkeypatch.setattr(localfiles, "_READ_AT_ONCE", Every())
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, offset, flags: _preadv(fd, buffers, offset))
    (tmp_path / "file").write_text("one\ntwo\n")
    fd = os.open(tmp_path / "file", os.O_PATH)
    yield fd
    os.close(fd)


def test_a_file_on_the_mount_that_is_meant_is_read(file: int) -> None:
    mount = local_mount(file)
    assert mount is not None and read_known(file, mount, MOST) == b"one\ntwo\n"


def test_a_file_on_another_mount_a_larger_one_and_what_is_no_file_are_not_read(file: int) -> None:
    mount, null = unique_mount_of(file) or 0, os.open("/dev/null", os.O_RDONLY)
    try:
        for fd, meant, most in ((file, mount + 1, MOST), (file, mount, 7), (null, unique_mount_of(null) or 0, MOST)):
            with pytest.raises(BlockingIOError):
                read_known(fd, meant, most)
    finally:
        os.close(null)


def test_a_file_that_grew_meanwhile_is_not_read_without_end(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(fd: int, buffers: list[bytearray], offset: int, flags: int) -> int:
        return len(buffers[0])

    monkeypatch.setattr(os, "preadv", endless)
    with pytest.raises(BlockingIOError):
        read_known(file, unique_mount_of(file) or 0, MOST)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EOPNOTSUPP])
def test_what_cannot_be_read_without_waiting_is_not_read(
    number: int, file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()

    def refuses(fd: int, buffers: object, offset: int, flags: int) -> int:
        asked.append(flags)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "preadv", refuses)
    with pytest.raises(BlockingIOError):
        read_known(file, unique_mount_of(file) or 0, MOST)
    assert asked == [os.RWF_NOWAIT]


def test_what_is_on_no_disk_of_the_hosts_is_not_read_so() -> None:
    for path in ("/proc", "/sys"):
        fd = os.open(path, os.O_PATH)
        try:
            assert local_mount(fd) is None
        finally:
            os.close(fd)


def test_reading_leaves_the_time_of_access_as_it_is(file: int, tmp_path: Path) -> None:
    """To write it may wait for the disk's journal."""
    os.utime(tmp_path / "file", (1, 2))
    read_known(file, unique_mount_of(file) or 0, MOST)
    assert (tmp_path / "file").stat().st_atime == 1
